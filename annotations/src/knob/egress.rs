//! `egress`: destinations that may be reached beside the loopback proxy.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Absent, KnobValue, Malformed, fewer_is_stricter, list};
use crate::error::quote;

/// The transport of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// `tcp://`, the default.
    Tcp,
    /// `udp://`.
    Udp,
}

/// Whom a destination names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// One host name, in lower case.
    Name(String),
    /// `*.DOMAIN`: every name below the domain, not the domain itself.
    Below(String),
    /// A network in CIDR notation; one address is a network of its full length.
    Network(IpAddr, u8),
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// The transport.
    pub transport: Transport,
    /// The host, domain or network.
    pub peer: Peer,
    /// First and last port, both included.
    pub ports: (u16, u16),
}

/// The destinations of one pod or container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Egress(pub BTreeSet<Destination>);

fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    // Were the last label a number, resolvers would take the whole for an address in an odd notation.
    let last = name.rsplit('.').next()?;
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    (name.len() <= 253 && !numeric && name.split('.').all(list::is_dns_label)).then_some(name)
}

fn network(text: &str) -> Option<Peer> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(full), list::decimal).filter(|length: &u8| *length <= full)?;
    let host_bits = match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) & mask(32 - length),
        IpAddr::V6(v6) => u128::from(v6) & mask(128 - length),
    };
    (host_bits == 0).then_some(Peer::Network(address, length))
}

/// The lowest `bits` bits.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shr(128 - u32::from(bits)).unwrap_or(0)
}

fn peer(text: &str) -> Option<Peer> {
    if let Some(inner) = text.strip_prefix('[') {
        return network(inner.strip_suffix(']')?).filter(|peer| matches!(peer, Peer::Network(IpAddr::V6(_), _)));
    }
    if text.contains(':') {
        return None;
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return host_name(domain).map(Peer::Below);
    }
    network(text).or_else(|| host_name(text).map(Peer::Name))
}

fn destination(text: &str) -> Option<Destination> {
    let (transport, rest) = match text.split_once("://") {
        Some(("tcp", rest)) => (Transport::Tcp, rest),
        Some(("udp", rest)) => (Transport::Udp, rest),
        Some(_) => return None,
        None => (Transport::Tcp, text),
    };
    let (host, ports) = rest.rsplit_once(':')?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let ports = (list::port(first).ok()?, list::port(last).ok()?);
    (ports.0 <= ports.1).then_some(())?;
    Some(Destination { transport, peer: peer(host)?, ports })
}

impl KnobValue for Egress {
    const ABSENT: Absent = Absent::Strictest;

    fn parse(text: &str) -> Result<Self, Malformed> {
        list::entries(text)?
            .into_iter()
            .map(|entry| {
                destination(entry).ok_or_else(|| {
                    Malformed::new(
                        format!("has {}, which is no destination", quote(entry)),
                        "write HOST:PORT, *.DOMAIN:PORT or CIDR:PORT, IPv6 in brackets, with tcp:// or udp:// before it",
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.0.is_subset(&other.0), other.0.is_subset(&self.0))
    }

    /// Addresses are, by the packet fence. Names are not: that takes a resolver.
    fn enforced(&self) -> bool {
        self.0.iter().all(|destination| matches!(destination.peer, Peer::Network(..)))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.transport == Transport::Udp { "udp://" } else { "tcp://" })?;
        match &self.peer {
            Peer::Name(name) => f.write_str(name)?,
            Peer::Below(domain) => write!(f, "*.{domain}")?,
            Peer::Network(IpAddr::V4(address), length) => write!(f, "{address}/{length}")?,
            Peer::Network(IpAddr::V6(address), length) => write!(f, "[{address}/{length}]")?,
        }
        match self.ports {
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
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

    #[test]
    fn destinations_of_every_form() {
        let canonical = |text: &str| Egress::parse(text).map(|e| e.to_string()).map_err(|e| e.what);
        for (text, expected) in [
            ("API.example.com.:443", "tcp://api.example.com:443"),
            ("*.models.example:443", "tcp://*.models.example:443"),
            ("10.0.0.0/8:5432", "tcp://10.0.0.0/8:5432"),
            ("10.1.2.3:1-1024", "tcp://10.1.2.3/32:1-1024"),
            ("udp://time.example.com:123", "udp://time.example.com:123"),
            ("[fd00::/8]:443", "tcp://[fd00::/8]:443"),
            ("[::1]:1", "tcp://[::1/128]:1"),
            ("0.0.0.0/0:1-65535", "tcp://0.0.0.0/0:1-65535"),
            ("tcp://a:1, udp://b:2", "tcp://a:1,udp://b:2"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        for bad in [
            "",
            "example.com",
            ":443",
            "example.com:",
            "example.com:0",
            "example.com:2-1",
            "http://a:80",
            "*:443",
            "*.*.a:1",
            "a.*.b:1",
            "10.0.0.1/8:1",
            "10.0.0.0/33:1",
            "fd00::1:443",
            "[10.0.0.0/8]:1",
            "127.1:80",
            "0x7f000001:80",
            "2130706433:80",
            "010.0.0.1:80",
            "a_b:1",
            "a..b:1",
            "exämple.com:1",
            "[fe80::1%eth0]:1",
        ] {
            assert!(Egress::parse(bad).is_err(), "{bad:?}");
        }
    }
}
