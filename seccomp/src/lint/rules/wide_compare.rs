//! SL01: a 64-bit comparison of a 32-bit argument.

use super::super::edit::Edit;
use super::super::filter::HIGH;
use super::super::finding::{Note, Severity};
use super::super::rule::{Rule, Sample};
use super::super::signature::{parameter, parameters};
use super::super::subject::Subject;
use super::super::words;
use super::super::written::{Arg, Written, meeting, missing};
use crate::{Action, Width};

pub(super) static RULE: Rule = Rule {
    id: "SL01",
    slug: "wide-compare",
    severity: Severity::Error,
    title: "64-bit comparison of a 32-bit argument",
    why: "A filter sees whole registers. The kernel uses only the low half of an int, so a program puts anything into the \
          upper half, and a comparison of all 64 bits sees another number than the kernel does. libseccomp compares all \
          64 bits with every operator but SCMP_CMP_MASKED_EQ with a mask that ends at bit 31.",
    advice: "Compare with SCMP_CMP_MASKED_EQ and the mask 4294967295 (value is the mask, valueTwo what has to be left). \
             \"Anything but N\" cannot be said that way in OCI JSON: refuse N by a rule, or allow the numbers that are wanted.",
    fires: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
    "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_EQ" }] }
] }"#,
    ),
    silent: Sample::text(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
  { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
    "args": [{ "index": 0, "value": 4294967295, "valueTwo": 40, "op": "SCMP_CMP_MASKED_EQ" }] }
] }"#,
    ),
    check,
};

/// A call with and without something in the upper half of one argument.
struct Evasion {
    call: String,
    index: u8,
    value: u64,
    plain: Action,
    high: Action,
}

fn check(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    for rule in subject.active() {
        for arg in &rule.args {
            let found: Vec<Evasion> = rule.names.iter().filter_map(|name| evasion(subject, rule, arg, name)).collect();
            if let Some(evasion) = found.iter().find(|evasion| opens(evasion)).or(found.first()) {
                notes.push(note(subject, rule, arg, evasion));
            }
        }
    }
    if subject.source.is_none() {
        compiled(subject, notes);
    }
}

fn opens(evasion: &Evasion) -> bool {
    evasion.plain.stricter_than(evasion.high)
}

/// Does the upper half of this argument change the answer?
fn evasion(subject: &Subject<'_>, rule: &Written, arg: &Arg, name: &str) -> Option<Evasion> {
    parameter(name, arg.index).filter(|parameter| parameter.width == Width::W32)?;
    let values = [meeting(&arg.condition), missing(&arg.condition)];
    let found: Vec<Evasion> = values
        .into_iter()
        .flatten()
        .filter(|value| *value <= u64::from(u32::MAX))
        .filter_map(|value| {
            let mut args = [0; 6];
            for other in rule.args.iter().filter(|other| other.index != arg.index) {
                args[usize::from(other.index)] = meeting(&other.condition)?;
            }
            args[usize::from(arg.index)] = value;
            let plain = subject.answer(name, args)?;
            args[usize::from(arg.index)] = value | HIGH;
            let high = subject.answer(name, args)?;
            (plain != high).then(|| Evasion { call: name.to_owned(), index: arg.index, value, plain, high })
        })
        .collect();
    let opening = found.iter().position(opens).unwrap_or(0);
    found.into_iter().nth(opening)
}

fn shows(evasion: &Evasion) -> String {
    let Evasion { call, index, value, plain, high } = evasion;
    format!(
        "{} {}; {}, which the kernel takes for the same, {}",
        words::call(call, &[(*index, *value)]),
        words::answer(*plain),
        words::call(call, &[(*index, value | HIGH)]),
        words::answer(*high)
    )
}

fn severity(evasion: &Evasion) -> Severity {
    if opens(evasion) { Severity::Error } else { Severity::Note }
}

fn note(subject: &Subject<'_>, rule: &Written, arg: &Arg, evasion: &Evasion) -> Note {
    let masked = (arg.op == "SCMP_CMP_EQ").then(|| {
        format!(
            r#"{{ "index": {}, "value": 4294967295, "valueTwo": {}, "op": "SCMP_CMP_MASKED_EQ" }}"#,
            arg.index,
            arg.value & u64::from(u32::MAX)
        )
    });
    let instead = masked.clone().unwrap_or_else(|| {
        "allow the numbers that are wanted, each with SCMP_CMP_MASKED_EQ and the mask 4294967295".to_owned()
    });
    // Where the rule allows, the wider comparison is the stricter one: a person has to decide that.
    let edit = masked.filter(|_| rule.action.refuses()).and_then(|text| {
        let source = subject.source?;
        Edit::new(vec![(source.span(&arg.at), text)])
    });
    let name = words::argument(&evasion.call, arg.index);
    Note::new(severity(evasion), &arg.at)
        .wrote(format!("{}; {name} of {} is an int", arg.words(), evasion.call))
        .kernel(shows(evasion))
        .instead(instead)
        .edit(edit)
}

/// A compiled filter, or a list: every call whose parameters are known.
fn compiled(subject: &Subject<'_>, notes: &mut Vec<Note>) {
    let Some(filter) = &subject.filter else { return };
    let abi = subject.native();
    for (call, number) in subject.calls() {
        let parameters = parameters(call.name());
        let cases = filter.cases(abi, number);
        let evasion = cases.iter().find_map(|case| {
            (0u8..6).zip(parameters).filter(|(_, parameter)| parameter.width == Width::W32).find_map(|(index, _)| {
                let mut args = case.args;
                args[usize::from(index)] &= u64::from(u32::MAX);
                let (value, plain) = (args[usize::from(index)], filter.answer(abi, number, args));
                args[usize::from(index)] |= HIGH;
                let high = filter.answer(abi, number, args);
                let call = call.name().to_owned();
                plain.stricter_than(high).then_some(Evasion { call, index, value, plain, high })
            })
        });
        if let Some(evasion) = evasion {
            notes.push(
                Note::new(Severity::Error, call.name())
                    .wrote(format!("a comparison of all 64 bits of {}", words::argument(call.name(), evasion.index)))
                    .kernel(shows(&evasion))
                    .instead("compare the low half only: load the word at the lower offset and no other"),
            );
        }
    }
}
