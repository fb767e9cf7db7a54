//! `zerocap seccomp lint`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::lint::{self, BadInput, Engine, Options, Report, Severity};
use zerocap_seccomp::oci::docker::Target;
use zerocap_seccomp::preset::Preset;
use zerocap_seccomp::{Arch, written};

use super::names;
use super::source::read;
use super::write;
use crate::failure::{Failure, NO};
use crate::out::{out, outln};
use crate::table::clean;

const HELP: &str = "\
Examples:
  What is wrong with this profile?
    zerocap seccomp lint profile.json

  What is left of Docker's profile for a container with this capability, on a node with that library?
    zerocap seccomp lint docker.json --capability CAP_NET_ADMIN --libseccomp 2.5.4

  Correct what needs no thought; nothing becomes laxer:
    zerocap seccomp lint --fix profile.json

  Filters that bubblewrap is to load, in this order:
    zerocap seccomp lint --bwrap first.bpf second.bpf

Every rule has a page in docs/lint.md, which also describes the JSON output.

Exit status:
  0  nothing is wrong, or nothing as bad as --fail-on
  1  something is
  2  a file cannot be understood; no file was changed";

/// `zerocap seccomp lint`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// Profiles: OCI JSON, a config.json, Docker's format, a list in TOML, a compiled filter, or a preset; - is stdin
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<String>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,

    /// How bad a finding has to be for exit status 1
    #[arg(long, value_enum, default_value_t = FailOn::Warning, value_name = "SEVERITY")]
    fail_on: FailOn,

    /// Correct JSON profiles where that needs no thought; nothing is permitted afterwards that was not before
    #[arg(long)]
    fix: bool,

    /// The architecture of the kernel: x86_64 or aarch64
    #[arg(long, value_name = "ARCH", value_parser = names::native, default_value = names::here())]
    arch: Arch,

    /// The engine that loads the profile; without it, what holds for each
    #[arg(long, value_name = "runc|crun|youki", value_parser = engine)]
    engine: Option<Engine>,

    /// The libseccomp of the node, as in 2.5.4: it skips names that it does not know
    #[arg(long, value_name = "VERSION", value_parser = version)]
    libseccomp: Option<(u8, u8, u8)>,

    /// A capability of the container, for rules that depend on it; may be given several times
    #[arg(long, value_name = "CAP_NAME")]
    capability: Vec<String>,

    /// The node's kernel, for rules that depend on it; this machine's unless given
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    kernel: Option<(u64, u64)>,

    /// The profiles are loaded by bubblewrap, in this order
    #[arg(long)]
    bwrap: bool,

    /// A tracer will be attached
    #[arg(long)]
    tracer: bool,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: the line, what was written, what the kernel does, what to write
    Human,
    /// For programs: one object for each profile
    Json,
}

/// Severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Anything
    Note,
    /// What will surprise somebody
    Warning,
    /// What does not do what was written, or keeps programs from running
    Error,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            Self::Note => Severity::Note,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
        }
    }
}

/// A judged file.
struct Judged {
    report: Report,
    /// What the report is about, if it is text.
    text: Option<String>,
    /// Where the text has to be written, with what was corrected.
    fixed: Option<(PathBuf, Vec<(&'static str, String)>)>,
}

/// Judges.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = arguments.profiles.iter().enumerate();
    // All are understood before anything is written.
    let judged = files.map(|(index, name)| judge(arguments, name, index)).collect::<Result<Vec<_>, _>>()?;
    for file in &judged {
        if let (Some((path, _)), Some(text)) = (file.fixed.as_ref().filter(|(_, done)| !done.is_empty()), &file.text) {
            write::output(Some(path), text.as_bytes(), false)?;
        }
        show(arguments.output, file);
    }
    let limit = arguments.fail_on.severity();
    let worst = judged.iter().flat_map(|file| &file.report.findings).map(|finding| finding.severity).max();
    Ok(if worst.is_some_and(|worst| worst >= limit) { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn judge(arguments: &Arguments, name: &str, index: usize) -> Result<Judged, Failure> {
    let mut options = options(arguments);
    options.bwrap = arguments.bwrap.then(|| arguments.profiles.len() - index - 1);
    let preset = Preset::from_name(name);
    let bytes = match preset {
        Some(preset) => written::text(preset).as_bytes().to_vec(),
        None => read(name)?,
    };
    let shown = clean(name);
    let bad = |error: BadInput| bad_input(&shown, &error);
    if !arguments.fix {
        let report = lint::lint(&shown, &bytes, &options).map_err(bad)?;
        let text = String::from_utf8(bytes).ok().filter(|_| report.form != lint::Form::Compiled);
        return Ok(Judged { report, text, fixed: None });
    }
    if preset.is_some() || name == "-" {
        return Err(bad(BadInput {
            place: None,
            problem: "only a file can be corrected".to_owned(),
            hint: "name a file, or leave --fix out".to_owned(),
        }));
    }
    // A symbolic link stays one: the file behind it is replaced.
    let path = fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name));
    let fixed = lint::fix(&shown, &bytes, &options).map_err(bad)?;
    Ok(Judged { report: fixed.report, text: Some(fixed.text), fixed: Some((path, fixed.done)) })
}

fn options(arguments: &Arguments) -> Options {
    Options {
        target: Target {
            arch: arguments.arch,
            capabilities: arguments.capability.iter().cloned().collect(),
            kernel: arguments.kernel.or_else(this_kernel).unwrap_or((6, 12)),
        },
        engine: arguments.engine,
        libseccomp: arguments.libseccomp,
        bwrap: None,
        tracer: arguments.tracer,
    }
}

fn show(output: Output, file: &Judged) {
    let done = file.fixed.as_ref().map_or(&[][..], |(_, done)| done.as_slice());
    match output {
        Output::Human => {
            for (rule, at) in done {
                outln!("corrected[{rule}]: {at}");
            }
            out!("{}", lint::human(&file.report, file.text.as_deref()));
        }
        Output::Json => {
            let mut object = lint::machine(&file.report);
            if file.fixed.is_some() {
                object["corrected"] =
                    done.iter().map(|(rule, at)| json!({ "rule": rule, "path": at })).collect::<Value>();
            }
            outln!("{object:#}");
        }
    }
}

fn bad_input(name: &str, error: &BadInput) -> Failure {
    let place = error.place.map_or(String::new(), |place| format!(" line {}, column {}", place.line, place.column));
    let message = format!("{name}{place}: {}", clean(&error.problem));
    Failure::bad_input(ZcError::new(code::filter::PROFILE, message, error.hint.clone()))
}

fn engine(name: &str) -> Result<Engine, String> {
    Engine::from_name(name).ok_or_else(|| "write one of: runc, crun, youki".to_owned())
}

fn version(text: &str) -> Result<(u8, u8, u8), String> {
    let numbers: Option<Vec<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([a, b, c]) => Ok((*a, *b, *c)),
        _ => Err("write it as 2.5.4".to_owned()),
    }
}

fn kernel(text: &str) -> Result<(u64, u64), String> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err("write it as 6.12".to_owned()),
    }
}

/// This machine's kernel.
pub(super) fn this_kernel() -> Option<(u64, u64)> {
    kernel(fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim()).ok()
}
