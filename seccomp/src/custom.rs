//! Filters that a list of names changes: compiled when they are asked for, not when zerocap was built.
//!
//! Both work on what a preset *means*, never on compiled bytes: the lines of its TOML with the names taken out or put in, and
//! the same compiler.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::intent::{Intent, IntentError};
use crate::preset::{LastLayer, Preset};
use crate::{Action, Arch, CompileError, Decision, Gate, Profile, Program, Syscall, Table, compile, written};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// A filter that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CustomError {
    /// The text of a preset does not parse, though the build script has read it.
    #[error(transparent)]
    Preset(#[from] IntentError),
    /// The filter would be too large.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The filter that refuses these calls, and every ABI but the native one: a name has another number there, and a multiplexer
/// (`socketcall`) none. All other calls pass.
///
/// # Errors
///
/// [`CustomError::Compile`]; the list is bounded, so this does not happen.
pub fn refusing<'a>(native: Arch, names: impl IntoIterator<Item = &'a str>) -> Result<Program, CustomError> {
    let calls = names.into_iter().filter_map(crate::lookup);
    let calls = calls.filter_map(|call| Some((call.number(native)?, Decision::always(refusal(call))))).collect();
    let mut profile = Profile::new(Action::Errno(ENOSYS));
    profile.flags.spec_allow = true;
    profile.set_table(native, Table::with(Action::Allow, calls));
    Ok(compile(&profile, native, Gate::LastCalls)?)
}

/// libc takes ENOSYS of clone3 as "use clone", and EPERM as the end of the thread.
fn refusal(call: Syscall) -> Action {
    Action::Errno(if call.name() == "clone3" { ENOSYS } else { EPERM })
}

/// What a re-admitted call becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readmitted {
    /// What `general` says of it, which may look at arguments.
    AsGeneral(Decision),
    /// `general` refuses it whatever its arguments.
    Refused,
}

/// A preset's lines, read once: every probe that a node executes into a container comes by here.
fn lines(preset: Preset) -> Result<&'static Intent, CustomError> {
    static READ: [OnceLock<Intent>; Preset::ALL.len()] = [const { OnceLock::new() }; Preset::ALL.len()];
    let place = &READ[preset as usize];
    match place.get() {
        Some(intent) => Ok(intent),
        None => {
            let intent = written::preset(preset)?;
            Ok(place.get_or_init(|| intent))
        }
    }
}

/// What `general` says of calls that a stricter preset refuses.
#[derive(Debug)]
pub struct General {
    intent: &'static Intent,
    on: BTreeSet<&'static str>,
}

impl General {
    /// With the knobs of this layer, whichever its preset is.
    ///
    /// # Errors
    ///
    /// [`CustomError::Preset`], which the build has excluded.
    pub fn with(layer: &LastLayer) -> Result<Self, CustomError> {
        Ok(Self { intent: lines(Preset::General)?, on: layer.knobs().into_iter().collect() })
    }

    /// What becomes of a call that is re-admitted.
    #[must_use]
    pub fn readmits(&self, native: Arch, call: Syscall) -> Readmitted {
        let decision = self.intent.decision_on(native, call, &self.on);
        match decision.unconditional() {
            Some(action) if action.refuses() => Readmitted::Refused,
            _ => Readmitted::AsGeneral(decision),
        }
    }
}

/// The filter of a layer with other decisions for some calls.
///
/// # Errors
///
/// [`CustomError`], for a filter that would be too large.
pub fn changed(
    native: Arch,
    layer: &LastLayer,
    decisions: impl IntoIterator<Item = (Syscall, Decision)>,
) -> Result<Program, CustomError> {
    let intent = lines(layer.preset)?;
    let mut profile = intent.profile(native, &layer.knobs().into_iter().collect());
    let mut table = profile.table(native).cloned().unwrap_or_else(|| Table::new(intent.unknown()));
    for (call, decision) in decisions {
        if let Some(number) = call.number(native) {
            table.set(number, decision);
        }
    }
    profile.set_table(native, table);
    Ok(compile(&profile, native, Gate::LastCalls)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::last_layer;
    use crate::{SeccompData, interpret, lookup};

    fn answer(program: &Program, arch: Arch, name: &str, args: [u64; 6]) -> Action {
        let nr = lookup(name).and_then(|call| call.number(arch)).expect("a call");
        let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
        Action::from_ret(interpret(&program.insns, &data).expect("a filter"))
    }

    const NO_ARGS: [u64; 6] = [0; 6];

    #[test]
    fn what_is_named_is_refused_and_nothing_else() {
        for native in Arch::NATIVE {
            let program = refusing(native, ["mkdirat", "clone3"]).unwrap();
            assert_eq!(answer(&program, native, "mkdirat", NO_ARGS), Action::Errno(EPERM));
            assert_eq!(answer(&program, native, "clone3", NO_ARGS), Action::Errno(ENOSYS));
            for name in ["openat", "ptrace", "clone", "execve"] {
                assert_eq!(answer(&program, native, name, NO_ARGS), Action::Allow, "{name}");
            }
        }
        // The same call under another number.
        let program = refusing(Arch::X86_64, ["mkdir"]).unwrap();
        assert_eq!(answer(&program, Arch::I386, "mkdir", NO_ARGS), Action::Errno(ENOSYS));
        let mkdir = lookup("mkdir").and_then(|call| call.number(Arch::X86_64)).unwrap();
        let x32 = SeccompData {
            nr: mkdir | crate::X32_BIT,
            arch: Arch::X86_64.audit(),
            instruction_pointer: 0,
            args: NO_ARGS,
        };
        assert_eq!(Action::from_ret(interpret(&program.insns, &x32).unwrap()), Action::Errno(ENOSYS));
    }

    #[test]
    fn without_a_change_the_filter_is_the_built_in_one() {
        for layer in [LastLayer::default(), LastLayer { preset: Preset::Minimal, ..LastLayer::default() }] {
            for native in Arch::NATIVE {
                let built_in = last_layer(native, &layer).map(|program| program.to_program());
                assert_eq!(changed(native, &layer, []).ok(), built_in);
            }
        }
    }

    #[test]
    fn a_call_comes_back_with_the_conditions_of_general() {
        let layer = LastLayer { preset: Preset::Minimal, ..LastLayer::default() };
        let general = General::with(&layer).unwrap();
        let clone = lookup("clone").unwrap();
        let Readmitted::AsGeneral(decision) = general.readmits(Arch::X86_64, clone) else { panic!("general has it") };
        let program = changed(Arch::X86_64, &layer, [(clone, decision)]).unwrap();
        assert_eq!(answer(&program, Arch::X86_64, "clone", NO_ARGS), Action::Allow);
        let user_namespace = [0x1000_0000, 0, 0, 0, 0, 0];
        assert!(answer(&program, Arch::X86_64, "clone", user_namespace).refuses());
        assert_eq!(general.readmits(Arch::X86_64, lookup("ptrace").unwrap()), Readmitted::Refused);
        assert_eq!(general.readmits(Arch::X86_64, lookup("listen").unwrap()), Readmitted::Refused);
    }
}
