//! `network-enforcement`: who confines the network.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, list};

/// Who confines the network of the container. The order is from loose to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkEnforcement {
    /// The network is left to the cluster.
    Cluster,
    /// The node confines the container: zero capabilities, and nothing but the loopback proxy to talk to.
    Platform,
}

impl KnobValue for NetworkEnforcement {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::word(text, &[("platform", Self::Platform), ("cluster", Self::Cluster), ("namespace", Self::Cluster)])
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NetworkEnforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Platform => "platform",
            Self::Cluster => "cluster",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_synonym() {
        assert_eq!(NetworkEnforcement::parse("platform"), Ok(NetworkEnforcement::Platform));
        assert_eq!(NetworkEnforcement::parse("cluster"), Ok(NetworkEnforcement::Cluster));
        assert_eq!(NetworkEnforcement::parse("namespace"), Ok(NetworkEnforcement::Cluster));
        for bad in ["", "Platform", "platform,cluster", "platfrom"] {
            assert!(NetworkEnforcement::parse(bad).is_err(), "{bad:?}");
        }
        let error = NetworkEnforcement::parse("platfrom").map_err(|e| e.instead);
        assert_eq!(error, Err("did you mean platform?".to_owned()));
    }

    #[test]
    fn platform_is_stricter() {
        assert_eq!(NetworkEnforcement::Platform.compare(&NetworkEnforcement::Cluster), Some(Ordering::Greater));
    }
}
