//! Parameters of system calls as the linter asks for them.

use crate::Arch;
pub(super) use crate::arguments::{Argument, Kind};

/// The parameters of a call under the first of the ABIs that has it: they differ between ABIs in clone only, whose flags
/// come first everywhere.
pub(super) fn parameters(call: &str) -> &'static [Argument] {
    let abis = [Arch::X86_64, Arch::Aarch64, Arch::I386, Arch::Arm];
    abis.into_iter().map(|abi| crate::arguments::of(abi, call)).find(|list| !list.is_empty()).unwrap_or_default()
}

/// One of them.
pub(super) fn parameter(call: &str, index: u8) -> Option<Argument> {
    parameters(call).get(usize::from(index)).copied()
}

/// Does the call have parameters at all, so far as is known? (fork has none; of calls without a kernel's definition
/// nothing is known.)
pub(super) fn is_known(call: &str) -> bool {
    const WITHOUT: &[&str] = &[
        "fork",
        "vfork",
        "getpid",
        "getppid",
        "gettid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getpgrp",
        "pause",
        "setsid",
        "sync",
        "sched_yield",
        "munlockall",
        "vhangup",
        "inotify_init",
        "rt_sigreturn",
    ];
    !parameters(call).is_empty() || WITHOUT.contains(&call)
}
