//! `zerocap seccomp diff`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::algebra::{Difference, differences};

use super::names::{self, Variant};
use super::source::Source;
use super::words;
use crate::args::Output;
use crate::failure::{Failure, NO};
use crate::out::outln;
use crate::table;

const HELP: &str = "\
Every call of every ABI that the kernel offers is compared, with every argument; what is shown is a call that the two \
answer differently, under which arguments, with an example.

  What does strict take away from general?
    zerocap seccomp diff general strict

  Does a filter that somebody compiled mean what its list says?
    zerocap seccomp diff list.toml list.bpf

Exit status:
  0  both mean the same
  1  they differ
  2  a file cannot be understood, or a call is too entangled to be compared";

/// `zerocap seccomp diff`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// A preset or a file
    before: String,

    /// Another one
    after: String,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    variant: Variant,
}

/// Compares.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let variant = &arguments.variant;
    let side = |name: &str| Source::open(name)?.profile(variant);
    let (before, after) = (side(&arguments.before)?, side(&arguments.after)?);
    let found: Vec<Difference> =
        differences(variant.arch, &before, &after).collect::<Result<_, _>>().map_err(|error| {
            let message = format!("{} and {}: {error}", arguments.before, arguments.after);
            Failure::bad_input(ZcError::new(code::filter::NOT_COMPILABLE, message, "compare simpler profiles"))
        })?;
    match arguments.output {
        Output::Json => outln!("{:#}", Value::from(found.iter().map(json).collect::<Vec<_>>())),
        Output::Table => show(&found, &arguments.before, &arguments.after),
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn show(found: &[Difference], before: &str, after: &str) {
    let (before, after) = (table::clean(before), table::clean(after));
    if found.is_empty() {
        outln!("{before} and {after} answer every call alike");
    }
    for (change, heading) in [
        (Change::Allowed, format!("Newly allowed by {after}:")),
        (Change::Refused, format!("Newly refused by {after}:")),
        (Change::Answer, "Neither allowed nor refused anew, but answered otherwise:".to_owned()),
    ] {
        let mut rows = table::table(&["call", "before", "after", "where", "as in"]);
        for one in found.iter().filter(|one| Change::of(one) == change) {
            let name = call(one);
            let example = match one.name {
                Some(name) if !one.conditions.is_empty() => words::call(name, example(one)),
                _ => "-".to_owned(),
            };
            let place = words::conditions(one.name.unwrap_or_default(), &one.conditions);
            rows.add_row([name, names::action(one.before), names::action(one.after), place, example]);
        }
        if !rows.is_empty() {
            table::print(&heading, &rows);
        }
    }
}

/// What a difference means to whoever makes the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Allowed,
    Refused,
    Answer,
}

impl Change {
    fn of(one: &Difference) -> Self {
        match (one.before.permits(), one.after.permits()) {
            (false, true) => Self::Allowed,
            (true, false) => Self::Refused,
            _ => Self::Answer,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Answer => "answer",
        }
    }
}

/// The example's arguments, up to the last one that matters.
fn example(one: &Difference) -> &[u64] {
    let last = one.conditions.iter().map(|condition| usize::from(condition.arg())).max().unwrap_or(0);
    &one.witness[..=last]
}

fn call(one: &Difference) -> String {
    let name = match one.name {
        Some(name) => name.to_owned(),
        None if one.number == one.last => format!("number {}", one.number),
        None => format!("numbers {} to {}", one.number, one.last),
    };
    format!("{name} ({})", one.arch.name())
}

fn json(one: &Difference) -> Value {
    let name = one.name.unwrap_or_default();
    json!({
        "change": Change::of(one).word(), "arch": one.arch.name(), "call": one.name, "first": one.number, "last": one.last,
        "before": names::action(one.before), "after": names::action(one.after),
        "conditions": one.conditions.iter().map(|condition| words::condition(name, condition)).collect::<Vec<_>>(),
        "example": one.witness,
    })
}
