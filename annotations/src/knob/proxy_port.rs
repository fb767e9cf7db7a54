//! `proxy-port`: the loopback port that the workload may reach.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// The port on 127.0.0.1 and ::1 at which the workload finds its proxy. Two ports are not stricter or looser, so the
/// knob has no exceptions per container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProxyPort(pub u16);

impl Default for ProxyPort {
    fn default() -> Self {
        Self(3128)
    }
}

impl KnobValue for ProxyPort {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::port(text).map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl fmt::Display for ProxyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_without_order() {
        assert_eq!(ProxyPort::parse("8080"), Ok(ProxyPort(8080)));
        for bad in ["0", "8080,8081", "*", "http", "65536"] {
            assert!(ProxyPort::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ProxyPort(1).compare(&ProxyPort(2)), None);
        assert_eq!(ProxyPort(2).compare(&ProxyPort(2)), Some(Ordering::Equal));
    }
}
