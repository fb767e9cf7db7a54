//! `zerocap seccomp presets`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::Arch;
use zerocap_seccomp::intent::{Intent, closest};
use zerocap_seccomp::preset::Preset;
use zerocap_seccomp::written;

use super::names;
use crate::args::Output;
use crate::failure::Failure;
use crate::out::outln;
use crate::table;

/// `zerocap seccomp presets`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Show this preset: every call that it says something about, with the answer and the reason
    name: Option<String>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Lists the presets, or shows one.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.name {
        None => list(arguments.output),
        Some(name) => {
            let preset = Preset::from_name(name).ok_or_else(|| no_such(name))?;
            let intent = written::preset(preset).map_err(|error| {
                Failure::bad_input(ZcError::new(code::filter::PROFILE, format!("{name}: {error}"), "report this build"))
            })?;
            show(preset, &intent, arguments.output);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(output: Output) {
    if output == Output::Json {
        let all: Vec<Value> =
            Preset::ALL.iter().map(|preset| json!({ "name": preset.name(), "summary": preset.summary() })).collect();
        outln!("{:#}", Value::from(all));
        return;
    }
    let mut rows = table::table(&["preset", "what it is for"]);
    for preset in Preset::ALL {
        rows.add_row([preset.name(), preset.summary()]);
    }
    table::print("", &rows);
}

fn show(preset: Preset, intent: &Intent, output: Output) {
    if output == Output::Json {
        let lines: Vec<Value> = intent
            .lines()
            .map(|(call, arch, line)| {
                let from = if line.place.file.is_empty() { preset.name() } else { &line.place.file };
                json!({
                    "call": call, "arch": arch.map(Arch::name), "answer": names::answer(line), "why": line.why,
                    "from": from, "line": line.place.line,
                })
            })
            .collect();
        outln!(
            "{:#}",
            json!({
                "name": preset.name(), "summary": intent.summary, "knobs": intent.knobs,
                "answers": { "known": names::action(intent.known()), "unknown": names::action(intent.unknown()), "foreign": names::action(intent.foreign()) },
                "lines": lines,
            })
        );
        return;
    }
    outln!("{}: {}", preset.name(), intent.summary);
    outln!("knobs: {}", if intent.knobs.is_empty() { "none".to_owned() } else { intent.knobs.join(", ") });
    outln!("calls without a line: {}", names::action(intent.known()));
    outln!("calls that have no name here: {}", names::action(intent.unknown()));
    outln!("calls of another ABI: {}", names::action(intent.foreign()));
    let mut rows = table::table(&["call", "answer", "why"]);
    for (call, arch, line) in intent.lines() {
        let call = arch.map_or_else(|| call.to_owned(), |arch| format!("{call} ({})", arch.name()));
        rows.add_row([call, names::answer(line), line.why.clone()]);
    }
    table::print("", &rows);
}

fn no_such(name: &str) -> Failure {
    let all = Preset::ALL.map(Preset::name);
    let hint = closest(name, all)
        .map_or_else(|| format!("the presets are: {}", all.join(", ")), |preset| format!("did you mean {preset}?"));
    let message = format!("there is no preset {}", table::clean(name));
    Failure::bad_input(ZcError::new(code::filter::NO_SUCH_PROFILE, message, hint))
}
