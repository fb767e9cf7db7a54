//! SL05: masked comparisons that cannot mean what they say.

use super::super::edit::Edit;
use super::super::finding::{Note, Severity};
use super::super::options::Engine;
use super::super::rule::{Rule, Sample};
use super::super::signature::parameter;
use super::super::subject::Subject;
use super::super::words;
use super::super::written::{Arg, Written};

pub(super) static RULE: Rule = Rule {
    id: "SL05",
    slug: "masked-compare",
    severity: Severity::Error,
    title: "masked comparison that does not compare what it says",
    why: "SCMP_CMP_MASKED_EQ holds if argument & value == valueTwo: value is the mask. With the mask 0 it looks at no bit and \
          always holds; O_RDONLY is 0, so \"has the bit O_RDONLY\" is such a condition. Bits of valueTwo outside the mask \
          can never be met and are dropped, or make the condition impossible, depending on the engine. Engines also \
          differ in which of the two numbers is the mask.",
    advice: "Read-only is a condition on the access mode: value 3 (O_ACCMODE), valueTwo 0. Keep valueTwo inside value.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["open"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 1, "value": 0, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["open"], "action": "SCMP_ACT_ALLOW",
    "args": [{ "index": 1, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    check,
};

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    // Also in rules that are dropped for being the default: the author has to know both.
    for rule in subject.applying() {
        for arg in rule.args.iter().filter(|arg| arg.op == "SCMP_CMP_MASKED_EQ") {
            if arg.value == 0 {
                notes.push(vacuous(subject, rule, arg));
            } else if arg.value_two & !arg.value != 0 {
                notes.push(outside(subject, arg));
            } else if subject.options.engine == Some(Engine::Youki) && arg.value != arg.value_two {
                notes.push(
                    Note::new(Severity::Warning, &arg.at)
                        .wrote(arg.words())
                        .kernel("this engine may take the two numbers in the other order")
                        .instead(
                            "keep masked comparisons out of OCI JSON: a filter of its own says it for every engine",
                        ),
                );
            }
        }
    }
}

fn vacuous(subject: &Subject<'_>, rule: &Written, arg: &Arg) -> Note {
    let name = rule.names.first().map_or("the call", String::as_str);
    let mut args = [0; 6];
    args[usize::from(arg.index)] = 0o1101;
    let shown = words::call(name, &[(arg.index, 0o1101)]);
    let answer = subject.answer(name, args).map(words::answer);
    let dropped = Some(rule.action) == subject.default;
    let kernel = match answer {
        Some(answer) if dropped => {
            format!("the condition holds for every number; {shown} {answer}, because the rule itself is dropped (SL06)")
        }
        Some(answer) => format!("the condition holds for every number: {shown} {answer}"),
        None => "the condition holds for every number".to_owned(),
    };
    let flags = rule.names.iter().find_map(|name| {
        (0u8..6).find(|index| parameter(name, *index).is_some_and(|p| p.name == "flags")).map(|index| (name, index))
    });
    let instead = match flags {
        Some((name, index)) if name.starts_with("open") => format!(
            r#"{{ "index": {index}, "value": 3, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }} for {name}: the access mode is O_RDONLY"#
        ),
        _ => "a mask that has the bits to be looked at, or no condition".to_owned(),
    };
    Note::new(Severity::Error, &arg.at).wrote(arg.words()).kernel(kernel).instead(instead)
}

fn outside(subject: &Subject<'_>, arg: &Arg) -> Note {
    let swapped = arg.value & !arg.value_two == 0;
    let kept = arg.value_two & arg.value;
    let instead = if swapped {
        format!("\"value\": {}, \"valueTwo\": {}: value is the mask", arg.value_two, arg.value)
    } else {
        format!("\"valueTwo\": {kept}")
    };
    let edit = subject.source.filter(|_| !swapped);
    let edit = edit.and_then(|source| Edit::replace(source, &format!("{}.valueTwo", arg.at), kept.to_string()));
    Note::new(Severity::Error, &arg.at)
        .wrote(arg.words())
        .kernel(format!(
            "no argument meets that; libseccomp drops the bits {} and compares with {}",
            words::number(arg.value_two & !arg.value),
            words::number(kept)
        ))
        .instead(instead)
        .edit(edit)
}
