//! SL20: an answer that ends one thread of several.

use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL20",
    slug: "kill-thread",
    severity: Severity::Warning,
    title: "the answer kills one thread and leaves the others",
    why: "SCMP_ACT_KILL means KILL_THREAD. In a program with threads one of them is gone, with its locks held; the others wait \
          for it for ever, and nothing restarts the container.",
    advice: "SCMP_ACT_KILL_PROCESS, or an errno.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ptrace"], "action": "SCMP_ACT_KILL" }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS" }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let threads = || {
        ["clone", "clone3"]
            .iter()
            .any(|name| subject.answer(name, [0x003d_0f00, 0, 0, 0, 0, 0]).is_some_and(Action::permits))
    };
    let Some(source) = subject.source else {
        // In a compiled filter the first such call stands for all.
        let first = subject
            .calls()
            .find(|(_, number)| subject.answer_number(subject.native(), *number) == Some(Action::KillThread));
        if let Some((call, _)) = first.filter(|_| threads()) {
            notes.push(
                Note::new(Severity::Warning, call.name())
                    .wrote(format!("{} and others are answered with KILL_THREAD", call.name()))
                    .kernel("one thread ends, the others go on without it")
                    .instead("KILL_PROCESS, or an errno"),
            );
        }
        return;
    };
    if !threads() {
        return;
    }
    let default = (subject.default == Some(Action::KillThread)).then(|| format!("{}defaultAction", subject.prefix));
    let rules = subject.active().filter(|rule| rule.action == Action::KillThread);
    let places = rules.map(|rule| (format!("{}.action", rule.at), rule.words()));
    for (at, wrote) in default.map(|at| (at, "every call that is not listed".to_owned())).into_iter().chain(places) {
        notes.push(
            Note::new(Severity::Warning, &at)
                .wrote(wrote)
                .kernel(format!("the call {}, the process goes on without it", words::answer(Action::KillThread)))
                .instead("\"SCMP_ACT_KILL_PROCESS\"")
                .edit(Edit::replace(source, &at, "\"SCMP_ACT_KILL_PROCESS\"")),
        );
    }
}
