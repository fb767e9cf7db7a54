//! `policy`: a policy that the floor file defines.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, is_dns_label};
use crate::error::quote;

/// The name of a policy of the floor file: a DNS label. Names have no order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyName(pub String);

impl KnobValue for PolicyName {
    fn parse(text: &str) -> Result<Self, Malformed> {
        if is_dns_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed::new(
                format!("has {}, which is no name of a policy", quote(text)),
                "write one name of lower-case letters, digits and dashes",
            ))
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label() {
        assert_eq!(PolicyName::parse("web-1"), Ok(PolicyName("web-1".into())));
        for bad in ["", "a,b", "Web", "a/b"] {
            assert!(PolicyName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
