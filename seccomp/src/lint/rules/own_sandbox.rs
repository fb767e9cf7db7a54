//! SL24: the workload cannot confine itself.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL24",
    slug: "own-sandbox",
    severity: Severity::Warning,
    title: "the workload may not confine itself",
    why: "seccomp and Landlock only take rights away, and need no privilege. Programs that confine their own parts (OpenSSH, \
          browsers, systemd, postgres' helpers, zerocap's launcher) use them; refused, they go on unconfined or not at all. \
          Refusing them makes nothing safer.",
    advice: "Allow seccomp, prctl and the three landlock calls.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["seccomp", "landlock_restrict_self"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

const CALLS: &[(&str, [u64; 6])] = &[
    ("seccomp", [1, 0, 0, 0, 0, 0]),
    ("prctl", [22, 2, 0, 0, 0, 0]),
    ("landlock_create_ruleset", [0; 6]),
    ("landlock_add_rule", [0; 6]),
    ("landlock_restrict_self", [0; 6]),
];

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let refused: Vec<&str> = CALLS
        .iter()
        .filter(|(name, args)| subject.answer(name, *args).is_some_and(Action::refuses))
        .map(|(name, _)| *name)
        .collect();
    let Some(first) = refused.first() else { return };
    let answer = CALLS.iter().find(|(name, _)| name == first).and_then(|(name, args)| subject.answer(name, *args));
    notes.push(
        Note::new(Severity::Warning, subject.decided_at(first))
            .wrote(format!("{} {} not allowed", words::list(&refused), if refused.len() == 1 { "is" } else { "are" }))
            .kernel(format!("{first} {}", words::answer(answer.unwrap_or(Action::KillProcess))))
            .instead(format!("allow {}", words::list(&refused))),
    );
}
