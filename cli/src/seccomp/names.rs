//! Words on the command line: architectures, knobs, actions.

use std::collections::BTreeSet;

use clap::Args;
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::intent::{self, Line};
use zerocap_seccomp::{Action, Arch};

use crate::failure::Failure;

/// Which variant of a profile.
#[derive(Debug, Args)]
pub struct Variant {
    /// The architecture of the kernel: x86_64 or aarch64
    #[arg(long, value_name = "ARCH", value_parser = native, default_value = here())]
    pub arch: Arch,

    #[command(flatten)]
    pub knobs: Knobs,
}

/// Which knobs are on.
#[derive(Clone, Debug, Default, Args)]
pub struct Knobs {
    /// Switch a knob of the profile on; may be given several times. `none` switches all off
    ///
    /// Without it, what the profile's `on` lists; where it lists nothing, `unix` if there is such a knob.
    #[arg(long, value_name = "NAME")]
    knob: Vec<String>,
}

impl Knobs {
    /// The knobs that are on, of those that a profile has; `usual` are those that it has on by itself.
    pub fn on<'a>(&'a self, known: &'a [String], usual: &'a [String]) -> Result<BTreeSet<&'a str>, Failure> {
        let known = || known.iter().map(String::as_str);
        if self.knob.is_empty() && !usual.is_empty() {
            return Ok(usual.iter().map(String::as_str).collect());
        }
        if self.knob.is_empty() {
            return Ok(known().filter(|knob| *knob == "unix").collect());
        }
        if self.knob == ["none"] {
            return Ok(BTreeSet::new());
        }
        match self.knob.iter().find(|knob| !known().any(|name| name == knob.as_str())) {
            None => Ok(self.knob.iter().map(String::as_str).collect()),
            Some(other) => {
                let message = format!("the profile has no knob {other}");
                let names: Vec<&str> = known().collect();
                let hint =
                    if names.is_empty() { "it has none".into() } else { format!("it has: {}", names.join(", ")) };
                Err(Failure::bad_input(ZcError::new(code::filter::KNOB, message, hint)))
            }
        }
    }
}

/// This machine's architecture.
pub(super) fn here() -> &'static str {
    Arch::native().unwrap_or(Arch::X86_64).name()
}

/// An architecture that filters are compiled for.
pub(super) fn native(name: &str) -> Result<Arch, String> {
    Arch::from_name(name)
        .filter(|arch| Arch::NATIVE.contains(arch))
        .ok_or_else(|| format!("write one of: {}", Arch::NATIVE.map(Arch::name).join(", ")))
}

/// An action as lists in TOML write it.
pub fn action(action: Action) -> String {
    match action {
        Action::Allow => "allow".to_owned(),
        Action::Log => "log".to_owned(),
        Action::Trace(data) => format!("trace({data})"),
        Action::Notify => "notify".to_owned(),
        Action::Errno(number) => errno(number),
        Action::Trap => "trap".to_owned(),
        Action::KillThread => "kill-thread".to_owned(),
        Action::KillProcess => "kill-process".to_owned(),
    }
}

/// The name of an error number, if it has one here.
pub fn errno(number: u16) -> String {
    intent::errno_name(number).map_or_else(|| format!("errno {number}"), str::to_owned)
}

/// What a line says, over all of its knobs.
pub fn answer(line: &Line) -> String {
    if line.rules.iter().all(|rule| rule.clause.action == line.otherwise) {
        return action(line.otherwise);
    }
    let knobs = line.rules.iter().any(|rule| !rule.on.is_empty() || !rule.off.is_empty());
    let arguments = line.rules.iter().any(|rule| !rule.clause.conditions.is_empty());
    match (knobs, arguments) {
        (true, true) => "by knob and argument".to_owned(),
        (true, false) => "by knob".to_owned(),
        (false, true) => "by argument".to_owned(),
        (false, false) => action(line.decision(&BTreeSet::new()).otherwise),
    }
}
