//! `egress`: destinations that may be reached beside the loopback proxy.

mod destination;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Absent, KnobValue, Malformed, fewer_is_stricter, list};
pub(crate) use destination::network;
pub use destination::{Destination, MAX_NAME_PORTS, Peer, Transport};

/// The destinations of one pod or container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Egress(pub BTreeSet<Destination>);

impl Egress {
    /// A list as the annotation writes it; `None` where the annotation is refused.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    /// Whether this list names everything that the other one names.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.within(self)
    }

    /// Whether each of the destinations lies within one of the other's.
    fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|own| other.0.iter().any(|wide| wide.covers(own)))
    }
}

impl KnobValue for Egress {
    const ABSENT: Absent = Absent::Strictest;

    /// An entry that is no more than ports belongs to the host of the entry before: `example.com:80,443,8000-8010`.
    fn parse(text: &str) -> Result<Self, Malformed> {
        let mut before: Option<Destination> = None;
        let mut all = BTreeSet::new();
        for entry in list::entries(text)? {
            let destination = match before.as_ref().and_then(|before| before.continued(entry)) {
                Some(continued) => continued?,
                None => Destination::parse(entry)?,
            };
            all.insert(destination.clone());
            before = Some(destination);
        }
        Ok(Self(all))
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.within(other), other.within(self))
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list::join(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        Egress::parse(text).map(|egress| egress.to_string()).map_err(|malformed| malformed.instead)
    }

    #[test]
    fn destinations_of_every_form() {
        for (text, expected) in [
            ("API.example.com.:443", "tcp://api.example.com:443"),
            ("*.models.example:443", "tcp://*.models.example:443"),
            ("*.A.b.:1-64", "tcp://*.a.b:1-64"),
            ("10.0.0.0/8:5432", "tcp://10.0.0.0/8:5432"),
            ("10.1.2.3:1-1024", "tcp://10.1.2.3/32:1-1024"),
            ("udp://time.example.com:123", "udp://time.example.com:123"),
            ("[fd00::/8]:443", "tcp://[fd00::/8]:443"),
            ("[::1]:1", "tcp://[::1/128]:1"),
            ("[::ffff:10.0.0.0/104]:5", "tcp://10.0.0.0/8:5"),
            ("0.0.0.0/0:1-65535", "tcp://0.0.0.0/0:1-65535"),
            ("tcp://a:1, udp://b:2", "tcp://a:1,udp://b:2"),
            ("a.b:80, 443,8000-8010", "tcp://a.b:80,tcp://a.b:443,tcp://a.b:8000-8010"),
            ("udp://10.0.0.1:53,5353,c:1,2", "tcp://c:1,tcp://c:2,udp://10.0.0.1/32:53,udp://10.0.0.1/32:5353"),
            ("xn--bcher-kva.example:443", "tcp://xn--bcher-kva.example:443"),
        ] {
            // The transports come in the order of the type.
            let mut sorted: Vec<&str> = expected.split(',').collect();
            sorted.sort_unstable();
            let found = canonical(text);
            let mut found: Vec<&str> = found.as_deref().unwrap_or_default().split(',').collect();
            found.sort_unstable();
            assert_eq!(found, sorted, "{text}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        for bad in [
            "",
            "example.com",
            ":443",
            "443",
            "443,example.com:443",
            "example.com:",
            "example.com:0",
            "example.com:2-1",
            "example.com:80,0",
            "http://a:80",
            "*:443",
            "*.:443",
            "*.*.a:1",
            "a.*.b:1",
            "a*.b:1",
            "10.0.0.1/8:1",
            "10.0.0.0/33:1",
            "fd00::1:443",
            "[10.0.0.0/8]:1",
            "127.1:80",
            "0x7f000001:80",
            "2130706433:80",
            "010.0.0.1:80",
            "10.0.0.1.:80",
            "1.2.3.4.5:80",
            "a.0x10:80",
            "a_b:1",
            "a..b:1",
            "a.b..:1",
            ".a:1",
            "-a.b:1",
            "[fe80::1%eth0]:1",
        ] {
            assert!(Egress::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("{}.example:1", ["a"; 124].join("."));
        assert!(Egress::parse(&long).is_err(), "a name of over 253 bytes");
        assert!(Egress::parse(&format!("{}:1", "a".repeat(64))).is_err(), "a label of 64 bytes");
    }

    #[test]
    fn what_to_write_instead_is_said() {
        for (bad, instead) in [
            ("b\u{fc}cher.example:443", "xn--"),
            ("localhost:80", "127.0.0.1:PORT"),
            ("*.LOCALHOST.:80", "127.0.0.1:PORT"),
            ("a.b:1-65", "fewer ports"),
            ("a.b:80,1000-2000", "fewer ports"),
            ("a.b", "HOST:PORT"),
        ] {
            assert!(canonical(bad).is_err_and(|said| said.contains(instead)), "{bad:?}: {:?}", canonical(bad));
        }
    }

    #[test]
    fn narrower_is_stricter() {
        let compare = |a: &str, b: &str| {
            let parse = |text| Egress::parse(text).unwrap_or(Egress(BTreeSet::new()));
            parse(a).compare(&parse(b))
        };
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("10.1.2.3:443", "10.0.0.0/8:1-65535", Some(Greater)),
            ("10.0.0.0/8:1-65535", "10.1.2.3:443", Some(Less)),
            ("10.1.2.3:443", "10.1.2.3:443", Some(Equal)),
            ("10.1.2.3:443", "11.0.0.0/8:443", None),
            ("10.1.2.3:443", "udp://10.0.0.0/8:443", None),
            ("10.1.2.3:443", "10.0.0.0/8:80-442", None),
            ("127.0.0.1:80", "0.0.0.0/0:80", None),
            ("127.0.0.1:80", "127.0.0.0/8:80", Some(Greater)),
            ("[::1]:80", "[::/0]:80", None),
            ("10.0.0.1:80", "[::/0]:80", None),
            ("a.b:80", "*.b:80", Some(Greater)),
            ("x.y.b:80", "*.b:80", Some(Greater)),
            ("*.y.b:80", "*.b:80", Some(Greater)),
            ("b:80", "*.b:80", None),
            ("ab:80", "*.b:80", None),
            ("a.b:80", "0.0.0.0/0:80", None),
            ("a.b:80,c.d:80", "a.b:80", Some(Less)),
        ] {
            assert_eq!(compare(a, b), expected, "{a} beside {b}");
        }
    }
}
