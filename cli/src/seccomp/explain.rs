//! `zerocap seccomp explain`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::intent::{Intent, Line, Place, closest};
use zerocap_seccomp::{Action, Decision, Syscall, lookup, names as all_names};

use super::names::{self, Variant};
use super::source::{Content, Source};
use super::words;
use crate::args::Output;
use crate::failure::{Failure, NO};
use crate::out::outln;
use crate::table;

const HELP: &str = "\
Arguments are numbers, or names of constants with | between them. Without arguments, every rule of the call is shown in \
the order in which they are asked; arguments that are not given are 0.

  Why does this socket fail?
    zerocap seccomp explain socket AF_INET 'SOCK_RAW|SOCK_CLOEXEC' IPPROTO_ICMP --profile strict

  What may clone do?
    zerocap seccomp explain clone --profile model-backend

Exit status:
  0  the call is permitted, or no arguments were given
  1  the call is refused
  2  the call, an argument or the profile cannot be understood";

/// `zerocap seccomp explain`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP, allow_negative_numbers = true)]
pub struct Arguments {
    /// The call's name
    syscall: String,

    /// Its arguments
    #[arg(value_parser = words::parse, num_args = 0..=6)]
    args: Vec<u64>,

    /// A preset or a file
    #[arg(long, value_name = "PROFILE", default_value = "general")]
    profile: String,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    variant: Variant,
}

/// What decides a call.
struct Reason {
    action: Action,
    /// The rule, in words.
    rule: String,
    why: String,
    /// Where it is written.
    place: String,
}

/// Explains.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let variant = &arguments.variant;
    let call = find(&arguments.syscall)?;
    let Some(number) = call.number(variant.arch) else {
        let message = format!("{} has no call {}", variant.arch.name(), call.name());
        return Err(Failure::bad_input(ZcError::new(code::filter::NO_SUCH_CALL, message, "ask for another --arch")));
    };
    let source = Source::open(&arguments.profile)?;
    let on = source.on(variant)?;
    let rules = match &source.content {
        Content::Written(intent) => written(&source, intent, variant, call, &on),
        Content::Oci(_) | Content::Compiled(_) => {
            let profile = source.profile(variant)?;
            let missing = || Decision::always(profile.foreign);
            let decision = profile.table(variant.arch).map_or_else(missing, |table| {
                table.get(number).cloned().unwrap_or_else(|| Decision::always(table.missing(number)))
            });
            bare(call, &decision)
        }
    };
    if arguments.args.is_empty() {
        show_all(arguments, &source, call, &rules);
        return Ok(ExitCode::SUCCESS);
    }
    let mut args = [0; 6];
    args[..arguments.args.len()].copy_from_slice(&arguments.args);
    let (_, reason) = rules.iter().find(|(holds, _)| holds(&args)).ok_or_else(|| {
        // The last rule always holds; a profile without any would be a fault of this program.
        Failure::bad_input(ZcError::new(
            code::filter::PROFILE,
            format!("{}: nothing decides", source.name),
            "report this",
        ))
    })?;
    show_one(arguments, &source, call, reason);
    Ok(if reason.action.permits() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn find(name: &str) -> Result<Syscall, Failure> {
    lookup(name).ok_or_else(|| {
        let hint = closest(name, all_names().map(Syscall::name))
            .map_or_else(|| "write it as the manual pages do".to_owned(), |meant| format!("did you mean {meant}?"));
        let message = format!("no system call is called {}", table::clean(name));
        Failure::bad_input(ZcError::new(code::filter::NO_SUCH_CALL, message, hint))
    })
}

type Rules<'a> = Vec<(Box<dyn Fn(&[u64; 6]) -> bool + 'a>, Reason)>;

/// The rules of a list with reasons, in order; the last one always holds.
fn written<'a>(
    source: &Source,
    intent: &'a Intent,
    variant: &Variant,
    call: Syscall,
    on: &'a BTreeSet<&'a str>,
) -> Rules<'a> {
    let Some(line) = intent.line(variant.arch, call) else {
        let reason = Reason {
            action: intent.known(),
            rule: "no line: answers.known".to_owned(),
            why: String::new(),
            place: source.name.clone(),
        };
        return vec![(Box::new(|_| true), reason)];
    };
    let place = |place: &Place| {
        let file = if place.file.is_empty() { &source.name } else { &place.file };
        format!("{file} line {}", place.line)
    };
    let mut rules: Rules<'a> = Vec::new();
    for rule in line.rules.iter().filter(|rule| rule.active(on)) {
        let reason = Reason {
            action: rule.clause.action,
            rule: words::conditions(call.name(), &rule.clause.conditions),
            why: rule.why.clone().unwrap_or_else(|| line.why.clone()),
            place: place(&rule.place),
        };
        rules.push((Box::new(|args| rule.clause.applies(args)), reason));
        if rule.clause.conditions.is_empty() {
            return rules;
        }
    }
    rules.push((Box::new(|_| true), rest(line, place(&line.place), rules.is_empty())));
    rules
}

fn rest(line: &Line, place: String, only: bool) -> Reason {
    let rule = if only { "always" } else { "otherwise" };
    Reason { action: line.otherwise, rule: rule.to_owned(), why: line.why.clone(), place }
}

/// The clauses of a profile without reasons.
fn bare<'a>(call: Syscall, decision: &Decision) -> Rules<'a> {
    let mut rules: Rules<'a> = Vec::new();
    let reason = |action, rule: String| Reason { action, rule, why: String::new(), place: String::new() };
    for clause in decision.clauses.clone() {
        let reason = reason(clause.action, words::conditions(call.name(), &clause.conditions));
        rules.push((Box::new(move |args| clause.applies(args)), reason));
    }
    let rule = if rules.is_empty() { "always" } else { "otherwise" };
    rules.push((Box::new(|_| true), reason(decision.otherwise, rule.to_owned())));
    rules
}

fn json(reason: &Reason) -> Value {
    json!({ "answer": names::action(reason.action), "rule": reason.rule, "why": reason.why, "place": reason.place })
}

fn show_all(arguments: &Arguments, source: &Source, call: Syscall, rules: &Rules<'_>) {
    let arch = arguments.variant.arch.name();
    if arguments.output == Output::Json {
        let rules: Vec<Value> = rules.iter().map(|(_, reason)| json(reason)).collect();
        outln!("{:#}", json!({ "call": call.name(), "arch": arch, "profile": source.name, "rules": rules }));
        return;
    }
    outln!("{} on {arch} under {}: the first rule that holds decides", call.name(), source.name);
    let mut rows = table::table(&["where", "answer", "why", "written in"]);
    let mut last = "";
    for (_, reason) in rules {
        // The reason of the whole line is said once.
        let why = if reason.why == last { "″" } else { &reason.why };
        let row = [&reason.rule, &names::action(reason.action), why, &reason.place];
        rows.add_row(row.map(table::or_dash));
        last = &reason.why;
    }
    table::print("", &rows);
}

fn show_one(arguments: &Arguments, source: &Source, call: Syscall, reason: &Reason) {
    let arch = arguments.variant.arch.name();
    if arguments.output == Output::Json {
        let args = &arguments.args;
        outln!(
            "{:#}",
            json!({ "call": call.name(), "args": args, "arch": arch, "profile": source.name, "decided-by": json(reason) })
        );
        return;
    }
    let shown = words::call(call.name(), &arguments.args);
    outln!("{shown} on {arch} under {}: {}", source.name, names::action(reason.action));
    outln!("  rule        {}", reason.rule);
    if !reason.why.is_empty() {
        outln!("  why         {}", table::clean(&reason.why));
    }
    if !reason.place.is_empty() {
        outln!("  written in  {}", reason.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocap_seccomp::preset::Preset;
    use zerocap_seccomp::{Arch, Condition, Test};

    /// Values on both sides of what the conditions compare with.
    fn near(condition: &Condition) -> Vec<u64> {
        match condition.test() {
            Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => vec![*v, v ^ 1],
            Test::MaskedEq { mask, datum } | Test::MaskedNe { mask, datum } => {
                vec![*datum, datum ^ mask, datum | !mask]
            }
            Test::OneOf { values, .. } => values.iter().flat_map(|v| [*v, v ^ 1]).collect(),
        }
    }

    /// What is explained is what the filter does.
    #[test]
    fn the_explained_answer_is_the_profiles() {
        let mut compared = 0;
        for preset in Preset::ALL {
            let source = Source::open(preset.name()).unwrap();
            let Content::Written(intent) = &source.content else { panic!("a preset is written") };
            for knobs in [vec!["none"], vec!["platform", "listen"]] {
                let knobs: Vec<&str> =
                    knobs.into_iter().filter(|knob| intent.knobs.iter().any(|k| k == knob)).collect();
                let on: BTreeSet<&str> = knobs.into_iter().collect();
                for (arch, call) in Arch::NATIVE.into_iter().flat_map(|arch| all_names().map(move |call| (arch, call)))
                {
                    let variant = Variant { arch, knobs: Default::default() };
                    let decision = intent.decision_on(arch, call, &on);
                    let rules = written(&source, intent, &variant, call, &on);
                    let conditions: Vec<&Condition> =
                        decision.clauses.iter().flat_map(|clause| &clause.conditions).collect();
                    let mut tried = vec![[0; 6], [u64::MAX; 6]];
                    for first in &conditions {
                        for value in near(first) {
                            for second in &conditions {
                                for other in near(second) {
                                    let mut args = [0; 6];
                                    args[usize::from(second.arg())] = other;
                                    args[usize::from(first.arg())] = value;
                                    tried.push(args);
                                }
                            }
                        }
                    }
                    for args in tried {
                        let (_, reason) = rules.iter().find(|(holds, _)| holds(&args)).unwrap();
                        assert_eq!(reason.action, decision.action(&args), "{preset:?} {} {args:x?}", call.name());
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 10_000, "{compared}");
    }
}
