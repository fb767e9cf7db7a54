//! SL02: a condition that an unconditional rule for the same call makes void.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;

pub(super) static RULE: Rule = Rule {
    id: "SL02",
    slug: "swallowed",
    severity: Severity::Error,
    title: "a rule without conditions swallows the conditional one",
    why: "Where a call has a rule without conditions, libseccomp drops every rule with conditions for it, whatever the order. \
          The exception that somebody wrote is not there: neither as a refusal beside a general permission, nor as a \
          permission beside a general refusal.",
    advice: "Take the call out of the rule without conditions. What is to happen otherwise is the default action, or a \
             second rule with the opposite condition.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["read", "write", "ioctl"], "action": "SCMP_ACT_ALLOW" },
  { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25,
    "args": [{ "index": 1, "value": 4294967295, "valueTwo": 21522, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25,
    "args": [{ "index": 1, "value": 4294967295, "valueTwo": 21522, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.active().filter(|rule| !rule.unconditional()) {
        let Some(args) = rule.example() else { continue };
        let swallowed: Vec<&String> = rule
            .names
            .iter()
            .filter(|name| {
                let general = subject.active().find(|other| other.unconditional() && other.names.contains(name));
                general.is_some_and(|general| {
                    general.action != rule.action && subject.answer(name, args) == Some(general.action)
                })
            })
            .collect();
        let Some(name) = swallowed.first() else { continue };
        let general = subject.active().find(|other| other.unconditional() && other.names.contains(name));
        let place = general.map_or(String::new(), |general| {
            let place = subject.source.map(|source| source.place(source.span(&general.at).start));
            place.map_or(String::new(), |place| format!(" (line {})", place.line))
        });
        let answer = subject.answer(name, args).map_or(String::new(), words::answer);
        notes.push(
            Note::new(Severity::Error, &rule.at)
                .wrote(rule.words())
                .kernel(format!(
                    "{} {answer}: the rule without conditions decides",
                    words::call(name, &rule.shown(&args))
                ))
                .instead(format!("take {} out of the rule without conditions{place}", words::list(&swallowed))),
        );
    }
}
