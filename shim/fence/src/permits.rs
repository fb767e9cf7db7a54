//! Addresses that are let through for a time: those that names resolve to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use zerocap_annotations::PacketRules;
use zerocap_annotations::knob::{Peer, Transport};

use crate::entries::{Entries, exact_of};
use crate::error::FenceError;
use crate::maps::Map;
use crate::sys;

/// Addresses of one name, of both families and of answers that follow each other within the time that an address stays permitted.
const ADDRESSES_OF_NAME: usize = 32;
/// Addresses that all domains have together beyond that.
const ADDRESSES_BELOW_DOMAINS: usize = 512;
/// The responder, by both transports.
const RESPONDER: usize = 2;

/// How many entries names may need at a time.
pub(crate) fn room(rules: &PacketRules) -> usize {
    if rules.names.is_empty() {
        return 0;
    }
    let ports = |(first, last): (u16, u16)| usize::from(last.saturating_sub(first)) + 1;
    let domains = rules.names.iter().filter(|named| matches!(named.peer, Peer::Below(_)));
    let widest = domains.map(|domain| ports(domain.ports)).max().unwrap_or(0);
    let names: usize = rules.names.iter().map(|named| ports(named.ports) * ADDRESSES_OF_NAME).sum();
    RESPONDER + names + widest * ADDRESSES_BELOW_DOMAINS
}

/// The way to a fence's table of addresses. It holds nothing else of the fence, which lives on without it.
pub struct Permits {
    map: OwnedFd,
    /// What the policy itself lists, which never expires.
    listed: BTreeSet<[u8; 20]>,
}

impl Permits {
    pub(crate) fn new(map: OwnedFd, entries: Entries) -> Self {
        Self { map, listed: entries.exact }
    }

    /// Permits an address and a range of ports until a time in nanoseconds since boot (0: for ever). What was said before of the same ports is
    /// replaced; what the policy lists itself stays.
    ///
    /// # Errors
    /// The kernel refuses, for example since the table is full. Some of the ports may be permitted then.
    pub fn permit(&self, transport: Transport, to: IpAddr, ports: (u16, u16), until: u64) -> Result<(), FenceError> {
        self.each(transport, to, ports, |key| sys::map_update(&self.map, key, &until.to_ne_bytes()))
    }

    /// Takes an address and a range of ports back, for the room that they take.
    ///
    /// # Errors
    /// The kernel refuses. What is not there is no error.
    pub fn forget(&self, transport: Transport, to: IpAddr, ports: (u16, u16)) -> Result<(), FenceError> {
        self.each(transport, to, ports, |key| match sys::map_delete(&self.map, key) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result,
        })
    }

    fn each(
        &self,
        transport: Transport,
        to: IpAddr,
        (first, last): (u16, u16),
        with: impl Fn(&[u8; 20]) -> std::io::Result<()>,
    ) -> Result<(), FenceError> {
        let keys = (first..=last).map(|port| exact_of(to, port, transport));
        for key in keys.filter(|key| !self.listed.contains(key)) {
            with(&key).map_err(|source| FenceError::Entry { map: Map::Exact.name(), source })?;
        }
        Ok(())
    }
}
