//! `seccomp-deny` and `seccomp-allow`: names of system calls.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Absent, KnobValue, Malformed, fewer_is_stricter, list};
use crate::error::quote;

/// System calls to refuse beyond the presets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyscallsDenied(pub BTreeSet<String>);

/// System calls to re-admit within the pod's own profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyscallsAllowed(pub BTreeSet<String>);

/// Calls without which no program ends or returns from a signal: refusing them takes nothing away but its end.
const ENDS: [&str; 4] = ["exit", "exit_group", "restart_syscall", "rt_sigreturn"];

fn names(text: &str) -> Result<BTreeSet<String>, Malformed> {
    list::entries(text)?.into_iter().map(known).collect()
}

fn known(name: &str) -> Result<String, Malformed> {
    match zerocap_seccomp::lookup(name) {
        Some(call) => Ok(call.name().to_owned()),
        None => Err(Malformed::new(
            format!("has {}, which is no name of a system call", quote(name)),
            match zerocap_seccomp::suggest(name) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "write names as in the kernel's tables, for example openat2".to_owned(),
            },
        )),
    }
}

impl KnobValue for SyscallsDenied {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let names = names(text)?;
        match ENDS.iter().find(|name| names.contains(**name)) {
            None => Ok(Self(names)),
            Some(name) => Err(Malformed::new(
                format!("has {name}, without which no program can end or return from a signal"),
                format!("remove {name}"),
            )),
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(other.0.is_subset(&self.0), self.0.is_subset(&other.0))
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
        for bad in ["", "Ptrace", "a-b", "a b", "ptrac", &"a".repeat(65)] {
            assert!(SyscallsAllowed::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(SyscallsDenied::parse("mkdri").map_err(|bad| bad.instead), Err("did you mean mkdir?".to_owned()));
        assert!(SyscallsDenied::parse("mkdir,exit_group").is_err());
        assert!(SyscallsAllowed::parse("exit_group").is_ok());
    }

    #[test]
    fn the_two_have_opposite_orders() {
        let order = |a, b| {
            Some((
                SyscallsDenied::parse(a).ok()?.compare(&SyscallsDenied::parse(b).ok()?)?,
                SyscallsAllowed::parse(a).ok()?.compare(&SyscallsAllowed::parse(b).ok()?)?,
            ))
        };
        assert_eq!(order("mkdir,ptrace", "ptrace"), Some((Ordering::Greater, Ordering::Less)));
    }
}
