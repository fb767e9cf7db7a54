//! A host name as a policy or a workload writes it.

use std::borrow::Borrow;
use std::fmt;

use domain::base::Name;
use domain::base::name::ToLabelIter;
use serde::{Deserialize, Deserializer, Serialize};

/// A name as it stands in messages.
pub type WireName = Name<Vec<u8>>;

/// A host name: lower case, without the trailing dot, letters, digits, `-` and `_` only, at most 253 bytes.
///
/// Other names have no addresses that a program would connect to, and two spellings of one name would be two bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(String);

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no host name"))
    }
}

impl HostName {
    /// Reads a name in any case, with or without the trailing dot. `None` if it is no host name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        Self::of_labels(text.split('.').map(str::as_bytes))
    }

    /// Reads the labels of a name from a message.
    pub(crate) fn of_message(name: &impl ToLabelIter) -> Option<Self> {
        let labels = name.iter_labels().filter(|label| !label.is_root());
        Self::of_labels(labels.map(|label| label.as_slice()))
    }

    fn of_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut text = String::new();
        for label in labels {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if label.is_empty() || label.len() > 63 || !label.iter().all(plain) {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        }
        (1..=253).contains(&text.len()).then_some(Self(text))
    }

    /// The name without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many dots it has: what `ndots` counts.
    pub(crate) fn dots(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'.').count()
    }

    /// The name below a domain of a search list. `None` if that is too long.
    pub(crate) fn below(&self, domain: &Self) -> Option<Self> {
        Self::parse(&format!("{}.{}", self.0, domain.0))
    }

    /// The labels that stand before `domain`, with the dots between them. `None` if the name is not below the domain.
    pub(crate) fn prefix(&self, domain: &Self) -> Option<&str> {
        self.0.strip_suffix(&domain.0)?.strip_suffix('.')
    }

    /// The name as it stands in messages.
    #[must_use]
    pub fn to_wire(&self) -> WireName {
        let mut octets = Vec::with_capacity(self.0.len() + 2);
        for label in self.0.split('.') {
            octets.push(label.len() as u8);
            octets.extend_from_slice(label.as_bytes());
        }
        octets.push(0);
        Name::from_octets(octets).unwrap_or_else(|_| Name::root_vec())
    }
}

/// As text it is compared and hashed alike.
impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_a_name() {
        let name = HostName::parse("API.Example.com.").expect("a name");
        assert_eq!(name.as_str(), "api.example.com");
        assert_eq!(HostName::of_message(&name.to_wire()), Some(name.clone()));
        assert_eq!(name.prefix(&HostName::parse("example.com").expect("a name")), Some("api"));
        assert_eq!(name.prefix(&HostName::parse("ample.com").expect("a name")), None);
        assert_eq!(name.prefix(&name), None);
        assert_eq!(name.dots(), 2);
    }

    #[test]
    fn what_is_no_host_name() {
        let long = ["a"; 128].join(".");
        let label = "a".repeat(64);
        for bad in ["", ".", "a..b", ".a", "a b", "a\0b", "ä.example", "*.a", &long, &label] {
            assert_eq!(HostName::parse(bad), None, "{bad:?}");
        }
        assert!(HostName::parse(&["a"; 127].join(".")).is_some());
    }
}
