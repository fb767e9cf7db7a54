//! `mode`: enforce, audit or record.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// What happens with a refused call. `audit` and `record` need the floor's permission; this version enforces only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is counted and passes.
    Audit,
    /// It is written down, to make a policy from it, and passes.
    Record,
}

impl KnobValue for Mode {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::word(text, &[("enforce", Self::Enforce), ("audit", Self::Audit), ("record", Self::Record)])
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (a, b) if a == b => Some(Ordering::Equal),
            (Self::Enforce, _) => Some(Ordering::Greater),
            (_, Self::Enforce) => Some(Ordering::Less),
            _ => None,
        }
    }

    fn enforced(&self) -> bool {
        *self == Self::Enforce
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
            Self::Record => "record",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enforce_is_the_strict_and_the_supported_one() {
        assert_eq!(
            ["enforce", "audit", "record"].map(|m| Mode::parse(m).is_ok_and(|m| m.enforced())),
            [true, false, false]
        );
        assert_eq!(Mode::Enforce.compare(&Mode::Audit), Some(Ordering::Greater));
        assert_eq!(Mode::Record.compare(&Mode::Audit), None);
        assert!(Mode::parse("off").is_err());
    }
}
