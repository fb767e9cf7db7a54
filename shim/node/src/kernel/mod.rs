//! What this kernel can enforce, found by behaviour.
//!
//! A version number is a claim: vendor kernels report a Landlock ABI and lack parts of it. So every right is tried,
//! in a thread that is thrown away afterwards: the operation once without the right handled (the control), once with
//! it. Only a refusal that the control does not meet counts. The result holds until the next boot and is remembered in
//! `host.json` of the state root.

mod cache;
mod cgroup;
mod host;
mod landlock;
mod seccomp;
mod sys;

use serde::{Deserialize, Serialize};

pub use cgroup::Cgroup;
pub use landlock::Landlock;
pub use seccomp::Seccomp;

use crate::NodeError;
use crate::state::Store;

/// Version of the serialised form of [`Abilities`].
pub const SCHEMA: u32 = 1;

/// What this kernel can enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abilities {
    /// Version of this form, [`SCHEMA`].
    pub schema: u32,
    /// The boot in which the kernel was tried.
    pub boot_id: String,
    /// Kernel release, as in `uname -r`.
    pub kernel: String,
    /// Machine, as in `uname -m`.
    pub machine: String,
    /// Landlock rights and scopes.
    pub landlock: Landlock,
    /// Seccomp filters and notifications.
    pub seccomp: Seccomp,
    /// The control group hierarchies that are mounted.
    pub cgroup: Cgroup,
    /// The kernel loads the kind of BPF program that a packet fence is made of. Reported only: this version has no
    /// packet fence.
    pub packet_programs: bool,
}

/// What this kernel can enforce; remembered per boot in the store, tried afresh where nothing (valid) is remembered.
///
/// A store that cannot be written (a person who is not root asks) costs only the remembering.
pub fn probe(store: &Store) -> Result<Abilities, NodeError> {
    let boot_id = boot_id();
    if let Some(boot_id) = &boot_id
        && let Some(known) = cache::read(store, boot_id)
    {
        return Ok(known);
    }
    let abilities = try_out(boot_id.as_deref().unwrap_or_default())?;
    if boot_id.is_some() {
        cache::write(store, &abilities);
    }
    Ok(abilities)
}

/// Tries everything now, whatever is remembered. Takes a few milliseconds.
pub fn try_now() -> Result<Abilities, NodeError> {
    try_out(&boot_id().unwrap_or_default())
}

fn try_out(boot_id: &str) -> Result<Abilities, NodeError> {
    let uname = rustix::system::uname();
    Ok(Abilities {
        schema: SCHEMA,
        boot_id: boot_id.to_owned(),
        kernel: uname.release().to_string_lossy().into_owned(),
        machine: uname.machine().to_string_lossy().into_owned(),
        landlock: landlock::try_out()?,
        seccomp: seccomp::try_out(),
        cgroup: cgroup::mounted(),
        packet_programs: sys::loads_cgroup_program(),
    })
}

/// The kernel's random name of this boot; absent where /proc is.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}
