//! Seccomp for zerocap: what a pod's own profile means, what the presets mean, and the classic BPF that keeps both.
//!
//! * [`oci`] reads `linux.seccomp` as runc and libseccomp mean it, and narrows it by name.
//! * [`preset`] has the filters of the last layer, compiled when zerocap was built.
//! * [`by_name`] writes a profile as OCI JSON, as far as that can carry it.
//! * `custom` (feature `intent`) compiles a preset with names taken out or put in.
//! * `written` (feature `intent`) has the presets as they are written, with their reasons.
//! * `lint` (feature `lint`) tells what is wrong with a profile.
//! * [`compile`] turns any [`Profile`] into a filter, [`interpret`] runs one without a kernel.

#![forbid(unsafe_code)]

pub mod by_name;
#[cfg(feature = "intent")]
pub mod custom;
mod launcher;
#[cfg(feature = "lint")]
pub mod lint;
pub mod oci;
pub mod preset;
#[cfg(feature = "intent")]
pub mod written;

pub use launcher::LAUNCHER_CALLS;
pub use oci::Error;
pub use zerocap_seccomp_core::*;
