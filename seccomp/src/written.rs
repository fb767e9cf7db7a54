//! The presets as they are written: names, reasons, and the text that lists of one's own are built on.

use std::cell::RefCell;

use crate::intent::{Intent, IntentError, closest};
use crate::preset::Preset;

/// The TOML of a preset.
#[must_use]
pub const fn text(preset: Preset) -> &'static str {
    match preset {
        Preset::General => include_str!("../presets/general.toml"),
        Preset::Strict => include_str!("../presets/strict.toml"),
        Preset::Minimal => include_str!("../presets/minimal.toml"),
        Preset::ModelBackend => include_str!("../presets/model-backend.toml"),
        Preset::SandboxBlocklist => include_str!("../presets/sandbox-blocklist.toml"),
    }
}

/// A preset with the reason of every line.
///
/// # Errors
///
/// None: the build script has read the same text. The caller decides what a fault of the build would mean to it.
pub fn preset(preset: Preset) -> Result<Intent, IntentError> {
    read(text(preset))
}

/// A list of somebody's own, which may have a preset as its `base`.
///
/// # Errors
///
/// [`IntentError`] names the place and what is wrong there.
pub fn read(list: &str) -> Result<Intent, IntentError> {
    let missed = RefCell::new(None);
    let base = |name: &str| match Preset::from_name(name) {
        Some(preset) => Some(text(preset).to_owned()),
        None => {
            missed.replace(closest(name, Preset::ALL.map(Preset::name)));
            None
        }
    };
    Intent::parse_with(list, &base).map_err(|error| match missed.take() {
        Some(meant) => IntentError { hint: format!("did you mean {meant}?"), ..error },
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::preset::{LastLayer, last_layer};
    use crate::{Arch, Gate, compile};

    #[test]
    fn a_misspelt_base_is_recognised() {
        let error = read("version = 1\nbase = \"generl\"").expect_err("no such preset");
        assert_eq!(error.to_string(), "line 2, column 8: base: there is no profile generl; did you mean general?");
    }

    /// Presets give a reason for every line.
    #[test]
    fn every_line_has_a_reason() {
        for name in Preset::ALL {
            let intent = preset(name).expect("the build script read it");
            assert!(intent.lines().count() > 10 && intent.lines().all(|(_, _, line)| !line.why.is_empty()), "{name:?}");
        }
    }

    /// What the shim loads and what the command line shows come from one text.
    #[test]
    fn the_text_is_that_of_the_compiled_filters() {
        for layer in LastLayer::all() {
            let intent = preset(layer.preset).expect("the build script read it");
            let knobs: BTreeSet<&str> = layer.knobs().into_iter().collect();
            for arch in Arch::NATIVE {
                let program = compile(&intent.profile(arch, &knobs), arch, Gate::LastCalls).expect("it was compiled");
                assert_eq!(Some(program.insns.as_slice()), last_layer(arch, &layer).map(|built| built.insns));
            }
        }
    }
}
