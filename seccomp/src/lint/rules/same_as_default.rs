//! SL06: a rule that is the default action.

use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;

pub(super) static RULE: Rule = Rule {
    id: "SL06",
    slug: "same-as-default",
    severity: Severity::Error,
    title: "a rule whose action is the default is dropped",
    why: "Engines do not load a rule whose action equals the default action. As an exception to another rule for the same \
          call it is lost: \"refuse open\" beside \"allow open if …\" under a default of allow refuses every open. Alone it \
          changes nothing (except where runc draws its line for calls that are newer than the profile).",
    advice: "State the exception in the rule that it is an exception to, as a condition; or choose the other default.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 },
  { "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 0, "op": "SCMP_CMP_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
    "args": [{ "index": 1, "value": 0, "op": "SCMP_CMP_GT" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for (index, rule) in subject.rules.iter().enumerate() {
        if rule.dropped.is_some() || Some(rule.action) != subject.default {
            continue;
        }
        let args = rule.example().unwrap_or([0; 6]);
        // Another rule decides what this one says.
        let overruled: Vec<&String> = rule
            .names
            .iter()
            .filter(|name| subject.answer(name, args).is_some_and(|answer| answer != rule.action))
            .collect();
        let note = Note::new(Severity::Error, &rule.at).wrote(rule.words());
        match overruled.first() {
            Some(name) => {
                let answer = subject.answer(name, args).map_or(String::new(), words::answer);
                let shown = words::call(name, &rule.shown(&args));
                notes.push(
                    note.kernel(format!("the rule is not loaded: {shown} {answer}")).instead(
                        "put the condition into the other rule for the call, or choose the other default action",
                    ),
                );
            }
            None => {
                let edit = subject.source;
                let edit = edit
                    .and_then(|source| Edit::remove_elements(source, &format!("{}syscalls", subject.prefix), &[index]));
                notes.push(
                    Note { severity: Severity::Note, ..note }
                        .kernel("the rule is not loaded, and nothing changes")
                        .instead("leave it out")
                        .edit(edit),
                );
            }
        }
    }
}
