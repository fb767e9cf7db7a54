//! Who is one caller: an IPv4 address, or the /64 that one IPv6 host may have.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }
}

/// The few from whom a caller came who may read, the last one first. What they are given no flood from elsewhere takes from them.
#[derive(Debug, Default)]
pub(super) struct Proven(VecDeque<Source>);

impl Proven {
    const MOST: usize = 8;

    pub(super) fn add(&mut self, source: Source) {
        self.0.retain(|known| *known != source);
        self.0.truncate(Self::MOST - 1);
        self.0.push_front(source);
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.0.contains(&source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_host_is_one_however_many_addresses_it_has() {
        assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff::2"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn the_last_ones_are_known() {
        let mut proven = Proven::default();
        for last in 0..20_u8 {
            proven.add(IpAddr::from([192, 0, 2, last]).into());
            proven.add(source("192.0.2.0"));
        }
        assert!(proven.has(source("192.0.2.0")) && proven.has(source("192.0.2.19")));
        assert!(!proven.has(source("192.0.2.5")));
        assert_eq!(proven.0.len(), Proven::MOST);
    }
}
