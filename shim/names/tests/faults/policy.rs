//! Destinations in the spelling of the annotation.

use std::collections::BTreeSet;

use zerocap_annotations::knob::{Destination, Peer, Transport};

/// `[udp://]NAME:PORT[-PORT], …`
pub fn destinations(text: &str) -> BTreeSet<Destination> {
    text.split(", ").filter(|entry| !entry.is_empty()).map(destination).collect()
}

fn destination(entry: &str) -> Destination {
    let (transport, rest) = match entry.strip_prefix("udp://") {
        Some(rest) => (Transport::Udp, rest),
        None => (Transport::Tcp, entry),
    };
    let (host, ports) = rest.split_once(':').expect("a port");
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let peer = match host.strip_prefix("*.") {
        Some(domain) => Peer::Below(domain.into()),
        None => Peer::Name(host.into()),
    };
    Destination { transport, peer, ports: (first.parse().expect("a port"), last.parse().expect("a port")) }
}
