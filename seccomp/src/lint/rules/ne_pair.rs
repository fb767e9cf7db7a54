//! SL03: two NE rules on one argument.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::subject::Subject;
use super::super::words;
use super::super::written::{Arg, Written};

pub(super) static RULE: Rule = Rule {
    id: "SL03",
    slug: "ne-pair",
    severity: Severity::Error,
    title: "two \"not equal\" conditions that always hold together",
    why: "Rules for one call are alternatives. \"Not A\" or \"not B\" holds for every number: for A because it is not B, for B \
          because it is not A. So both numbers that were to be excluded get the rule's action.",
    advice: "Turn it round: a rule with the opposite action for each number, with SCMP_CMP_EQ (masked, where the argument \
             is an int), under a default that is the action wanted for the rest.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
  { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 38, "op": "SCMP_CMP_NE" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let alone = |rule: &Written| rule.args.len() == 1 || rule.repeats();
    let conditions: Vec<(&Written, &Arg)> = subject
        .active()
        .filter(|rule| alone(rule))
        .flat_map(|rule| rule.args.iter().map(move |arg| (rule, arg)))
        .filter(|(_, arg)| arg.op == "SCMP_CMP_NE")
        .collect();
    for (later, (rule, arg)) in conditions.iter().enumerate() {
        let pair = conditions[..later].iter().find_map(|(other, before)| {
            let name = rule.names.iter().find(|name| other.names.contains(name))?;
            let about_one = before.index == arg.index && before.value != arg.value && other.action == rule.action;
            let got = |value| {
                let mut args = [0; 6];
                args[usize::from(arg.index)] = value;
                subject.answer(name, args)
            };
            let both = about_one && got(arg.value) == Some(rule.action) && got(before.value) == Some(rule.action);
            both.then_some((name, before))
        });
        if let Some((name, before)) = pair {
            let answer = words::answer(rule.action);
            notes.push(
                Note::new(Severity::Error, &arg.at)
                    .wrote(format!("{} for {name} where {}, and where {}", rule.word, before.words(), arg.words()))
                    .kernel(format!(
                        "{} {answer}, {} {answer}: so does every other",
                        words::call(name, &[(arg.index, before.value)]),
                        words::call(name, &[(arg.index, arg.value)])
                    ))
                    .instead("one rule with the opposite action and SCMP_CMP_EQ for each of the two numbers"),
            );
        }
    }
}
