//! `linux.seccomp` of an OCI spec: what it means, and how to take names away from it.

pub mod docker;
mod errno;
mod error;
mod json;
mod meaning;
mod narrow;
mod rules;
#[cfg(feature = "lint")]
pub mod source;
#[cfg(feature = "lint")]
pub mod unread;

pub use errno::{errno, errno_name};
pub use error::{Error, Problem};
pub use narrow::{Narrowed, narrow};
use serde_json::Value;

use crate::Profile;

/// Read `linux.seccomp` as runc, with a libseccomp that knows every call, would load it.
///
/// What that means and a reader of the JSON may not expect:
///
/// * Names that no ABI has are skipped.
/// * A rule whose action equals the default is dropped, even beside other rules for the same call.
/// * One argument index twice in a rule makes every condition of the rule a rule of its own: "or", not "and".
/// * An unconditional rule swallows the conditional ones of the same call; of two unconditional ones the first counts.
/// * Without `architectures` the native ABI alone is covered; calls of an ABI that is not covered end the thread.
/// * For a covered ABI that is listed, calls newer than the newest one named anywhere fail with ENOSYS, unless the
///   default action lets calls through.
/// * Under i386, rules for socket and SysV IPC calls apply to `socketcall` and `ipc` as well, without their condition on
///   argument 0.
/// * Under i386, 32-bit ARM and x32 only the low half of an argument and of the value is compared.
///
/// Where several conditional rules of one call apply at once and differ in their action, libseccomp's answer depends on
/// how it sorts its tree; here the strictest counts. Where their conditions overlap libseccomp may lose a rule
/// altogether (tests/oracle.rs tells how); here every rule counts.
///
/// # Errors
///
/// [`Error`] for everything that makes runc refuse the profile, for numbers that the kernel would not take as they are
/// written, and for keys that differ from the specification's only in case (Go takes them, other engines do not).
pub fn read(seccomp: &Value) -> Result<Profile, Error> {
    Ok(match rules::parse(seccomp)? {
        None => Profile::unconfined(),
        Some(document) => meaning::profile(&document),
    })
}
