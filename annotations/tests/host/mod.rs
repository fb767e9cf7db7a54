//! A host for tests, fuzzers and the bench: this project's kernel 6.18 with runc.

use zerocap_annotations::{EngineTraits, Host, HostArch, LandlockAbilities, PacketFence};

/// Landlock ABI 7, runc.
pub fn host() -> Host {
    Host {
        kernel: "6.18.0".into(),
        landlock: LandlockAbilities { abi: 7, fs: 0xffff, net: 3, scoped: 3 },
        packet_fence: PacketFence::works(),
        arch: HostArch::X86_64,
        engine: EngineTraits { name: "runc".into(), seccomp_on_exec: true, calls_after_seccomp: Vec::new() },
        launcher_dir: "/run/zerocap/launcher".into(),
        files_dir: "/run/zerocap/files".into(),
        limits_any_user: true,
    }
}
