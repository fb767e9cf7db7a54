//! `filesystem`: what may be written.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// What may be written. The order is from loose to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// What the mounts allow.
    Image,
    /// Nothing but writable volumes, /dev/null, the terminal and the termination log.
    ReadOnly,
}

impl KnobValue for Filesystem {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::word(text, &[("image", Self::Image), ("read-only", Self::ReadOnly)])
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::ReadOnly => "read-only",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values() {
        assert_eq!(Filesystem::parse("image"), Ok(Filesystem::Image));
        assert_eq!(Filesystem::parse("read-only"), Ok(Filesystem::ReadOnly));
        assert_eq!(Filesystem::parse("readonly").map_err(|e| e.instead), Err("did you mean read-only?".into()));
        assert_eq!(Filesystem::ReadOnly.compare(&Filesystem::Image), Some(Ordering::Greater));
    }
}
