//! Whether a policy lets a workload reach one destination, and by what: the packet fence's answer, explained.

use super::packets::{Allow, PacketRules};
use crate::code;
use crate::error::{ZcError, quote};
use crate::knob::{Destination, Egress, KnobValue, Peer, Transport};
use crate::policy::Policy;

/// What becomes of a connection, or a datagram, to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is let through.
    Allowed(By),
    /// Nothing names it.
    Refused,
    /// It is a name that no entry has, and its addresses decide: it is let through where they lie in one of these.
    AtRunTime(Vec<By>),
}

/// What lets something through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The proxy on loopback.
    Proxy,
    /// A port of `listen`, on loopback.
    Own,
    /// An entry of `egress`.
    Entry(Destination),
}

/// Reads one destination: as an entry of `egress`, but one address or name and one port.
///
/// # Errors
/// ZC1212: it is none.
pub fn one_destination(text: &str) -> Result<Destination, ZcError> {
    let wrong = |what: String| {
        ZcError::new(
            code::fence::NOT_ONE_DESTINATION,
            what,
            "write HOST:PORT or ADDRESS:PORT, IPv6 in brackets, with tcp:// or udp:// before it",
        )
    };
    let all = Egress::parse(text).map_err(|malformed| wrong(format!("{} {}", quote(text), malformed.what)))?.0;
    let mut all = all.into_iter();
    match (all.next(), all.next()) {
        (Some(one), None) if is_one(&one) => Ok(one),
        _ => Err(wrong(format!("{} is not one destination", quote(text)))),
    }
}

fn is_one(destination: &Destination) -> bool {
    let one_host = match &destination.peer {
        Peer::Name(_) => true,
        Peer::Below(_) => false,
        Peer::Network(address, length) => *length == if address.is_ipv4() { 32 } else { 128 },
    };
    one_host && destination.ports.0 == destination.ports.1
}

/// The answer of a policy in platform mode, under a packet fence; `to` is one destination.
pub fn reach(policy: &Policy, to: &Destination) -> Reach {
    let port = to.ports.0;
    let entries = policy.settings().egress.iter().flat_map(|egress| &egress.0);
    let fitting =
        |entry: &&Destination| entry.transport == to.transport && (entry.ports.0..=entry.ports.1).contains(&port);
    match &to.peer {
        Peer::Network(address, _) => {
            let permits = |allow: Allow| {
                let alone = PacketRules { allow: vec![allow], ..PacketRules::default() };
                alone.permits(to.transport, *address, port)
            };
            if let Some(entry) = entries.clone().find(|entry| Allow::of(entry).is_some_and(permits)) {
                return Reach::Allowed(By::Entry(entry.clone()));
            }
            let rules = PacketRules::of(policy);
            match rules.permits(to.transport, *address, port) {
                true if port == rules.proxy_port && to.transport == Transport::Tcp => Reach::Allowed(By::Proxy),
                true => Reach::Allowed(By::Own),
                false => Reach::Refused,
            }
        }
        Peer::Name(name) => {
            if let Some(entry) = entries.clone().find(|entry| fitting(entry) && names(&entry.peer, name)) {
                return Reach::Allowed(By::Entry(entry.clone()));
            }
            let mut ways: Vec<By> = Vec::new();
            if to.transport == Transport::Tcp && port == policy.proxy_port() {
                ways.push(By::Proxy);
            }
            let networks = entries.filter(fitting).filter(|entry| matches!(entry.peer, Peer::Network(..)));
            ways.extend(networks.cloned().map(By::Entry));
            if ways.is_empty() { Reach::Refused } else { Reach::AtRunTime(ways) }
        }
        Peer::Below(_) => Reach::Refused,
    }
}

fn names(peer: &Peer, name: &str) -> bool {
    match peer {
        Peer::Name(own) => own == name,
        Peer::Below(domain) => {
            name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
        }
        Peer::Network(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::{Listen, ProxyPort, Settings};

    fn policy(entries: &[Destination]) -> Policy {
        Policy::of_settings(Settings {
            egress: Some(Egress(entries.iter().cloned().collect())),
            listen: Listen::parse("8080").ok(),
            proxy_port: Some(ProxyPort(3128)),
            ..Settings::default()
        })
    }

    fn entries() -> Vec<Destination> {
        let network = |text: &str| Egress::parse(text).expect("a destination").0.into_iter();
        let named = |peer| Destination { transport: Transport::Tcp, peer, ports: (443, 443) };
        network("10.0.0.0/8:443-445,udp://10.1.2.3:53,0.0.0.0/0:9")
            .chain([named(Peer::Name("api.example.com".into())), named(Peer::Below("models.example".into()))])
            .collect()
    }

    fn answer(text: &str) -> String {
        let by = |by: &By| match by {
            By::Proxy => "proxy".to_owned(),
            By::Own => "listen".to_owned(),
            By::Entry(entry) => entry.to_string(),
        };
        match reach(&policy(&entries()), &one_destination(text).expect("a destination")) {
            Reach::Allowed(way) => by(&way),
            Reach::Refused => "refused".to_owned(),
            Reach::AtRunTime(ways) => format!("if {}", ways.iter().map(by).collect::<Vec<_>>().join(" or ")),
        }
    }

    #[test]
    fn each_destination_has_its_reason() {
        for (text, expected) in [
            ("10.9.9.9:444", "tcp://10.0.0.0/8:443-445"),
            ("10.9.9.9:446", "refused"),
            ("udp://10.9.9.9:443", "refused"),
            ("udp://10.1.2.3:53", "udp://10.1.2.3/32:53"),
            ("127.0.0.1:3128", "proxy"),
            ("[::1]:3128", "proxy"),
            ("127.0.0.1:8080", "listen"),
            // Wider networks do not hold loopback.
            ("127.0.0.1:9", "refused"),
            ("192.0.2.1:9", "tcp://0.0.0.0/0:9"),
            ("API.example.com.:443", "tcp://api.example.com:443"),
            ("a.b.models.example:443", "tcp://*.models.example:443"),
            ("models.example:443", "if tcp://10.0.0.0/8:443-445"),
            ("xmodels.example:444", "if tcp://10.0.0.0/8:443-445"),
            ("proxy.example.org:3128", "if proxy"),
            ("example.org:80", "refused"),
            ("udp://example.org:123", "refused"),
        ] {
            assert_eq!(answer(text), expected, "{text}");
        }
    }

    #[test]
    fn the_fence_says_the_same() {
        let (policy, rules) = (policy(&entries()), PacketRules::of(&policy(&entries())));
        for address in ["10.0.0.1", "127.0.0.1", "127.0.0.2", "192.0.2.1", "10.1.2.3"] {
            for (transport, word) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
                for port in [9, 53, 443, 445, 446, 3128, 8080] {
                    let to = one_destination(&format!("{word}://{address}:{port}")).expect("a destination");
                    let said = matches!(reach(&policy, &to), Reach::Allowed(_));
                    let permits = rules.permits(transport, address.parse().expect("an address"), port);
                    assert_eq!(said, permits, "{to}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_one_destination_is_refused() {
        for bad in ["", "10.0.0.0/8:443", "10.0.0.1:1-2", "*.example.com:443", "a:1,b:2", "a", "http://a:80", "10.1:1"]
        {
            assert!(one_destination(bad).is_err(), "{bad:?}");
        }
    }
}
