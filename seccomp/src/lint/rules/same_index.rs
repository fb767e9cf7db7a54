//! SL04: one argument index twice in a rule.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use super::super::written::meeting;

pub(super) static RULE: Rule = Rule {
    id: "SL04",
    slug: "same-index",
    severity: Severity::Error,
    title: "one argument twice in a rule means \"or\"",
    why: "Conditions of one rule mean \"and\", until two of them are about the same argument. Then engines load every \
          condition of the rule as a rule of its own, also those about other arguments. A range written as \"at least A\" \
          and \"at most B\" so holds for every number.",
    advice: "Write one rule for each alternative. OCI JSON cannot say \"and\" about one argument: a mask sometimes says the \
             same, else the condition belongs into a filter of its own (a list for `zerocap seccomp compile`).",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["setpriority"], "action": "SCMP_ACT_ALLOW", "args": [
    { "index": 2, "value": 5, "op": "SCMP_CMP_GE" },
    { "index": 2, "value": 10, "op": "SCMP_CMP_LE" } ] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["setpriority"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 2, "value": 10, "op": "SCMP_CMP_LE" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.active().filter(|rule| rule.repeats()) {
        // A list of numbers of one argument means what it looks like.
        let list = rule.args.iter().all(|arg| arg.op == "SCMP_CMP_EQ" && arg.index == rule.args[0].index);
        let Some(name) = rule.names.first() else { continue };
        // Arguments for which one condition holds and another does not.
        let witness = rule.args.iter().find_map(|arg| {
            let values = [meeting(&arg.condition)?, 0, u64::MAX, arg.value.wrapping_add(1 << 20)];
            values.into_iter().find_map(|value| {
                let mut args = [0; 6];
                args[usize::from(arg.index)] = value;
                let apart = arg.condition.holds(&args) && !rule.args.iter().all(|other| other.condition.holds(&args));
                (apart && subject.answer(name, args) == Some(rule.action)).then_some((arg, args))
            })
        });
        let Some((arg, args)) = witness else { continue };
        let conditions: Vec<String> = rule.args.iter().map(|arg| arg.words()).collect();
        notes.push(
            Note::new(if list { Severity::Note } else { Severity::Error }, format!("{}.args", rule.at))
                .wrote(conditions.join(" and "))
                .kernel(format!(
                    "{} {}: {} alone is enough",
                    words::call(name, &rule.shown(&args)),
                    words::answer(rule.action),
                    arg.words()
                ))
                .instead(if list {
                    "a rule for each number: the same, and nobody takes it for \"and\""
                } else {
                    "one rule for each alternative, or one condition that says it with a mask"
                }),
        );
    }
}
