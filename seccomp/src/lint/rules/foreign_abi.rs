//! SL08: ABIs that are listed and not watched, or not listed and needed.

use super::super::deeds::DEEDS;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::{Action, Arch, lookup};

pub(super) static RULE: Rule = Rule {
    id: "SL08",
    slug: "foreign-abi",
    severity: Severity::Error,
    title: "an ABI that nobody watched",
    why: "Rules name calls, and the ABIs of one kernel have different names for the same function: i386 has umount beside \
          umount2, stime beside clock_settime, and calls that end in 64 or 32. A listed ABI whose names are missing from a \
          list of refusals is a way round it. An ABI that is not listed is closed: its programs are killed at \
          their first call, which surprises whoever runs a 32-bit program.",
    advice: "List the ABIs that the workload needs and no other (most need none but the native one), and refuse their names too.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
  { "names": ["umount2", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  "syscalls": [
  { "names": ["umount", "umount2", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

/// Names of the 64-bit ABIs, and further ones that do the same under the 32-bit ABI beside them.
const TWINS: &[(&str, &[&str])] = &[
    ("umount2", &["umount"]),
    ("clock_settime", &["clock_settime64", "stime"]),
    ("settimeofday", &["stime"]),
    ("clock_adjtime", &["clock_adjtime64"]),
    ("chown", &["chown32"]),
    ("fchown", &["fchown32"]),
    ("lchown", &["lchown32"]),
    ("setuid", &["setuid32"]),
    ("setgid", &["setgid32"]),
    ("setgroups", &["setgroups32"]),
    ("setresuid", &["setresuid32"]),
    ("setresgid", &["setresgid32"]),
    ("truncate", &["truncate64"]),
    ("ftruncate", &["ftruncate64"]),
    ("sendfile", &["sendfile64"]),
    ("fcntl", &["fcntl64"]),
    ("mmap", &["mmap2"]),
    ("select", &["_newselect"]),
    ("rt_sigreturn", &["sigreturn"]),
];

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    if subject.filter.is_none() || subject.form == super::super::Form::Compiled {
        return;
    }
    let native = subject.native();
    let (mut closed, mut closed_answer) = (Vec::new(), Action::KillThread);
    for abi in native.family().iter().copied().filter(|abi| *abi != native) {
        let answer = subject.answer_on(abi, "getpid", [0; 6]).unwrap_or(Action::KillProcess);
        if subject.profile.as_ref().is_some_and(|profile| profile.table(abi).is_none()) {
            closed.push(words::abi(abi));
            closed_answer = answer;
            continue;
        }
        watched(subject, native, abi, notes);
    }
    // A list of ours says what foreign calls get: nobody is surprised.
    if !closed.is_empty() && subject.source.is_some() {
        let at = format!("{}architectures", subject.prefix);
        notes.push(
            Note::new(Severity::Note, at)
                .wrote(format!("no rule for {}: not among the architectures", words::list(&closed)))
                .kernel(format!("every {} call {}", words::list(&closed), words::answer(closed_answer)))
                .instead("nothing, unless the workload has 32-bit programs: then list their ABI, and watch its names"),
        );
    }
}

fn watched(subject: &Subject<'_>, native: Arch, abi: Arch, notes: &mut Vec<Note>) {
    let refused = |name: &str| subject.answer_on(native, name, [0; 6]).is_some_and(Action::refuses);
    let permitted = |name: &str| subject.answer_on(abi, name, [0; 6]).is_some_and(Action::permits);
    for (name, twins) in TWINS.iter().filter(|(name, _)| refused(name)) {
        let open: Vec<&str> = twins.iter().copied().filter(|twin| permitted(twin)).collect();
        if let Some(first) = open.first() {
            notes.push(
                Note::new(Severity::Error, subject.decided_at(name))
                    .wrote(format!("{name} is refused"))
                    .kernel(format!(
                        "on {}, {first}, which does the same, {}",
                        words::abi(abi),
                        words::answer(Action::Allow)
                    ))
                    .instead(format!("name {} beside it", words::list(&open))),
            );
        }
    }
    // The same call with the same arguments, judged otherwise.
    for deed in DEEDS {
        let here = |name: &str, args| lookup(name).and_then(|_| subject.answer_on(native, name, args));
        for name in deed.fate(&here).refused {
            let args = deed.args(name);
            if subject.answer_on(abi, name, args).is_some_and(Action::permits) {
                notes.push(
                    Note::new(Severity::Error, subject.decided_at(name))
                        .wrote(format!("{name} is refused, which is a way to {}", deed.what))
                        .kernel(format!("on {} the same call is made", words::abi(abi)))
                        .instead(format!("leave {} out of the architectures", abi.scmp())),
                );
            }
        }
    }
}
