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
use zerocap_annotations::PacketFence;

pub use cgroup::Cgroup;
pub use landlock::Landlock;
pub use seccomp::Seccomp;

use crate::NodeError;
use crate::state::Store;

/// Version of the serialised form of [`Abilities`].
pub const SCHEMA: u32 = 2;

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
    /// Whether a container can have a packet fence, and what is missing where not.
    pub packet_fence: PacketFence,
}

/// What this kernel can enforce; remembered per boot in the store, tried afresh where nothing (valid) is remembered.
///
/// A store that cannot be written (a person who is not root asks) costs only the remembering.
pub fn probe(store: &Store) -> Result<Abilities, NodeError> {
    let boot_id = boot_id();
    if let Some(boot_id) = &boot_id
        && let Some(mut known) = cache::read(store, boot_id)
    {
        // What was missing may have been root, memory or a mount: without a fence hardly a pod starts, so it is tried again.
        if !known.packet_fence.works {
            known.packet_fence = packet_fence();
            if known.packet_fence.works {
                cache::write(store, &known);
            }
        }
        return Ok(known);
    }
    let abilities = try_out(boot_id.as_deref().unwrap_or_default())?;
    if boot_id.is_some() {
        cache::write(store, &abilities);
    }
    Ok(abilities)
}

/// What was found in this boot, if anybody has tried the kernel and the result can be believed. Nothing is tried now: a container
/// would find what its own filter permits.
pub fn remembered(store: &Store) -> Option<Abilities> {
    boot_id().and_then(|boot_id| cache::read(store, &boot_id))
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
        packet_fence: packet_fence(),
    })
}

/// A fence is loaded, and a child tried inside of it.
fn packet_fence() -> PacketFence {
    match zerocap_fence::probe() {
        Ok(()) => PacketFence::works(),
        Err(error) => PacketFence { works: false, missing: error.to_string() },
    }
}

/// The kernel's random name of this boot; absent where /proc is.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}
