//! Names and widths of system call arguments that profiles put conditions on.

use crate::Width;

/// One argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Its name in the manual page.
    pub name: &'static str,
    /// How much of the register the kernel uses.
    pub width: Width,
}

const fn int(name: &'static str) -> Argument {
    Argument { name, width: Width::W32 }
}

const fn long(name: &'static str) -> Argument {
    Argument { name, width: Width::W64 }
}

/// Sorted by name. The same for x86-64 and aarch64, the ABIs that profiles are written for. `clone` declares its flags
/// as unsigned long, and the kernel uses the low 32 bits of them (`kernel_clone_args.flags = lower_32_bits(...)`).
static ARGUMENTS: &[(&str, &[Argument])] = &[
    ("clone", &[int("flags"), long("stack"), long("parent_tid"), long("child_tid"), long("tls")]),
    ("execveat", &[int("dirfd"), long("pathname"), long("argv"), long("envp"), int("flags")]),
    ("get_robust_list", &[int("pid"), long("head_ptr"), long("len_ptr")]),
    ("ioctl", &[int("fd"), int("cmd"), long("arg")]),
    ("ioprio_set", &[int("which"), int("who"), int("ioprio")]),
    ("memfd_create", &[long("name"), int("flags")]),
    ("migrate_pages", &[int("pid"), long("maxnode"), long("old_nodes"), long("new_nodes")]),
    ("mmap", &[long("addr"), long("length"), long("prot"), long("flags"), int("fd"), long("offset")]),
    ("move_pages", &[int("pid"), long("nr_pages"), long("pages"), long("nodes"), long("status"), int("flags")]),
    ("mprotect", &[long("start"), long("len"), long("prot")]),
    ("open", &[long("filename"), int("flags"), int("mode")]),
    ("openat", &[int("dirfd"), long("filename"), int("flags"), int("mode")]),
    ("personality", &[int("persona")]),
    ("prctl", &[int("option"), long("arg2"), long("arg3"), long("arg4"), long("arg5")]),
    ("prlimit64", &[int("pid"), int("resource"), long("new_rlim"), long("old_rlim")]),
    ("sched_setaffinity", &[int("pid"), int("len"), long("mask")]),
    ("sched_setattr", &[int("pid"), long("attr"), int("flags")]),
    ("sched_setparam", &[int("pid"), long("param")]),
    ("sched_setscheduler", &[int("pid"), int("policy"), long("param")]),
    ("sendmmsg", &[int("sockfd"), long("msgvec"), int("vlen"), int("flags")]),
    ("sendmsg", &[int("sockfd"), long("msg"), int("flags")]),
    ("sendto", &[int("sockfd"), long("buf"), long("len"), int("flags"), long("addr"), int("addrlen")]),
    ("setpriority", &[int("which"), int("who"), int("prio")]),
    ("setrlimit", &[int("resource"), long("rlim")]),
    ("setsockopt", &[int("sockfd"), int("level"), int("optname"), long("optval"), int("optlen")]),
    ("socket", &[int("domain"), int("type"), int("protocol")]),
    ("socketpair", &[int("domain"), int("type"), int("protocol"), long("sv")]),
];

/// The arguments of a call, in order; empty for calls that have none here.
#[must_use]
pub fn arguments(call: &str) -> &'static [Argument] {
    ARGUMENTS.binary_search_by(|(name, _)| (*name).cmp(call)).map_or(&[], |index| ARGUMENTS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_real() {
        assert!(ARGUMENTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, arguments) in ARGUMENTS {
            assert!(crate::lookup(name).is_some(), "{name}");
            assert!((1..=6).contains(&arguments.len()), "{name}");
        }
    }
}
