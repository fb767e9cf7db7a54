//! `seccomp`: presets, all of which must allow.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, fewer_is_stricter, list};

/// A named seccomp policy that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// For ordinary programs: shells, Python, Go, Node, Java.
    General,
    /// Without what ordinary servers do not need.
    Strict,
    /// For one static program.
    Minimal,
    /// For model servers with a GPU.
    ModelBackend,
    /// A block list for programs that sandbox others.
    SandboxBlocklist,
}

const WORDS: [(&str, Preset); 5] = [
    ("general", Preset::General),
    ("strict", Preset::Strict),
    ("minimal", Preset::Minimal),
    ("model-backend", Preset::ModelBackend),
    ("sandbox-blocklist", Preset::SandboxBlocklist),
];

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(_, preset)| preset == self).map_or("", |(word, _)| word))
    }
}

/// A set of presets; what one of them refuses is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Presets(pub BTreeSet<Preset>);

impl Presets {
    /// The preset of platform mode.
    pub fn general() -> Self {
        Self(BTreeSet::from([Preset::General]))
    }
}

impl KnobValue for Presets {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::entries(text)?.into_iter().map(|entry| list::word(entry, &WORDS)).collect::<Result<_, _>>().map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(other.0.is_subset(&self.0), self.0.is_subset(&other.0))
    }

    fn enforced(&self) -> bool {
        self.0.iter().all(|preset| *preset == Preset::General)
    }
}

impl fmt::Display for Presets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        list::join(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_parses_and_general_is_enforced() {
        for (word, preset) in WORDS {
            let presets = Presets::parse(word);
            assert_eq!(presets, Ok(Presets([preset].into())));
            assert_eq!(presets.is_ok_and(|p| p.enforced()), preset == Preset::General);
            assert_eq!(preset.to_string(), word);
        }
        for bad in ["", "none", "general;strict", "General"] {
            assert!(Presets::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn more_presets_are_stricter() {
        let both = Presets([Preset::General, Preset::Strict].into());
        assert_eq!(both.compare(&Presets::general()), Some(Ordering::Greater));
        assert_eq!(Presets::default().compare(&both), Some(Ordering::Less));
        assert_eq!(Presets::general().compare(&Presets([Preset::Strict].into())), None);
    }
}
