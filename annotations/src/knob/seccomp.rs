//! `seccomp`: presets, all of which must allow.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use zerocap_seccomp::preset;

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

impl Preset {
    /// The preset of the seccomp crate.
    pub const fn built_in(self) -> preset::Preset {
        match self {
            Self::General => preset::Preset::General,
            Self::Strict => preset::Preset::Strict,
            Self::Minimal => preset::Preset::Minimal,
            Self::ModelBackend => preset::Preset::ModelBackend,
            Self::SandboxBlocklist => preset::Preset::SandboxBlocklist,
        }
    }

    fn within(self, other: Self) -> bool {
        self.built_in().within(other.built_in())
    }
}

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

    /// Whether one of the presets keeps what platform mode promises of sockets.
    pub fn keep_platform(&self) -> bool {
        self.0.iter().any(|preset| preset.built_in().keeps_platform())
    }

    /// Those that have to be loaded: without the ones that another of the set stands for.
    pub fn strictest(&self) -> impl Iterator<Item = Preset> {
        self.0.iter().copied().filter(|preset| !self.0.iter().any(|other| other != preset && other.within(*preset)))
    }

    /// Whether what all of these allow is allowed by all of the others too: each of those has one here that is within it.
    fn within(&self, others: &Self) -> bool {
        others.0.iter().all(|other| self.0.iter().any(|preset| preset.within(*other)))
    }
}

impl KnobValue for Presets {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::entries(text)?.into_iter().map(|entry| list::word(entry, &WORDS)).collect::<Result<_, _>>().map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.within(other), other.within(self))
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

    fn presets(text: &str) -> Presets {
        Presets::parse(text).unwrap_or_default()
    }

    #[test]
    fn every_preset_parses_and_is_enforced() {
        for (word, preset) in WORDS {
            let presets = Presets::parse(word);
            assert_eq!(presets, Ok(Presets([preset].into())));
            assert!(presets.is_ok_and(|p| p.enforced()));
            assert_eq!(preset.to_string(), word);
            assert_eq!(preset.built_in().name(), word);
        }
        for bad in ["", "none", "general;strict", "General"] {
            assert!(Presets::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn stricter_is_what_allows_less() {
        for (a, b, expected) in [
            ("general,strict", "general", Some(Ordering::Greater)),
            ("strict", "general", Some(Ordering::Greater)),
            ("general", "sandbox-blocklist", Some(Ordering::Greater)),
            ("minimal", "strict,model-backend", Some(Ordering::Greater)),
            ("general,strict", "strict", Some(Ordering::Equal)),
            ("general", "model-backend", None),
            ("general,model-backend", "model-backend", Some(Ordering::Greater)),
            ("strict", "general,model-backend", None),
        ] {
            assert_eq!(presets(a).compare(&presets(b)), expected, "{a} beside {b}");
            assert_eq!(presets(b).compare(&presets(a)), expected.map(Ordering::reverse), "{b} beside {a}");
        }
        assert_eq!(Presets::default().compare(&presets("sandbox-blocklist")), Some(Ordering::Less));
    }

    #[test]
    fn what_another_stands_for_is_not_loaded() {
        for (all, loaded) in [
            ("general,strict", "strict"),
            ("general,sandbox-blocklist", "general"),
            ("general,model-backend", "general,model-backend"),
            ("general,strict,minimal,model-backend,sandbox-blocklist", "minimal"),
            ("model-backend,sandbox-blocklist", "model-backend"),
        ] {
            assert_eq!(Presets(presets(all).strictest().collect()), presets(loaded), "{all}");
        }
    }
}
