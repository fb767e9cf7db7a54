//! SL22: calls that programs make all the time and that the kernel cannot answer from its bitmap.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::{Action, lookup};

pub(super) static RULE: Rule = Rule {
    id: "SL22",
    slug: "hot-call",
    severity: Severity::Note,
    title: "a frequent call runs the whole filter",
    why: "From Linux 5.11 on the kernel remembers which calls a filter allows whatever their arguments, and does not run it for \
          them. A condition, and any other answer than allow, takes a call out of that: each one runs the filter. In a filter \
          that is a list the last of 370 names cost twice the bare call.",
    advice: "Put no conditions on calls that are made thousands of times a second; judge where the descriptor is made instead.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "exit_group"], "action": "SCMP_ACT_ALLOW" },
  { "names": ["write"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 2, "value": 65536, "op": "SCMP_CMP_LE" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW" }
] }"#,
    ),
    check,
};

const HOT: &[&str] = &[
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "futex",
    "epoll_wait",
    "epoll_pwait",
    "poll",
    "ppoll",
    "clock_gettime",
    "gettimeofday",
    "madvise",
    "munmap",
    "mmap",
    "fcntl",
    "lseek",
    "newfstatat",
    "close",
    "sched_yield",
    "io_uring_enter",
];

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let (Some(filter), native) = (&subject.filter, subject.native()) else { return };
    let slow: Vec<&str> = HOT
        .iter()
        .copied()
        .filter(|name| {
            let Some(number) = lookup(name).and_then(|call| call.number(native)) else { return false };
            !filter.on_bitmap(native, number)
                && filter.cases(native, number).iter().any(|case| matches!(case.answer, Action::Allow | Action::Log))
        })
        .collect();
    if let Some(first) = slow.first() {
        notes.push(
            Note::new(Severity::Note, subject.decided_at(first))
                .wrote(format!("conditions on {}, or LOG for it", words::list(&slow)))
                .kernel("each of these calls runs the filter; the kernel's bitmap answers the others")
                .instead("allow without conditions, and judge where the descriptor is made"),
        );
    }
}
