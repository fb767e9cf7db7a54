//! What a program can do, each with the calls that do it. Who refuses one of them and leaves another has refused nothing.

use super::subject::Subject;
use crate::{Action, Arch, lookup};

/// A thing that a program can do.
pub(super) struct Deed {
    pub(super) what: &'static str,
    ways: &'static [Way],
}

/// A call that does it.
struct Way {
    call: &'static str,
    args: [u64; 6],
    /// Does refusing this call show that the author wanted to prevent the deed? (Refusing `open_by_handle_at` does not
    /// show that no file should be opened.)
    telling: bool,
}

const fn telling(call: &'static str, args: [u64; 6]) -> Way {
    Way { call, args, telling: true }
}

const fn other(call: &'static str) -> Way {
    Way { call, args: [0; 6], telling: false }
}

const SIGCHLD: u64 = 17;
const NEW_USER: u64 = 0x1000_0000;
const WRITE: u64 = 0o1101;
const AF_INET: u64 = 2;
const FASTOPEN: u64 = 0x2000_0000;
const URING: Way = other("io_uring_setup");

const fn nil(call: &'static str) -> Way {
    telling(call, [0; 6])
}

/// Every deed that has more than one way.
pub(super) const DEEDS: &[Deed] = &[
    Deed {
        what: "open a file for writing",
        ways: &[
            telling("open", [0, WRITE, 0, 0, 0, 0]),
            telling("openat", [0, 0, WRITE, 0, 0, 0]),
            nil("creat"),
            other("openat2"),
            other("open_by_handle_at"),
            URING,
        ],
    },
    Deed { what: "start a program", ways: &[nil("execve"), nil("execveat")] },
    Deed {
        what: "start a process",
        ways: &[nil("fork"), nil("vfork"), telling("clone", [SIGCHLD, 0, 0, 0, 0, 0]), other("clone3")],
    },
    Deed {
        what: "make a user namespace",
        ways: &[
            telling("unshare", [NEW_USER, 0, 0, 0, 0, 0]),
            telling("clone", [NEW_USER | SIGCHLD, 0, 0, 0, 0, 0]),
            other("clone3"),
        ],
    },
    Deed { what: "make an internet socket", ways: &[telling("socket", [AF_INET, 1, 0, 0, 0, 0]), URING] },
    Deed {
        what: "connect a socket",
        ways: &[
            nil("connect"),
            Way { call: "sendto", args: [0, 0, 0, FASTOPEN, 0, 0], telling: false },
            Way { call: "sendmsg", args: [0, 0, FASTOPEN, 0, 0, 0], telling: false },
            Way { call: "sendmmsg", args: [0, 0, 0, FASTOPEN, 0, 0], telling: false },
            URING,
        ],
    },
    Deed { what: "accept a connection", ways: &[nil("accept"), nil("accept4"), URING] },
    Deed {
        what: "change what is mounted where",
        ways: &[
            nil("mount"),
            nil("umount2"),
            nil("pivot_root"),
            other("fsopen"),
            other("fsconfig"),
            other("fsmount"),
            other("fspick"),
            other("open_tree"),
            other("open_tree_attr"),
            other("move_mount"),
            other("mount_setattr"),
            other("chroot"),
        ],
    },
    Deed {
        what: "reach into another process",
        ways: &[
            nil("ptrace"),
            nil("process_vm_readv"),
            nil("process_vm_writev"),
            other("pidfd_getfd"),
            other("process_madvise"),
        ],
    },
    Deed {
        what: "send a signal",
        ways: &[
            nil("kill"),
            nil("tkill"),
            nil("tgkill"),
            other("rt_sigqueueinfo"),
            other("rt_tgsigqueueinfo"),
            other("pidfd_send_signal"),
        ],
    },
    Deed { what: "change a file's mode", ways: &[nil("chmod"), nil("fchmodat"), other("fchmodat2")] },
    Deed { what: "change a file's owner", ways: &[nil("chown"), nil("lchown"), nil("fchownat")] },
    Deed {
        what: "change a file's attributes",
        ways: &[nil("setxattr"), nil("lsetxattr"), nil("fsetxattr"), other("setxattrat"), other("file_setattr")],
    },
    Deed {
        what: "remove a file's attributes",
        ways: &[nil("removexattr"), nil("lremovexattr"), nil("fremovexattr"), other("removexattrat")],
    },
    Deed {
        what: "copy between descriptors inside the kernel",
        ways: &[nil("sendfile"), nil("splice"), nil("copy_file_range"), other("tee"), other("vmsplice")],
    },
    Deed {
        what: "read from a descriptor",
        ways: &[
            telling("read", [77, 0, 0, 0, 0, 0]),
            other("readv"),
            other("pread64"),
            other("preadv"),
            other("preadv2"),
            other("sendfile"),
            other("splice"),
            other("copy_file_range"),
            other("recvmsg"),
            other("mmap"),
            URING,
        ],
    },
    Deed {
        what: "write to a descriptor",
        ways: &[
            telling("write", [77, 0, 0, 0, 0, 0]),
            other("writev"),
            other("pwrite64"),
            other("pwritev"),
            other("pwritev2"),
            other("sendfile"),
            other("splice"),
            other("copy_file_range"),
            other("sendmsg"),
            other("vmsplice"),
            URING,
        ],
    },
    Deed { what: "use the kernel's keyrings", ways: &[nil("keyctl"), nil("add_key"), nil("request_key")] },
    Deed {
        what: "load code into the kernel",
        ways: &[nil("init_module"), nil("finit_module"), nil("kexec_load"), nil("kexec_file_load")],
    },
    Deed {
        what: "administer the machine",
        ways: &[
            nil("swapon"),
            nil("swapoff"),
            other("reboot"),
            other("kexec_load"),
            other("kexec_file_load"),
            other("init_module"),
            other("finit_module"),
            other("delete_module"),
            other("settimeofday"),
            other("clock_settime"),
            other("acct"),
            other("quotactl"),
        ],
    },
];

/// How a deed fares under the filter.
pub(super) struct Fate {
    /// Calls that show that it should be prevented.
    pub(super) refused: Vec<&'static str>,
    /// Calls that do it all the same.
    pub(super) open: Vec<&'static str>,
}

impl Deed {
    /// The calls of an ABI that do it, refused and open ones.
    pub(super) fn fate(&self, answer: &dyn Fn(&str, [u64; 6]) -> Option<Action>) -> Fate {
        let mut fate = Fate { refused: Vec::new(), open: Vec::new() };
        for way in self.ways {
            match answer(way.call, way.args) {
                Some(action) if action.permits() => fate.open.push(way.call),
                Some(action) if action.refuses() && way.telling => fate.refused.push(way.call),
                _ => {}
            }
        }
        fate
    }

    /// Is one of its calls among the names that the author refuses?
    pub(super) fn concerns(&self, refused: &[&str]) -> bool {
        self.ways.iter().any(|way| way.telling && refused.contains(&way.call))
    }

    /// The arguments with which a call does it.
    pub(super) fn args(&self, call: &str) -> [u64; 6] {
        self.ways.iter().find(|way| way.call == call).map_or([0; 6], |way| way.args)
    }
}

/// Names that the profile refuses as it is written: where there are rules, those that say so; else by what it answers.
pub(super) fn refused_names<'a>(subject: &'a Subject<'_>) -> Vec<&'a str> {
    if subject.source.is_some() {
        let refusing = subject.applying().filter(|rule| rule.action.refuses());
        return refusing.flat_map(|rule| rule.names.iter().map(String::as_str)).collect();
    }
    // Under a list of permissions everything else is refused as well, without anybody having thought of it.
    let permissive = subject.answer_number(subject.native(), u32::from(u16::MAX)).is_some_and(Action::permits);
    if !permissive {
        return Vec::new();
    }
    subject
        .calls()
        .map(|(call, _)| call.name())
        .filter(|name| lookup(name).is_some() && subject.answer(name, [0; 6]).is_some_and(Action::refuses))
        .collect()
}

impl Subject<'_> {
    /// What the filter answers to a number without a name.
    pub(super) fn answer_number(&self, abi: Arch, number: u32) -> Option<Action> {
        Some(self.filter.as_ref()?.answer(abi, number, [0; 6]))
    }
}
