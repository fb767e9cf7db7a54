//! One destination, as it is written.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::{Malformed, list};
use crate::error::quote;

/// Most ports that one entry may give to a name: each address that the name resolves to takes an entry for each of them in the packet fence.
pub const MAX_NAME_PORTS: u16 = 64;

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
    /// One host name, in lower case, without a dot at its end.
    Name(String),
    /// `*.DOMAIN`: every name of one or more labels below the domain, not the domain itself.
    Below(String),
    /// A network in CIDR notation; one address is a network of its full length. IPv4-mapped ones are IPv4.
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

impl Destination {
    /// Reads an entry that names its host.
    pub(super) fn parse(entry: &str) -> Result<Self, Malformed> {
        let (transport, rest) = match entry.split_once("://") {
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some(("udp", rest)) => (Transport::Udp, rest),
            Some(_) => return Err(malformed(entry)),
            None => (Transport::Tcp, entry),
        };
        let (host, written) = rest.rsplit_once(':').ok_or_else(|| malformed(entry))?;
        let ports = ports(written).ok_or_else(|| malformed(entry))?;
        let peer = peer(host).map_err(|problem| problem.of(entry))?;
        Self { transport, peer, ports }.bounded(entry)
    }

    /// The same host and transport with the ports of an entry that has nothing else; `None` for any other entry.
    pub(super) fn continued(&self, entry: &str) -> Option<Result<Self, Malformed>> {
        ports(entry).map(|ports| Self { ports, ..self.clone() }.bounded(entry))
    }

    fn bounded(self, entry: &str) -> Result<Self, Malformed> {
        let many = self.ports.1 - self.ports.0 >= MAX_NAME_PORTS;
        if many && !matches!(self.peer, Peer::Network(..)) {
            return Err(Malformed::new(
                format!("has {}, which gives a name more than {MAX_NAME_PORTS} ports", quote(entry)),
                "write fewer ports, or the name's networks",
            ));
        }
        Ok(self)
    }

    /// Whether everything that the other one permits is permitted by this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.transport == other.transport
            && self.ports.0 <= other.ports.0
            && other.ports.1 <= self.ports.1
            && self.peer.covers(&other.peer)
    }
}

impl Peer {
    fn covers(&self, other: &Self) -> bool {
        let below = |domain: &str, name: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Below(domain), Self::Name(name)) => below(domain, name),
            (Self::Below(domain), Self::Below(inner)) => domain == inner || below(domain, inner),
            (Self::Network(a, wide), Self::Network(b, narrow)) => {
                // A wider network does not hold loopback: the packet fence says so.
                wide <= narrow && same_network(*a, *b, *wide) && (!b.is_loopback() || a.is_loopback())
            }
            _ => false,
        }
    }
}

fn same_network(a: IpAddr, b: IpAddr, length: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)) as u128 & !mask(32 - length) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)) & !mask(128 - length) == 0,
        _ => false,
    }
}

/// What is wrong with a host.
enum Problem {
    Form,
    International,
    Localhost,
}

impl Problem {
    fn of(self, entry: &str) -> Malformed {
        match self {
            Self::Form => malformed(entry),
            Self::International => Malformed::new(
                format!("has {}, whose name is not written in ASCII", quote(entry)),
                "write the name as DNS has it, for example xn--bcher-kva.example",
            ),
            Self::Localhost => Malformed::new(
                format!("has {}, and no name may resolve to loopback", quote(entry)),
                "write 127.0.0.1:PORT or [::1]:PORT",
            ),
        }
    }
}

fn malformed(entry: &str) -> Malformed {
    Malformed::new(
        format!("has {}, which is no destination", quote(entry)),
        "write HOST:PORT, *.DOMAIN:PORT or CIDR:PORT, IPv6 in brackets, with tcp:// or udp:// before it",
    )
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = (list::port(first).ok()?, list::port(last).ok()?);
    (ports.0 <= ports.1).then_some(ports)
}

fn peer(text: &str) -> Result<Peer, Problem> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').filter(|inner| inner.contains(':')).ok_or(Problem::Form)?;
        return network(inner).map(|(address, length)| Peer::Network(address, length)).ok_or(Problem::Form);
    }
    if text.contains(':') {
        return Err(Problem::Form);
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return host_name(domain).map(Peer::Below);
    }
    match network(text) {
        Some((address, length)) => Ok(Peer::Network(address, length)),
        None => host_name(text).map(Peer::Name),
    }
}

fn host_name(text: &str) -> Result<String, Problem> {
    if !text.is_ascii() {
        return Err(Problem::International);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    // Were the last label a number, resolvers would take the whole for an address in an odd notation.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.len() > 253 || numeric || !name.split('.').all(list::is_dns_label) {
        return Err(Problem::Form);
    }
    if last == "localhost" { Err(Problem::Localhost) } else { Ok(name) }
}

/// A network or an address; IPv4-mapped ones are IPv4.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(full), list::decimal).filter(|length: &u8| *length <= full)?;
    let bits = match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    if bits & mask(full - length) != 0 {
        return None;
    }
    Some(match address {
        IpAddr::V6(v6) if length >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => (v4.into(), length - 96),
            None => (address, length),
        },
        _ => (address, length),
    })
}

/// The lowest `bits` bits.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shr(128 - u32::from(bits)).unwrap_or(0)
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
