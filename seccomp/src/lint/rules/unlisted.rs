//! SL15: what calls get that nobody listed, and numbers that are no answer.

use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::options::Engine;
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use crate::Action;

pub(super) static RULE: Rule = Rule {
    id: "SL15",
    slug: "unlisted",
    severity: Severity::Error,
    title: "wrong answer to calls that nobody listed, or an errno that is none",
    why: "A default of allow lets through every call that is not listed, and every call that later kernels bring. A default \
          of EPERM for calls that the profile does not know breaks programs that try a new call first and fall back \
          on ENOSYS only. An ERRNO rule with errnoRet 0 makes the call report success without being made; \
          engines refuse errnoRet on an action that takes none, or ignore it.",
    advice: "Default ERRNO with defaultErrnoRet 38 (ENOSYS), what is wanted listed as allowed, and what is known and refused \
             listed with EPERM.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [
  { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
  { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
] }"#,
    ),
    check,
};

/// No kernel has this many calls.
const UNKNOWN: u32 = 4000;
const ENOSYS: u16 = 38;

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    default(subject, notes);
    let mut silent = None;
    for rule in &subject.rules {
        match (rule.action, rule.errno) {
            (Action::Errno(0), _) => {
                let name = rule.names.first().map_or("the call", String::as_str);
                notes.push(
                    Note::new(Severity::Error, format!("{}.errnoRet", rule.at))
                        .wrote(rule.words())
                        .kernel(format!("{name} {}", words::answer(Action::Errno(0))))
                        .instead("\"errnoRet\": 1"),
                );
            }
            (Action::Errno(_), None) => silent = silent.or(Some(rule)),
            (Action::Errno(_) | Action::Trace(_), _) | (_, None) => {}
            (_, Some(_)) => {
                let at = format!("{}.errnoRet", rule.at);
                let edit = subject.source.and_then(|source| Edit::remove_member(source, &at));
                notes.push(
                    Note::new(Severity::Warning, &at)
                        .wrote(format!("errnoRet beside {}", rule.word))
                        .kernel("the action has no number: some engines refuse the profile, others ignore it")
                        .instead("leave errnoRet out")
                        .edit(edit),
                );
            }
        }
    }
    if let Some(rule) = silent {
        notes.push(
            Note::new(Severity::Note, format!("{}.action", rule.at))
                .wrote("SCMP_ACT_ERRNO without errnoRet")
                .kernel(words::answer(Action::Errno(1)))
                .instead("\"errnoRet\": 1, so that nobody has to know"),
        );
    }
}

fn default(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(answer) = subject.answer_number(subject.native(), UNKNOWN) else { return };
    let at = format!("{}defaultAction", subject.prefix);
    if answer.permits() {
        let open = subject
            .calls()
            .filter(|(_, number)| subject.answer_number(subject.native(), *number).is_some_and(Action::permits));
        notes.push(
            Note::new(Severity::Warning, at)
                .wrote("everything that is not listed is allowed")
                .kernel(format!(
                    "{} of the calls that are known today are made, and all that later kernels bring",
                    open.count()
                ))
                .instead(
                    "\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 38, and a list of what is needed",
                ),
        );
        return;
    }
    let note = match answer {
        Action::Errno(ENOSYS) => match subject.default {
            Some(written @ Action::Errno(number))
                if number != ENOSYS && subject.source.is_some() && subject.options.engine != Some(Engine::Runc) =>
            {
                let kernel = format!(
                    "under runc a call newer than the profile fails with ENOSYS, under other engines it {}",
                    words::answer(written)
                );
                Note::new(Severity::Note, at).kernel(kernel)
            }
            _ => return,
        },
        other => Note::new(Severity::Warning, at).kernel(format!(
            "a call newer than the profile {}, and programs do not fall back to the older one",
            words::answer(other)
        )),
    };
    notes.push(
        note.wrote("calls that are not listed are refused")
            .instead("\"defaultErrnoRet\": 38, and what is known and refused listed with errnoRet 1"),
    );
}
