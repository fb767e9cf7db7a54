//! What a name may never resolve to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::core::lock;
use crate::embedded::embedded;
use crate::gate::BootTime;

/// An address and the number of leading bits that count.
pub type Network = (IpAddr, u8);

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Network {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(first: u16, second: u16, third: u16, bits: u8) -> Network {
    (IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)), bits)
}

const fn v6_last(first: u16, second: u16, seventh: u16, last: u16) -> Network {
    (IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, seventh, last)), 128)
}

/// What holds on every node.
const ALWAYS: [Network; 17] = [
    // This network: Linux connects 0.0.0.0 to loopback.
    v4(0, 0, 0, 0, 8),
    v4(127, 0, 0, 0, 8),
    // Link-local, and the metadata service of most clouds.
    v4(169, 254, 0, 0, 16),
    // Metadata: Azure, Alibaba, Oracle.
    v4(168, 63, 129, 16, 32),
    v4(100, 100, 100, 200, 32),
    v4(192, 0, 0, 192, 32),
    // Multicast, reserved, broadcast.
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v6(0, 0, 0, 128),
    v6_last(0, 0, 0, 1),
    // Link-local, site-local, multicast.
    v6(0xfe80, 0, 0, 10),
    v6(0xfec0, 0, 0, 10),
    v6(0xff00, 0, 0, 8),
    // Metadata: AWS (all local services), Google, Oracle.
    v6(0xfd00, 0xec2, 0, 32),
    v6_last(0xfd20, 0xce, 0, 0x254),
    v6_last(0xfd00, 0xc1, 0xa9fe, 0xa9fe),
    // Discard-only.
    v6(0x100, 0, 0, 64),
];

/// What a name may never resolve to: loopback, link-local, unspecified, multicast, broadcast and metadata addresses, and what the caller adds
/// (addresses of nodes, networks of pods and services), each also as it stands inside IPv6 addresses of other kinds: mapped, compatible,
/// NAT64, SIIT, 6to4, Teredo, ISATAP.
///
/// Private networks are not among them: names of internal servers resolve there, and the policy's author chose the name.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    never: Vec<Network>,
    permitted: Vec<Network>,
    around: Option<Around>,
}

/// What is around a container and changes while it runs: the addresses of its node, the networks of its pod.
pub trait Surroundings: Send + Sync {
    /// The networks that no name may resolve to now. It is asked before an answer is judged, once in a second at the most, and must not
    /// wait for a network. What cannot be had now is what it was last.
    fn networks(&self) -> Vec<Network>;
}

/// Surroundings, and what they were last.
#[derive(Clone)]
struct Around {
    source: Arc<dyn Surroundings>,
    last: Arc<Mutex<(BootTime, Vec<Network>)>>,
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Around").field(&lock(&self.last).1).finish()
    }
}

impl Guard {
    /// `never` is added to what holds everywhere; `permitted`, the floor's exceptions, wins over both.
    #[must_use]
    pub fn new(never: Vec<Network>, permitted: Vec<Network>) -> Self {
        Self { never, permitted, around: None }
    }

    /// Guards what is around as well.
    #[must_use]
    pub fn within(self, source: Arc<dyn Surroundings>) -> Self {
        let last = Arc::new(Mutex::new((BootTime::now(), source.networks())));
        Self { around: Some(Around { source, last }), ..self }
    }

    /// Looks around again, unless that was done within the last second.
    pub(crate) fn look(&self, now: BootTime) {
        let Some(Around { source, last }) = &self.around else { return };
        let mut last = lock(last);
        if now >= last.0.plus(1) {
            *last = (now, source.networks());
        }
    }

    /// The network that forbids an address, if one does.
    #[must_use]
    pub fn forbids(&self, address: IpAddr) -> Option<Network> {
        let inner = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(v6) => embedded(v6),
        };
        std::iter::once(address).chain(inner.into_iter().map(IpAddr::V4)).find_map(|form| self.form(form))
    }

    fn form(&self, address: IpAddr) -> Option<Network> {
        if self.permitted.iter().any(|network| covers(*network, address)) {
            return None;
        }
        let fixed = ALWAYS.iter().chain(&self.never).copied().find(|network| covers(*network, address));
        fixed.or_else(|| {
            let around = lock(&self.around.as_ref()?.last);
            around.1.iter().copied().find(|network| covers(*network, address))
        })
    }
}

fn covers((network, bits): Network, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differ = u32::from(network) ^ u32::from(address);
            differ.checked_shr(32_u32.saturating_sub(u32::from(bits))).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differ = u128::from(network) ^ u128::from(address);
            differ.checked_shr(128_u32.saturating_sub(u32::from(bits))).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Every form in which an IPv4 address can hide.
    fn forms(v4: Ipv4Addr) -> Vec<IpAddr> {
        let [a, b, c, d] = v4.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let form = |segments: [u16; 8]| IpAddr::V6(segments.into());
        vec![
            IpAddr::V4(v4),
            form([0, 0, 0, 0, 0, 0xffff, high, low]),
            form([0, 0, 0, 0, 0, 0, high, low]),
            form([0, 0, 0, 0, 0xffff, 0, high, low]),
            form([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
            form([0x64, 0xff9b, 1, 0, 0, 0, high, low]),
            form([0x64, 0xff9b, 1, high, c, d << 8, 0, 0]),
            form([0x64, 0xff9b, 1, a, b << 8 >> 8, low, 0, 0].map(|s: u16| s)),
            form([0x64, 0xff9b, 1, 7, a, b << 8 | c, d << 8, 0]),
            form([0x2002, high, low, 0, 0, 0, 0, 1]),
            form([0x2001, 0, high, low, 0, 0, 0, 0]),
            form([0x2001, 0, 0x808, 0x808, 0, 0, !high, !low]),
            form([0x2001, 0xdb8, 1, 2, 0, 0x5efe, high, low]),
            form([0x2001, 0xdb8, 1, 2, 0x200, 0x5efe, high, low]),
        ]
    }

    #[test]
    fn guarded_in_every_form() {
        let guard = Guard::new(vec![(ip("10.96.0.0"), 12)], Vec::new());
        for bad in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.1",
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "10.96.0.1",
            "10.111.255.255",
        ] {
            let v4: Ipv4Addr = bad.parse().expect("an address");
            for form in forms(v4) {
                assert!(guard.forbids(form).is_some(), "{bad} as {form}");
            }
        }
        for bad in [
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "0.0.0.0",
        ] {
            assert!(guard.forbids(ip(bad)).is_some(), "{bad}");
        }
    }

    #[test]
    fn other_addresses_pass_in_every_form() {
        let guard = Guard::new(vec![(ip("10.96.0.0"), 12), (ip("fd12::"), 16)], Vec::new());
        for good in ["10.95.255.255", "10.112.0.1", "192.168.1.1", "93.184.216.34", "100.100.100.201"] {
            assert_eq!(guard.forbids(ip(good)), None, "{good}");
        }
        for good in ["2606:2800:220:1::1", "fd13::1", "2001:db8::1", "64:ff9b::5db8:d822"] {
            assert_eq!(guard.forbids(ip(good)), None, "{good}");
        }
        assert_eq!(guard.forbids(ip("fd12::7")), Some((ip("fd12::"), 16)));
    }

    #[test]
    fn a_floor_may_permit() {
        let guard = Guard::new(vec![(ip("10.0.0.0"), 8)], vec![(ip("10.1.2.0"), 24), (ip("169.254.169.254"), 32)]);
        assert_eq!(guard.forbids(ip("10.1.2.3")), None);
        assert_eq!(guard.forbids(ip("::ffff:10.1.2.3")), None);
        assert!(guard.forbids(ip("10.1.3.3")).is_some());
        assert_eq!(guard.forbids(ip("169.254.169.254")), None);
        assert!(guard.forbids(ip("169.254.169.253")).is_some());
    }

    proptest! {
        /// A form is judged as the address that it carries, at the least.
        #[test]
        fn a_form_is_never_judged_more_mildly(bits: u32) {
            let guard = Guard::new(vec![(ip("10.0.0.0"), 8)], Vec::new());
            let v4 = Ipv4Addr::from(bits);
            if guard.forbids(v4.into()).is_some() {
                for form in forms(v4) {
                    prop_assert!(guard.forbids(form).is_some(), "{v4} as {form}");
                }
            }
        }
    }
}
