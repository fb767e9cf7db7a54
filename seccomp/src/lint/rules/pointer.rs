//! SL18: a condition on an address.

use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::signature::{Kind, parameter, parameters};
use super::super::subject::Subject;
use super::super::words;

pub(super) static RULE: Rule = Rule {
    id: "SL18",
    slug: "pointer",
    severity: Severity::Error,
    title: "condition on an address",
    why: "An argument that is a pointer reaches the filter as an address, which the program chooses; what stands there the filter \
          cannot read. A comparison with a number says nothing about a path, a structure or a socket address. Only \
          \"is null\" has a meaning.",
    advice: "Paths are Landlock's and the mounts' business, socket addresses the packet fence's. Flags stand in another argument.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["openat"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 1, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["openat"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 2, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.applying() {
        for arg in &rule.args {
            let null = matches!(arg.op.as_str(), "SCMP_CMP_EQ" | "SCMP_CMP_NE" | "SCMP_CMP_GT") && arg.value == 0;
            let about = rule
                .names
                .iter()
                .find(|name| parameter(name, arg.index).is_some_and(|parameter| parameter.kind == Kind::Pointer));
            let Some(name) = about.filter(|_| !null) else { continue };
            let flags = parameters(name).iter().position(|parameter| parameter.kind == Kind::Flags);
            let instead = match flags {
                Some(index) => format!("\"index\": {index} is {name}'s flags; its path cannot be judged here"),
                None => "no condition: a filter cannot read what the address leads to".to_owned(),
            };
            notes.push(
                Note::new(Severity::Error, &arg.at)
                    .wrote(format!("{} of {name}", arg.words()))
                    .kernel(format!(
                        "{} of {name} is an address: whether the call is made depends on where the program put it",
                        words::argument(name, arg.index)
                    ))
                    .instead(instead),
            );
        }
    }
}
