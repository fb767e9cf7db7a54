//! A profile that a person names: a preset, a list in TOML, OCI JSON, or a compiled filter.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

use serde_json::{Value, json};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::lint::BadInput;
use zerocap_seccomp::oci::docker;
use zerocap_seccomp::preset::Preset;
use zerocap_seccomp::walk::{Walk, read_raw};
use zerocap_seccomp::{Arch, Gate, Insn, Profile, Program, compile, oci, written};

use super::names::Variant;
use crate::failure::Failure;
use crate::table::clean;

/// Far above any real profile; config.json is the largest.
const LIMIT: u64 = 16 << 20;

/// A profile with where it comes from.
#[derive(Debug)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// What it is.
    pub content: Content,
}

/// The forms of a profile.
#[derive(Debug)]
pub enum Content {
    /// A preset or a list, with reasons.
    Written(Box<Intent>),
    /// An OCI profile.
    Oci(Box<Profile>),
    /// A compiled filter.
    Compiled(Vec<Insn>),
}

impl Source {
    /// Reads what a word of the command line names; `-` is stdin.
    pub fn open(name: &str) -> Result<Self, Failure> {
        if let Some(preset) = Preset::from_name(name) {
            let intent = written::preset(preset).map_err(|error| not_understood(name, &error.to_string(), ""))?;
            return Ok(Self { name: name.to_owned(), content: Content::Written(Box::new(intent)) });
        }
        let bytes = read(name)?;
        let name = clean(name);
        let content = match std::str::from_utf8(&bytes) {
            _ if bytes.iter().all(u8::is_ascii_whitespace) => {
                return Err(not_understood(&name, "the file is empty", "give a profile"));
            }
            // Every instruction of a filter has a zero byte, no text has one.
            _ if bytes.contains(&0) => compiled(&name, &bytes)?,
            Err(error) => {
                let problem = format!("neither text nor a filter: byte {} is not UTF-8", error.valid_up_to());
                return Err(not_understood(&name, &problem, "give a list in TOML, OCI JSON or a compiled filter"));
            }
            Ok(text) if text.trim_start().starts_with(['{', '[']) && json_rather_than_toml(text) => oci(&name, text)?,
            Ok(text) => {
                let intent = written::read(text).map_err(|error| not_understood(&name, &error.to_string(), ""))?;
                Content::Written(Box::new(intent))
            }
        };
        Ok(Self { name, content })
    }

    /// The knobs that are on.
    pub fn on<'a>(&'a self, variant: &'a Variant) -> Result<BTreeSet<&'a str>, Failure> {
        match &self.content {
            Content::Written(intent) => variant.knobs.on(&intent.knobs, &intent.on),
            Content::Oci(_) | Content::Compiled(_) => variant.knobs.on(&[], &[]),
        }
    }

    /// What it means.
    pub fn profile(&self, variant: &Variant) -> Result<Profile, Failure> {
        let on = self.on(variant)?;
        Ok(match &self.content {
            Content::Written(intent) => intent.profile(variant.arch, &on),
            Content::Oci(profile) => Profile::clone(profile),
            Content::Compiled(insns) => {
                let mut walk = Walk::new(insns).map_err(|error| self.not_compilable(&error.to_string()))?;
                walk.profile(variant.arch).map_err(|error| self.not_compilable(&error.to_string()))?
            }
        })
    }

    /// The filter. It admits nothing by cookie: who loads it has to be able to execute the program under it.
    pub fn filter(&self, variant: &Variant) -> Result<Vec<Insn>, Failure> {
        Ok(self.program(variant, Gate::None)?.insns)
    }

    /// The filter, with a gate for the launcher's last calls or without.
    pub fn program(&self, variant: &Variant, gate: Gate) -> Result<Program, Failure> {
        match &self.content {
            Content::Compiled(insns) if gate == Gate::None => {
                variant.knobs.on(&[], &[])?;
                Ok(Program { insns: insns.clone(), cookie: Vec::new() })
            }
            _ => compile(&self.profile(variant)?, variant.arch, gate)
                .map_err(|error| self.not_compilable(&error.to_string())),
        }
    }

    fn not_compilable(&self, problem: &str) -> Failure {
        let message = format!("{}: {problem}", self.name);
        Failure::bad_input(ZcError::new(code::filter::NOT_COMPILABLE, message, "use a smaller profile"))
    }
}

/// The bytes of a file, which may be any kind of file and of any size.
pub(super) fn read(name: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| {
        let shown = clean(name);
        let missing = error.kind() == io::ErrorKind::NotFound && !name.contains('/');
        Failure::bad_input(if missing {
            let hint = match closest(name) {
                Some(preset) => format!("did you mean {preset}?"),
                None => format!("the presets are: {}", Preset::ALL.map(Preset::name).join(", ")),
            };
            ZcError::new(code::filter::NO_SUCH_PROFILE, format!("{shown} is neither a preset nor a file"), hint)
        } else {
            ZcError::new(code::node::FILE_UNREADABLE, format!("{shown}: {error}"), "correct the path")
        })
    };
    let mut bytes = Vec::new();
    let source: Box<dyn Read> =
        if name == "-" { Box::new(io::stdin()) } else { Box::new(File::open(name).map_err(failed)?) };
    source.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        let message = format!("{} is larger than {} MiB", clean(name), LIMIT >> 20);
        return Err(Failure::bad_input(ZcError::new(code::node::TOO_LARGE, message, "give a smaller file")));
    }
    Ok(bytes)
}

fn closest(name: &str) -> Option<&'static str> {
    zerocap_seccomp::intent::closest(name, Preset::ALL.map(Preset::name))
}

/// A TOML table header begins with a bracket as well, but closes it on the same line.
fn json_rather_than_toml(text: &str) -> bool {
    let first = text.trim_start();
    first.starts_with('{') || serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok()
}

fn compiled(name: &str, bytes: &[u8]) -> Result<Content, Failure> {
    let hint = "a compiled filter is whole instructions of 8 bytes, little endian";
    read_raw(bytes).map(Content::Compiled).map_err(|error| not_understood(name, &error.to_string(), hint))
}

/// An OCI profile by itself, or the one of a config.json.
fn oci(name: &str, text: &str) -> Result<Content, Failure> {
    let source = oci::source::Source::parse(text.to_owned()).map_err(|error| bad(name, BadInput::source(error)))?;
    let document = source.value();
    let (prefix, seccomp) = match document.get("linux") {
        Some(linux) => ("linux.seccomp", linux.get("seccomp").unwrap_or(&Value::Null)),
        None => ("", document),
    };
    // An engine takes it for "no seccomp"; a filter that allows everything is not what anybody asks for here.
    let says = |key: &str| seccomp.get(key).is_some_and(|value| !value.is_null() && value != "" && value != &json!([]));
    if (seccomp.is_null() || seccomp.is_object()) && !says("defaultAction") && !says("syscalls") {
        let hint = "give one with defaultAction, or a config.json with linux.seccomp";
        return Err(not_understood(name, "there is no seccomp profile in it, so nothing would be refused", hint));
    }
    let refused = |error: oci::Error| {
        let dot = if prefix.is_empty() || error.at.is_empty() { "" } else { "." };
        bad(name, BadInput::profile(&error, &format!("{prefix}{dot}{}", error.at), &source))
    };
    oci::unread::refuse(seccomp).map_err(refused)?;
    let profile = if prefix.is_empty() && docker::is_docker(seccomp) {
        // Docker's format has rules that depend on the container: for one without capabilities, on this machine.
        let resolved = docker::resolve(seccomp, &here()).map_err(refused)?;
        let hint = "write it as the OCI runtime specification has it";
        oci::read(&resolved.seccomp).map_err(|error| not_understood(name, &error.to_string(), hint))?
    } else {
        oci::read(seccomp).map_err(refused)?
    };
    Ok(Content::Oci(Box::new(profile)))
}

fn bad(name: &str, error: BadInput) -> Failure {
    let place = error.place.map(|place| format!("line {}, column {}: ", place.line, place.column)).unwrap_or_default();
    not_understood(name, &format!("{place}{}", error.problem), &error.hint)
}

fn here() -> docker::Target {
    docker::Target {
        arch: Arch::native().unwrap_or(Arch::X86_64),
        capabilities: BTreeSet::new(),
        kernel: super::lint::this_kernel().unwrap_or((6, 12)),
    }
}

/// What is told of a file may be quoted from it, and has any length.
const TOLD: usize = 300;

fn not_understood(name: &str, problem: &str, hint: &str) -> Failure {
    let short = problem.char_indices().nth(TOLD).map_or(problem.to_owned(), |(end, _)| format!("{}…", &problem[..end]));
    let message = format!("{name}: {short}");
    Failure::bad_input(ZcError::new(code::filter::PROFILE, message, hint))
}
