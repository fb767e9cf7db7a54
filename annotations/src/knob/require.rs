//! `require`: promises without which the container must not start.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};
use crate::promise::Promise;

/// How much of a promise must be kept for the container to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing: the report says what is missing.
    Nothing,
    /// At least partly: what holds for most promises of the mode where `require` is not written.
    Partly,
    /// Fully: what an explicit `require` demands, and the mode for `egress` and `inbound`.
    Fully,
}

/// Which promises must be kept. The order is by promise: stricter is what demands at least as much of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// Not written: every promise that the policy asks for. Those about the network fully, the others at least partly: what they
    /// lack is in the report.
    #[default]
    Mode,
    /// These, fully; the others are only reported.
    Promises(BTreeSet<Promise>),
}

impl Require {
    /// What is demanded of a promise that the policy asks for.
    pub fn level(&self, promise: Promise) -> Level {
        match self {
            Self::Mode if matches!(promise, Promise::Egress | Promise::Inbound) => Level::Fully,
            Self::Mode => Level::Partly,
            Self::Promises(named) if named.contains(&promise) => Level::Fully,
            Self::Promises(_) => Level::Nothing,
        }
    }
}

impl KnobValue for Require {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let words = Promise::ALL.map(|promise| (promise.name(), promise));
        list::entries(text)?
            .into_iter()
            .map(|entry| list::word(entry, &words))
            .collect::<Result<_, _>>()
            .map(Self::Promises)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        let at_least = |a: &Self, b: &Self| Promise::ALL.iter().all(|p| a.level(*p) >= b.level(*p));
        match (at_least(self, other), at_least(other, self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode => f.write_str("egress and inbound fully, the others at least partly"),
            Self::Promises(promises) => list::join(f, promises),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_by_name() {
        for promise in Promise::ALL {
            assert_eq!(Require::parse(promise.name()), Ok(Require::Promises([promise].into())));
        }
        for bad in ["", "all", "egres", "egress;files"] {
            assert!(Require::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn order_is_by_promise() {
        let all = Require::Promises(Promise::ALL.into());
        let one = Require::Promises([Promise::Egress].into());
        assert_eq!(all.compare(&Require::Mode), Some(Ordering::Greater));
        assert_eq!(all.compare(&one), Some(Ordering::Greater));
        assert_eq!(one.compare(&Require::Mode), Some(Ordering::Less));
        assert_eq!(Require::Promises([Promise::Files].into()).compare(&Require::Mode), None);
    }
}
