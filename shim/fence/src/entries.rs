//! Rules as the entries of maps. Pure; `tests/entries.rs` compares what the kernel would find with what the rules say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocap_annotations::knob::Transport;
use zerocap_annotations::{Allow, PacketRules};

use crate::error::FenceError;
use crate::permits;
use crate::prefix::{merged, prefixes};

/// Most entries of a fence, over all maps: about 8 MiB of kernel memory.
pub(crate) const MAX_ENTRIES: usize = 1 << 16;

/// `PORTS_LISTEN` and `PORTS_OF_SET` of bpf/maps.h.
const LISTEN: u8 = 1;
const OF_SET: u8 = 2;

/// The entries, each as the bytes of its key. Layouts are those of bpf/maps.h.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    /// `struct exact_key`; the value is a time of expiry.
    pub(crate) exact: BTreeSet<[u8; 20]>,
    /// `struct network_key`, with the number of its set of ports.
    pub(crate) networks: BTreeMap<[u8; 20], u32>,
    /// `struct port_key`; the value is a time of expiry.
    pub(crate) ports: BTreeSet<[u8; 12]>,
}

/// A network among IPv6 addresses; IPv4 is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Net {
    bits: u8,
    first: u128,
    v4: bool,
}

/// Port ranges of a set, by protocol.
type Set = BTreeMap<u8, Vec<(u16, u16)>>;

impl Entries {
    pub(crate) fn of(rules: &PacketRules) -> Result<Self, FenceError> {
        let mut entries = Self::default();
        let mut wide: Vec<(Net, &Allow)> = Vec::new();
        for allow in &rules.allow {
            let net = Net::of(allow.network);
            if net.bits == 128 && allow.ports.0 == allow.ports.1 {
                entries.exact.insert(exact_key(net.first, allow.ports.0, protocol(allow.transport)));
            } else {
                wide.push((net, allow));
            }
        }
        entries.networks(&wide)?;
        let mut listen = Set::new();
        for (transport, first, last) in &rules.listen {
            listen.entry(protocol(*transport)).or_default().push((*first, *last));
        }
        entries.set(LISTEN, 0, listen);
        let total = entries.exact.len() + entries.networks.len() + entries.ports.len() + permits::room(rules);
        if total > MAX_ENTRIES {
            return Err(FenceError::TooLarge { entries: total, limit: MAX_ENTRIES });
        }
        Ok(entries)
    }

    /// The kernel finds the longest prefix only, so each network gets what all networks around it permit.
    fn networks(&mut self, wide: &[(Net, &Allow)]) -> Result<(), FenceError> {
        let mut nets: BTreeSet<Net> = wide.iter().map(|(net, _)| *net).collect();
        // Wider networks do not hold loopback, nor IPv6 networks the mapped IPv4 addresses: such places get an entry of their own.
        for guard in Net::guards() {
            if nets.iter().any(|net| net.covers(guard) && *net != guard) {
                nets.insert(guard);
            }
        }
        let mut sets: BTreeMap<Set, u32> = BTreeMap::new();
        for net in nets {
            let mut set = Set::new();
            for (other, allow) in wide {
                if other.covers(net) && other.v4 == net.v4 && (!net.loopback() || other.loopback()) {
                    set.entry(protocol(allow.transport)).or_default().push(allow.ports);
                }
            }
            set.values_mut().for_each(|ranges| *ranges = merged(std::mem::take(ranges)));
            let number = match sets.get(&set) {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(sets.len() + 1).unwrap_or(u32::MAX);
                    if number > u32::from(u16::MAX) || self.ports.len() > MAX_ENTRIES {
                        return Err(FenceError::TooLarge { entries: self.ports.len(), limit: MAX_ENTRIES });
                    }
                    self.set(OF_SET, number as u16, set.clone());
                    sets.insert(set, number);
                    number
                }
            };
            self.networks.insert(net.key(), number);
        }
        Ok(())
    }

    fn set(&mut self, kind: u8, number: u16, set: Set) {
        for (protocol, ranges) in set {
            for (port, bits) in merged(ranges).into_iter().flat_map(prefixes) {
                self.ports.insert(port_key(32 + bits, kind, protocol, number, port));
            }
        }
    }
}

impl Net {
    fn of((address, length): (IpAddr, u8)) -> Self {
        match address {
            IpAddr::V4(v4) => Self { bits: 96 + length.min(32), first: v4.to_ipv6_mapped().to_bits(), v4: true },
            IpAddr::V6(v6) => Self { bits: length.min(128), first: v6.to_bits(), v4: false },
        }
    }

    fn guards() -> [Self; 3] {
        [
            Self::of((Ipv4Addr::UNSPECIFIED.into(), 0)),
            Self::of((Ipv4Addr::new(127, 0, 0, 0).into(), 8)),
            Self::of((Ipv6Addr::LOCALHOST.into(), 128)),
        ]
    }

    fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && (self.first ^ other.first).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
    }

    fn loopback(self) -> bool {
        let [_, v4, v6] = Self::guards();
        v4.covers(self) || v6.covers(self)
    }

    fn key(self) -> [u8; 20] {
        let mut key = [0; 20];
        key[..4].copy_from_slice(&u32::from(self.bits).to_ne_bytes());
        key[4..].copy_from_slice(&self.first.to_be_bytes());
        key
    }
}

/// `IPPROTO_*`.
fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// The key in the exact table.
pub(crate) fn exact_of(to: IpAddr, port: u16, transport: Transport) -> [u8; 20] {
    exact_key(Net::of((to, if to.is_ipv4() { 32 } else { 128 })).first, port, protocol(transport))
}

fn exact_key(address: u128, port: u16, protocol: u8) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&address.to_be_bytes());
    key[16..18].copy_from_slice(&port.to_ne_bytes());
    key[18] = protocol;
    key
}

fn port_key(bits: u32, kind: u8, protocol: u8, set: u16, port: u16) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&bits.to_ne_bytes());
    key[4] = kind;
    key[5] = protocol;
    key[6..8].copy_from_slice(&set.to_be_bytes());
    key[8..10].copy_from_slice(&port.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel would find: the longest prefix that matches `bits` bits of a key.
    fn longest<'a, V>(entries: impl Iterator<Item = (&'a [u8], V)>, wanted: &[u8]) -> Option<V> {
        let length = |key: &[u8]| u32::from_ne_bytes([key[0], key[1], key[2], key[3]]) as usize;
        let matches =
            |key: &[u8]| (0..length(key)).all(|bit| (key[4 + bit / 8] ^ wanted[4 + bit / 8]) >> (7 - bit % 8) & 1 == 0);
        entries.filter(|(key, _)| matches(key)).max_by_key(|(key, _)| length(key)).map(|(_, value)| value)
    }

    impl Entries {
        fn permits(&self, transport: Transport, to: IpAddr, port: u16) -> bool {
            let (net, protocol) = (Net::of((to, if to.is_ipv4() { 32 } else { 128 })), protocol(transport));
            if self.exact.contains(&exact_key(net.first, port, protocol)) {
                return true;
            }
            let networks = self.networks.iter().map(|(key, set)| (key.as_slice(), *set));
            longest(networks, &net.key()).is_some_and(|set| self.has(OF_SET, protocol, set as u16, port))
        }

        fn has(&self, kind: u8, protocol: u8, set: u16, port: u16) -> bool {
            let ports = self.ports.iter().map(|key| (key.as_slice(), ()));
            longest(ports, &port_key(48, kind, protocol, set, port)).is_some()
        }
    }

    /// Few bits vary, so that networks nest and ranges meet; loopback and mapped addresses are among them.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0u32..4, 0u32..4).prop_map(|(high, low)| IpAddr::V4((0x7e00_0000 + (high << 24) + low).into())),
            (0u128..4).prop_map(|low| IpAddr::V6(low.into())),
            (0u128..4).prop_map(|low| IpAddr::V6(((0xfd << 120) + low).into())),
            (0u32..4).prop_map(|low| IpAddr::V6(Ipv4Addr::from(0x0a00_0000 + low).to_ipv6_mapped())),
        ]
    }

    fn transport() -> impl Strategy<Value = Transport> {
        prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)]
    }

    fn allow() -> impl Strategy<Value = Allow> {
        (address(), 0u8..=8, any::<bool>(), 1u16..12, 0u16..6, transport()).prop_map(
            |(address, short, long, port, more, transport)| {
                let address = address.to_canonical();
                let full = if address.is_ipv4() { 32 } else { 128 };
                let length = if long { full - short.min(full) } else { short };
                let masked = match address {
                    IpAddr::V4(v4) => {
                        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                        IpAddr::V4((u32::from(v4) & mask).into())
                    }
                    IpAddr::V6(v6) => {
                        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                        IpAddr::V6((u128::from(v6) & mask).into())
                    }
                };
                Allow { transport, network: (masked, length), ports: (port, port + more) }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_kernel_finds_what_the_rules_say(
            allow in proptest::collection::vec(allow(), 0..8),
            listen in proptest::collection::vec((transport(), 1u16..12, 0u16..6), 0..4),
            probes in proptest::collection::vec((address(), 1u16..18, transport()), 64),
        ) {
            let listen = listen.into_iter().map(|(transport, first, more)| (transport, first, first + more)).collect();
            let rules = PacketRules { allow, listen, ..PacketRules::default() };
            let entries = Entries::of(&rules).map_err(|error| TestCaseError::fail(error.to_string()))?;
            for (to, port, transport) in probes {
                prop_assert_eq!(
                    entries.permits(transport, to, port), rules.permits(transport, to, port),
                    "{:?} {}:{}", transport, to, port
                );
                prop_assert_eq!(entries.has(LISTEN, protocol(transport), 0, port), rules.listens(transport, port));
            }
        }
    }

    #[test]
    fn rules_over_the_bound_are_refused() {
        // A thousand networks, each with ranges of its own and a thousand of those around it.
        let mut rules = PacketRules::default();
        for n in 0..1000u32 {
            rules.allow.push(Allow {
                transport: Transport::Tcp,
                network: (Ipv4Addr::UNSPECIFIED.into(), 0),
                ports: ((n * 60 + 1) as u16, (n * 60 + 30) as u16),
            });
            rules.allow.push(Allow {
                transport: Transport::Udp,
                network: (Ipv4Addr::from(n << 8).into(), 24),
                ports: (1 + n as u16, 2 + n as u16),
            });
        }
        assert!(matches!(Entries::of(&rules), Err(FenceError::TooLarge { limit: MAX_ENTRIES, .. })));
    }
}
