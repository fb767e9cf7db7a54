//! `seccomp-deny` and `seccomp-allow`: names of system calls.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Absent, KnobValue, Malformed, fewer_is_stricter, list};
use crate::error::quote;

/// System calls to refuse beyond the presets. Parsed; not enforced by this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyscallsDenied(pub BTreeSet<String>);

/// System calls to re-admit within the pod's own profile. Parsed; not enforced by this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyscallsAllowed(pub BTreeSet<String>);

fn names(text: &str) -> Result<BTreeSet<String>, Malformed> {
    list::entries(text)?
        .into_iter()
        .map(|name| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if name.len() <= 64 && name.bytes().all(plain) {
                Ok(name.to_owned())
            } else {
                Err(Malformed::new(
                    format!("has {}, which is no name of a system call", quote(name)),
                    "write names as in the kernel's tables, for example openat2",
                ))
            }
        })
        .collect()
}

impl KnobValue for SyscallsDenied {
    fn parse(text: &str) -> Result<Self, Malformed> {
        names(text).map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(other.0.is_subset(&self.0), self.0.is_subset(&other.0))
    }

    fn enforced(&self) -> bool {
        false
    }
}

impl KnobValue for SyscallsAllowed {
    const ABSENT: Absent = Absent::Strictest;

    fn parse(text: &str) -> Result<Self, Malformed> {
        names(text).map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.0.is_subset(&other.0), other.0.is_subset(&self.0))
    }

    fn enforced(&self) -> bool {
        false
    }
}

impl fmt::Display for SyscallsDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list::join(f, &self.0)
    }
}

impl fmt::Display for SyscallsAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list::join(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_calls() {
        assert_eq!(
            SyscallsDenied::parse("ptrace, openat2"),
            Ok(SyscallsDenied(["openat2".into(), "ptrace".into()].into()))
        );
        for bad in ["", "Ptrace", "a-b", "a b", &"a".repeat(65)] {
            assert!(SyscallsAllowed::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_two_have_opposite_orders() {
        let order = |a, b| {
            Some((
                SyscallsDenied::parse(a).ok()?.compare(&SyscallsDenied::parse(b).ok()?)?,
                SyscallsAllowed::parse(a).ok()?.compare(&SyscallsAllowed::parse(b).ok()?)?,
            ))
        };
        assert_eq!(order("a,b", "a"), Some((Ordering::Greater, Ordering::Less)));
    }
}
