//! `mode`: enforce, audit or record.
//!
//! `audit` is about what goes out (the promise `egress`), which the packet fence then counts and reports. Everything else is enforced in
//! every mode.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// What happens with what the policy does not permit. `audit` and `record` need the floor's permission; this version has no `record`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// A destination that is not listed is counted, reported, and reached.
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
        *self != Self::Record
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
    fn enforce_is_the_strict_one_and_record_is_not_supported() {
        assert_eq!(
            ["enforce", "audit", "record"].map(|m| Mode::parse(m).is_ok_and(|m| m.enforced())),
            [true, true, false]
        );
        assert_eq!(Mode::Enforce.compare(&Mode::Audit), Some(Ordering::Greater));
        assert_eq!(Mode::Record.compare(&Mode::Audit), None);
        assert!(Mode::parse("off").is_err());
    }
}
