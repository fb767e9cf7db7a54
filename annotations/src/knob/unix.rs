//! `unix`: which unix sockets the workload may reach.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// Which unix sockets may be reached. The order is from loose to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unix {
    /// Every one.
    Any,
    /// Those of the container itself.
    Container,
    /// None: only `socketpair`.
    None,
}

impl KnobValue for Unix {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::word(text, &[("container", Self::Container), ("any", Self::Any), ("none", Self::None)])
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Unix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Container => "container",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_values_in_order() {
        let values = ["any", "container", "none"].map(Unix::parse);
        assert_eq!(values, [Ok(Unix::Any), Ok(Unix::Container), Ok(Unix::None)]);
        assert_eq!(Unix::None.compare(&Unix::Container), Some(Ordering::Greater));
        assert_eq!(Unix::Any.compare(&Unix::Container), Some(Ordering::Less));
        assert!(Unix::parse("all").is_err());
    }
}
