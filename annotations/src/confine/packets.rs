//! What the packet fence of one container lets through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::names::named;
use crate::knob::{Destination, Listen, Peer, Transport};
use crate::policy::Policy;

/// Destinations of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Allow {
    /// The transport.
    pub transport: Transport,
    /// Address and prefix length; the bits behind the prefix are zero.
    pub network: (IpAddr, u8),
    /// First and last port, both included.
    pub ports: (u16, u16),
}

impl Allow {
    /// What an entry of `egress` lets through by address; `None` for names.
    pub(super) fn of(entry: &Destination) -> Option<Self> {
        let (transport, ports) = (entry.transport, entry.ports);
        match entry.peer {
            Peer::Network(address, length) => Some(Self { transport, network: (address, length), ports }),
            Peer::Name(_) | Peer::Below(_) => None,
        }
    }
}

/// The rules of one container's packet fence. What is not listed is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketRules {
    /// Where connections and datagrams may go.
    pub allow: Vec<Allow>,
    /// Names and domains: their addresses are let through while they are known, and so is the container's responder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Destination>,
    /// Ports that may be bound and that others may reach: transport, first and last port.
    pub listen: Vec<(Transport, u16, u16)>,
    /// The proxy's port, which the workload never binds.
    pub proxy_port: u16,
    /// What goes out and is not listed is counted, reported and let through. What comes in is refused all the same.
    #[serde(default)]
    pub audit: bool,
}

impl PacketRules {
    /// The rules of a policy in platform mode.
    ///
    /// The loopback proxy, `egress`, and the ports of `listen` on loopback: processes of one container talk to each other. Whose
    /// listener answers there cannot be told; the pod's loopback is shared.
    pub(super) fn of(policy: &Policy) -> Self {
        let proxy_port = policy.proxy_port();
        let mut rules = Self { names: named(policy), proxy_port, ..Self::default() };
        rules.loopback(Transport::Tcp, (proxy_port, proxy_port));
        if let Some(egress) = &policy.settings().egress {
            rules.allow.extend(egress.0.iter().filter_map(Allow::of));
        }
        let transports: &[Transport] =
            if rules.lists_datagrams() { &[Transport::Tcp, Transport::Udp] } else { &[Transport::Tcp] };
        for transport in transports {
            match policy.listen() {
                Listen::Ports(ports) => {
                    for port in ports {
                        rules.listen.push((*transport, *port, *port));
                        rules.loopback(*transport, (*port, *port));
                    }
                }
                Listen::Any => {
                    rules.loopback(*transport, (1, u16::MAX));
                    let around = [(1, proxy_port.saturating_sub(1)), (proxy_port.saturating_add(1), u16::MAX)];
                    let around = around.into_iter().filter(|(first, last)| first <= last && *last != 0);
                    rules.listen.extend(
                        around.filter(|(first, _)| *first != proxy_port).map(|(first, last)| (*transport, first, last)),
                    );
                }
            }
        }
        // Last: datagrams that are only watched open no port of `listen`.
        rules.audit = policy.audit();
        rules
    }

    /// Whether datagrams may be sent anywhere: to a listed destination, or to the responder.
    pub fn datagrams(&self) -> bool {
        self.audit || self.lists_datagrams() || !self.names.is_empty()
    }

    /// Whether the policy itself lists something for datagrams. Those to the responder open no port of `listen` for others.
    pub fn lists_datagrams(&self) -> bool {
        let named = self.names.iter().map(|destination| destination.transport);
        self.allow.iter().map(|allow| allow.transport).chain(named).any(|transport| transport == Transport::Udp)
    }

    /// Whether a destination may be reached whatever names resolve to: what the packet fence in the kernel must answer.
    ///
    /// An IPv4-mapped address is the IPv4 one. Loopback is reached by entries that name loopback, not by wider networks:
    /// who writes `0.0.0.0/0` does not mean the pod's other containers.
    pub fn permits(&self, transport: Transport, to: IpAddr, port: u16) -> bool {
        let to = to.to_canonical();
        self.allow.iter().any(|allow| {
            allow.transport == transport
                && (allow.ports.0..=allow.ports.1).contains(&port)
                && contains(allow.network, to)
                && (!to.is_loopback() || allow.network.0.is_loopback())
        })
    }

    /// Whether a port may be bound, and reached by others.
    pub fn listens(&self, transport: Transport, port: u16) -> bool {
        port != self.proxy_port
            && self.listen.iter().any(|(of, first, last)| *of == transport && (*first..=*last).contains(&port))
    }

    fn loopback(&mut self, transport: Transport, ports: (u16, u16)) {
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        self.allow.extend(addresses.map(|address| {
            let length = if address.is_ipv4() { 32 } else { 128 };
            Allow { transport, network: (address, length), ports }
        }));
    }
}

fn contains((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a) ^ u32::from(b)).checked_shr(32 - u32::from(length.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a) ^ u128::from(b)).checked_shr(128 - u32::from(length.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::{Egress, KnobValue, ProxyPort, Settings};
    use crate::policy::Policy;

    fn rules(egress: &str, listen: &str, proxy: u16) -> PacketRules {
        let settings = Settings {
            egress: (!egress.is_empty()).then(|| Egress::parse(egress).unwrap_or(Egress(Default::default()))),
            listen: Listen::parse(listen).ok(),
            proxy_port: Some(ProxyPort(proxy)),
            ..Settings::default()
        };
        PacketRules::of(&Policy::of_settings(settings))
    }

    fn tcp(rules: &PacketRules, to: &str, port: u16) -> bool {
        to.parse().is_ok_and(|to| rules.permits(Transport::Tcp, to, port))
    }

    #[test]
    fn without_knobs_there_is_the_loopback_proxy_alone() {
        let rules = rules("", "none", 3128);
        for (to, port, expected) in [
            ("127.0.0.1", 3128, true),
            ("::1", 3128, true),
            ("::ffff:127.0.0.1", 3128, true),
            ("127.0.0.2", 3128, false),
            ("10.0.0.1", 3128, false),
            ("127.0.0.1", 3129, false),
            ("::", 3128, false),
        ] {
            assert_eq!(tcp(&rules, to, port), expected, "{to}:{port}");
        }
        assert!(!rules.datagrams() && rules.listen.is_empty());
    }

    #[test]
    fn wide_networks_do_not_hold_loopback() {
        let rules = rules("0.0.0.0/0:1-65535,[::/0]:443,127.0.0.0/8:80,[::ffff:10.0.0.0/104]:5", "none", 3128);
        assert!(tcp(&rules, "8.8.8.8", 1) && tcp(&rules, "fd00::1", 443) && tcp(&rules, "10.1.2.3", 5));
        assert!(tcp(&rules, "127.9.9.9", 80));
        assert!(!tcp(&rules, "127.0.0.1", 81) && !tcp(&rules, "::1", 443) && !tcp(&rules, "fd00::1", 444));
    }

    #[test]
    fn ports_to_listen_on_are_reached_over_loopback() {
        let some = rules("", "8080", 3128);
        assert!(tcp(&some, "127.0.0.1", 8080) && tcp(&some, "::1", 8080) && !tcp(&some, "10.0.0.1", 8080));
        assert!(some.listens(Transport::Tcp, 8080) && !some.listens(Transport::Udp, 8080));
        for proxy in [1, 3128, 65535] {
            let all = rules("udp://10.0.0.1:53", "*", proxy);
            assert!(tcp(&all, "127.0.0.1", 8080) && !tcp(&all, "10.0.0.1", 8080));
            for port in [1, 2, 3127, 3128, 3129, 65534, 65535] {
                assert_eq!(all.listens(Transport::Tcp, port), port != proxy, "{port} beside {proxy}");
                assert_eq!(all.listens(Transport::Udp, port), port != proxy, "{port} beside {proxy}");
            }
        }
    }
}
