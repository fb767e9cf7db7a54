//! `fd-allow`: descriptors that the workload may use.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, fewer_is_stricter, list};
use crate::error::quote;

/// Largest descriptor that may be named.
const MAX_DESCRIPTOR: u32 = 1_048_575;

/// Ranges of descriptors, both ends included, sorted and not touching. Parsed; not enforced by this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FdAllow(pub Vec<(u32, u32)>);

impl FdAllow {
    fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|a| other.0.iter().any(|b| b.0 <= a.0 && a.1 <= b.1))
    }
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (list::decimal(first)?, list::decimal(last)?);
    (first <= last && last <= MAX_DESCRIPTOR).then_some((first, last))
}

impl KnobValue for FdAllow {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let mut ranges = list::entries(text)?
            .into_iter()
            .map(|entry| {
                range(entry).ok_or_else(|| {
                    Malformed::new(
                        format!("has {}, which is no descriptor and no range", quote(entry)),
                        "write numbers and ranges, for example 0-2,7",
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(open) if first <= open.1 + 1 => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self(merged))
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.within(other), other.within(self))
    }

    fn enforced(&self) -> bool {
        false
    }
}

impl fmt::Display for FdAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(first, last): &(u32, u32)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        list::join(f, self.0.iter().map(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged() {
        assert_eq!(FdAllow::parse("7,0-2, 3").map(|f| f.to_string()), Ok("0-3,7".into()));
        for bad in ["", "-1", "2-1", "0-", "a", "1048576", "00"] {
            assert!(FdAllow::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fewer_descriptors_are_stricter() {
        let compare = |a, b| FdAllow::parse(a).ok()?.compare(&FdAllow::parse(b).ok()?);
        assert_eq!(compare("0-2", "0-2,7"), Some(Ordering::Greater));
        assert_eq!(compare("0-2,8", "0-2,7"), None);
    }
}
