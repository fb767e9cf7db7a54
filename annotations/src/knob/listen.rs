//! `listen`: ports that the workload may bind and listen on.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, fewer_is_stricter, list};

/// Ports to bind and listen on. `none` may be written out, for the floor file and for readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listen {
    /// Every port.
    Any,
    /// These ports; the empty set refuses `listen` and `accept` altogether.
    Ports(BTreeSet<u16>),
}

impl Listen {
    /// No port at all.
    pub const fn none() -> Self {
        Self::Ports(BTreeSet::new())
    }

    /// Whether nothing may be listened on.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Ports(ports) if ports.is_empty())
    }

    /// Whether the port is named in the list.
    pub fn names(&self, port: u16) -> bool {
        matches!(self, Self::Ports(ports) if ports.contains(&port))
    }
}

impl KnobValue for Listen {
    fn parse(text: &str) -> Result<Self, Malformed> {
        match text {
            "*" => Ok(Self::Any),
            "none" => Ok(Self::none()),
            _ => list::entries(text)?.into_iter().map(list::port).collect::<Result<_, _>>().map(Self::Ports),
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Any, Self::Any) => Some(Ordering::Equal),
            (Self::Any, _) => Some(Ordering::Less),
            (_, Self::Any) => Some(Ordering::Greater),
            (Self::Ports(a), Self::Ports(b)) => fewer_is_stricter(a.is_subset(b), b.is_subset(a)),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ports(ports) if ports.is_empty() => f.write_str("none"),
            Self::Ports(ports) => list::join(f, ports),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports<const N: usize>(ports: [u16; N]) -> Listen {
        Listen::Ports(ports.into())
    }

    #[test]
    fn ports_all_or_none() {
        assert_eq!(Listen::parse("8080, 9090,8080"), Ok(ports([8080, 9090])));
        assert_eq!(Listen::parse("*"), Ok(Listen::Any));
        assert_eq!(Listen::parse("none"), Ok(Listen::none()));
        for bad in ["", "0", "*,80", "80-90", "none,80", "http"] {
            assert!(Listen::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fewer_ports_are_stricter() {
        assert_eq!(Listen::none().compare(&ports([1])), Some(Ordering::Greater));
        assert_eq!(ports([1]).compare(&ports([1, 2])), Some(Ordering::Greater));
        assert_eq!(ports([1, 3]).compare(&ports([1, 2])), None);
        assert_eq!(Listen::Any.compare(&ports([1])), Some(Ordering::Less));
        assert_eq!(Listen::Any.compare(&Listen::Any), Some(Ordering::Equal));
    }
}
