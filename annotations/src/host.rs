//! What `confine` must know of the node, as a value: found by the node's probe, or written by hand for `zerocap explain`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::code;
use crate::error::{ZcError, quote};

/// Everything about the node that decides what can be enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Host {
    /// The kernel's release, for messages only.
    pub kernel: String,
    /// What Landlock does here.
    pub landlock: LandlockAbilities,
    /// Whether a packet fence can be had: cgroup programs, in a cgroup v2 tree.
    #[serde(default)]
    pub packet_fence: PacketFence,
    /// The native architecture.
    pub arch: HostArch,
    /// The engine that will run the container.
    pub engine: EngineTraits,
    /// Directory on the node that is mounted into the container at `/.zerocap`; the launcher lies in it.
    pub launcher_dir: PathBuf,
    /// Directory on the node for files that are made for this one container and mounted into it.
    #[serde(default = "files_dir")]
    pub files_dir: PathBuf,
    /// Whether engines may limit processes in a user namespace that somebody else has made, which takes CAP_SYS_RESOURCE on
    /// the node. Root has it but where the node itself is a container.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub limits_any_user: bool,
}

fn yes() -> bool {
    true
}

// By reference, as serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_yes(value: &bool) -> bool {
    *value
}

fn files_dir() -> PathBuf {
    "/run/zerocap/.files/NAMESPACE/ID".into()
}

/// What Landlock does on this kernel, by behaviour: vendor kernels report a version and lack parts of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LandlockAbilities {
    /// The version that the kernel reports; 0 where there is no Landlock.
    pub abi: u32,
    /// `LANDLOCK_ACCESS_FS_*` that the kernel handles.
    pub fs: u64,
    /// `LANDLOCK_ACCESS_NET_*` that the kernel handles.
    pub net: u64,
    /// `LANDLOCK_SCOPE_*` that the kernel handles.
    pub scoped: u64,
}

/// Whether a container can have a packet fence, by trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PacketFence {
    /// A fence was loaded, and refused a connect.
    pub works: bool,
    /// What is missing where it does not work; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

impl PacketFence {
    /// One that works.
    pub const fn works() -> Self {
        Self { works: true, missing: String::new() }
    }
}

/// Architectures for which there are a launcher and built-in filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HostArch {
    /// x86-64.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl HostArch {
    /// The architecture by the name that `uname -m` and Rust have for it.
    ///
    /// # Errors
    /// ZC0403 for an architecture without launcher and filters.
    pub fn from_name(name: &str) -> Result<Self, ZcError> {
        match name {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err(ZcError::new(
                code::profile::ARCHITECTURE,
                format!("there is neither a launcher nor a built-in filter for the architecture {}", quote(name)),
                "run the pod on an x86-64 or aarch64 node",
            )),
        }
    }
}

/// In what engines differ, as far as the translation must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EngineTraits {
    /// The engine's name, for the report.
    pub name: String,
    /// Whether processes that are executed into a container get the container's seccomp profile (libcontainer 0.7: no).
    pub seccomp_on_exec: bool,
    /// Calls that the engine makes in the container after it has loaded `linux.seccomp` and before it executes the
    /// program. They are not taken away from that layer; the launcher's last filter refuses them all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls_after_seccomp: Vec<String>,
}
