//! What the arguments of every call are called, what they mean, and how much of a register the kernel uses.
//!
//! The kernel hands a filter all 64 bits of a register and then uses the low 32 of an `int`: a comparison of such an
//! argument has to leave the upper half alone, or whoever calls chooses whether it holds.

use crate::{Arch, Width, lookup};

/// One argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Its name in the manual page, or else in the kernel.
    pub name: &'static str,
    /// How much of the register the kernel uses.
    pub width: Width,
    /// What it means.
    pub kind: Kind,
}

/// What an argument means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A signed number.
    Int,
    /// An unsigned number.
    Unsigned,
    /// The address of something that the kernel reads or writes: a filter cannot see what is there.
    Pointer,
    /// An address as a number, or a number that is sometimes an address.
    Address,
    /// A length or a count.
    Size,
    /// A place in a file.
    Offset,
    /// Bits.
    Flags,
    /// A file descriptor.
    Fd,
    /// A process, thread or process group.
    Pid,
    /// Permission bits of a file.
    Mode,
    /// A user, a group, a key.
    Id,
    /// A signal.
    Signal,
    /// Which operation, option or kind.
    Command,
}

impl Kind {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "signed number",
            Self::Unsigned => "number",
            Self::Pointer => "pointer",
            Self::Address => "address",
            Self::Size => "size",
            Self::Offset => "offset",
            Self::Flags => "flags",
            Self::Fd => "descriptor",
            Self::Pid => "process",
            Self::Mode => "mode",
            Self::Id => "id",
            Self::Signal => "signal",
            Self::Command => "command",
        }
    }
}

// By place in the list of all calls and column of the ABI. Generated from `seccomp/data/arguments.tsv`.
include!(concat!(env!("OUT_DIR"), "/arguments.rs"));

/// The arguments of a call under an ABI, in order. Empty if it has none, or if the ABI has no such call.
#[must_use]
pub fn of(arch: Arch, name: &str) -> &'static [Argument] {
    lookup(name).and_then(|call| ROWS.get(call.index())).map_or(&[], |row| row[arch.column()])
}

/// The place of an argument by its name, and the argument.
#[must_use]
pub fn find(arch: Arch, call: &str, argument: &str) -> Option<(u8, Argument)> {
    let list = of(arch, call);
    let place = list.iter().position(|known| known.name == argument)?;
    Some((u8::try_from(place).ok()?, list[place]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn at_most_six_with_names_of_their_own() {
        for call in names() {
            for arch in Arch::ALL {
                let list = of(arch, call.name());
                assert!(list.len() <= crate::ARGS, "{}", call.name());
                for (place, argument) in list.iter().enumerate() {
                    assert!(list[..place].iter().all(|other| other.name != argument.name), "{}", call.name());
                    assert!(!arch.is_32_bit() || argument.width == Width::W32, "{}", call.name());
                }
                assert!(call.number(arch).is_some() || list.is_empty(), "{}", call.name());
            }
        }
    }

    /// What has no arguments takes none, or is not implemented by any kernel that this crate compiles for.
    #[test]
    fn complete_for_the_native_kernels() {
        const NONE: &[&str] = &[
            "fork",
            "getegid",
            "getegid32",
            "geteuid",
            "geteuid32",
            "getgid",
            "getgid32",
            "getpgrp",
            "getpid",
            "getppid",
            "gettid",
            "getuid",
            "getuid32",
            "inotify_init",
            "munlockall",
            "pause",
            "restart_syscall",
            "rt_sigreturn",
            "sched_yield",
            "setsid",
            "sgetmask",
            "sigreturn",
            "sync",
            "uprobe",
            "uretprobe",
            "vfork",
            "vhangup",
        ];
        const GONE: &[&str] = &[
            "_sysctl",
            "afs_syscall",
            "bdflush",
            "break",
            "create_module",
            "epoll_ctl_old",
            "epoll_wait_old",
            "ftime",
            "get_kernel_syms",
            "get_thread_area",
            "getpmsg",
            "gtty",
            "idle",
            "lock",
            "mpx",
            "nfsservctl",
            "prof",
            "profil",
            "putpmsg",
            "query_module",
            "security",
            "set_thread_area",
            "stty",
            "tuxcall",
            "ulimit",
            "uselib",
            "vm86",
            "vm86old",
            "vserver",
        ];
        for arch in [Arch::X86_64, Arch::X32, Arch::I386, Arch::Aarch64] {
            for call in names().filter(|call| call.number(arch).is_some()) {
                let (name, list) = (call.name(), of(arch, call.name()));
                assert!(!list.is_empty() || NONE.contains(&name) || GONE.contains(&name), "{name} on {}", arch.name());
                assert!(list.is_empty() || !NONE.contains(&name), "{name} on {}", arch.name());
            }
        }
    }

    #[test]
    fn well_known_ones() {
        let width = |arch, call, argument| find(arch, call, argument).map(|(place, found)| (place, found.width));
        assert_eq!(width(Arch::X86_64, "openat", "flags"), Some((2, Width::W32)));
        assert_eq!(width(Arch::X86_64, "open", "flags"), Some((1, Width::W32)));
        assert_eq!(width(Arch::X86_64, "read", "count"), Some((2, Width::W64)));
        assert_eq!(width(Arch::I386, "read", "count"), Some((2, Width::W32)));
        // The kernel takes the low half of these, whatever it declares.
        assert_eq!(width(Arch::X86_64, "clone", "flags"), Some((0, Width::W32)));
        assert_eq!(width(Arch::X86_64, "mmap", "fd"), Some((4, Width::W32)));
        assert_eq!(width(Arch::X86_64, "readv", "fd"), Some((0, Width::W32)));
        assert_eq!(width(Arch::X86_64, "ptrace", "pid"), Some((1, Width::W32)));
        // The last two arguments of clone are swapped under aarch64.
        assert_eq!(width(Arch::X86_64, "clone", "tls"), Some((4, Width::W64)));
        assert_eq!(width(Arch::Aarch64, "clone", "tls"), Some((3, Width::W64)));
        let kind = |call, argument| find(Arch::X86_64, call, argument).map(|(_, found)| found.kind);
        assert_eq!(kind("openat", "filename"), Some(Kind::Pointer));
        assert_eq!(kind("openat2", "how"), Some(Kind::Pointer));
        assert_eq!(kind("kill", "pid"), Some(Kind::Pid));
        assert_eq!(kind("ioctl", "cmd"), Some(Kind::Command));
        assert_eq!(kind("chmod", "mode"), Some(Kind::Mode));
        assert_eq!(of(Arch::Aarch64, "open"), &[]);
        assert_eq!(of(Arch::X86_64, "no_such_call"), &[]);
    }
}
