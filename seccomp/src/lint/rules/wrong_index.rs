//! SL12: a condition on the wrong argument.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::signature::{Argument, is_known, parameter, parameters};
use super::super::subject::Subject;
use super::super::words;
use super::super::written::{Arg, Written};

pub(super) static RULE: Rule = Rule {
    id: "SL12",
    slug: "wrong-index",
    severity: Severity::Error,
    title: "argument index that means something else in this call",
    why: "Calls of one family have their arguments in different places: flags are argument 1 of open and argument 2 of openat, \
          whose argument 1 is the address of the path. A rule that names both with one index compares an address in one of \
          them.",
    advice: "Write a rule for each call, with the index that the manual page of that call gives.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["open", "openat"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 1, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["open"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 1, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
  { "names": ["openat"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 2, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.applying() {
        for arg in &rule.args {
            if let Some(note) = beyond(rule, arg).or_else(|| differing(rule, arg)) {
                notes.push(note);
            }
        }
    }
}

/// The call has fewer arguments.
fn beyond(rule: &Written, arg: &Arg) -> Option<Note> {
    let (name, count) = rule.names.iter().find_map(|name| {
        let count = parameters(name).len();
        (is_known(name) && count <= usize::from(arg.index)).then_some((name, count))
    })?;
    let note = Note::new(Severity::Error, &arg.at)
        .wrote(format!("{} of {name}", arg.words()))
        .kernel(format!("{name} has {count} arguments: the register holds whatever the program left in it"))
        .instead("an index that the call has");
    Some(note)
}

/// The index means one thing in one of the calls and another in the next.
fn differing(rule: &Written, arg: &Arg) -> Option<Note> {
    let known: Vec<(&String, Argument)> =
        rule.names.iter().filter_map(|name| Some((name, parameter(name, arg.index)?))).collect();
    let (first, meant) = known.first()?;
    let (name, found) = known.iter().find(|(_, found)| found.kind != meant.kind)?;
    // Where the other call has what is meant in this one.
    let place = |call: &str, wanted: &Argument| {
        parameters(call).iter().position(|known| known.kind == wanted.kind && known.name == wanted.name)
    };
    let (meant_name, found_name) = (meant.name, found.name);
    let correct = match (place(name, meant), place(first, found)) {
        (Some(index), _) => format!("{meant_name} is argument {index} of {name}: a rule of its own for {name}"),
        (None, Some(index)) => format!("{found_name} is argument {index} of {first}: a rule of its own for {first}"),
        (None, None) => format!("a rule of its own for {name}"),
    };
    let note = Note::new(Severity::Error, &arg.at)
        .wrote(format!("{} for {}", arg.words(), words::list(&rule.names)))
        .kernel(format!("it compares {meant_name} of {first} and {found_name} of {name}"))
        .instead(correct);
    Some(note)
}
