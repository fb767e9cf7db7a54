//! The node's abilities as the pure translation wants them.

use std::path::PathBuf;

use rustix::thread::CapabilitySet;
use zerocap_annotations::{EngineTraits, Host, HostArch, LandlockAbilities, ZcError, code};

use super::Abilities;

impl Abilities {
    /// The host that `confine` decides for: this kernel with that engine, the launcher in that directory, the container's private files in
    /// the other.
    ///
    /// # Errors
    /// ZC0906 on a machine for which there is no launcher.
    pub fn host(
        &self,
        engine: EngineTraits,
        launcher_dir: impl Into<PathBuf>,
        files_dir: impl Into<PathBuf>,
    ) -> Result<Host, ZcError> {
        let arch = match self.machine.as_str() {
            "x86_64" => HostArch::X86_64,
            "aarch64" => HostArch::Aarch64,
            other => {
                let message = format!("there is no launcher for this machine, {other}");
                return Err(ZcError::new(code::node::PROBE, message, "run the pod on an x86_64 or aarch64 node"));
            }
        };
        let landlock = &self.landlock;
        Ok(Host {
            kernel: self.kernel.clone(),
            landlock: LandlockAbilities {
                abi: landlock.abi,
                fs: landlock.fs,
                net: landlock.net,
                scoped: landlock.scoped,
            },
            packet_fence: self.packet_fence.clone(),
            arch,
            engine,
            launcher_dir: launcher_dir.into(),
            files_dir: files_dir.into(),
            limits_any_user: rustix::thread::capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE)),
        })
    }
}
