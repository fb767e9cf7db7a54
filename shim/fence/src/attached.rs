//! A fence that is in force, found by its group: whoever attached it may be gone.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

use serde::Serialize;

use crate::entries::MAX_ENTRIES;
use crate::error::FenceError;
use crate::group::{Group, Tree};
use crate::maps::{COUNTERS, Map};
use crate::refusal::{Hook, Reader};
use crate::{loaded, sys};

/// How often each hook refused, and how often connect() and sends were approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Connects and sends to an address that were approved.
    pub approved: u64,
    /// What was refused, by hook.
    pub refused: Vec<(Hook, u64)>,
    /// Refusals that found no room in the ring.
    pub lost: u64,
}

/// A destination that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Destination {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// Whether it was refused.
    pub refused: bool,
    /// How often.
    pub times: u64,
}

/// An address and port that may be reached until a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// Nanoseconds since boot; it may be over.
    pub until: u64,
}

/// The fence on a group.
pub struct Attached {
    group: Group,
    ids: Vec<u32>,
}

impl Attached {
    /// The fence on a group whose programs have these ids, one per hook in the order of [`crate::Loaded::attach`].
    ///
    /// # Errors
    /// One of them is not attached any more.
    pub fn new(group: Group, ids: Vec<u32>) -> Result<Self, FenceError> {
        loaded::check(&group, &ids)?;
        Ok(Self { group, ids })
    }

    /// Whether the fence holds a process: the process is in the group, and every program is there.
    ///
    /// # Errors
    /// It does not.
    pub fn holds(&self, tree: &Tree, pid: i32) -> Result<(), FenceError> {
        loaded::check(&self.group, &self.ids)?;
        if self.group.holds(tree, pid)? {
            return Ok(());
        }
        let (is, must) = (tree.path_of(pid)?, self.group.path());
        Err(FenceError::NotInForce(format!("the process is in the cgroup {is}, its packet fence is on {must}")))
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// What was counted.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<Counters, FenceError> {
        let map = self.map(Map::Counters)?;
        let mut values = [0; COUNTERS as usize];
        for (index, value) in (0..COUNTERS).zip(&mut values) {
            let mut bytes = [0; 8];
            sys::map_lookup(&map, &index.to_ne_bytes(), &mut bytes).map_err(entry(Map::Counters))?;
            *value = u64::from_ne_bytes(bytes);
        }
        let refused = Hook::ALL.map(|hook| (hook, values[hook.index() as usize])).into();
        Ok(Counters { approved: values[0], refused, lost: values[COUNTERS as usize - 1] })
    }

    /// The destinations that were asked for, the ones not seen for longest left out.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn destinations(&self) -> Result<Vec<Destination>, FenceError> {
        let mut found: Vec<Destination> = Vec::new();
        self.each(Map::Destinations, 1024, |key, times| {
            let (address, port, protocol) = (address(key).to_canonical(), u16_at(key, 16), key[18]);
            found.push(Destination { address, port, protocol, refused: key[19] != 0, times });
        })?;
        found.sort();
        // Of one that was seen twice, the later count.
        found.reverse();
        found.dedup_by_key(|it| (it.address, it.port, it.protocol, it.refused));
        found.reverse();
        Ok(found)
    }

    /// The single addresses and ports that the policy, or a name of it, permits for a time only.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn leases(&self) -> Result<Vec<Lease>, FenceError> {
        let mut found = Vec::new();
        self.each(Map::Exact, MAX_ENTRIES, |key, until| {
            if until != 0 {
                let (address, port, protocol) = (address(key).to_canonical(), u16_at(key, 16), key[18]);
                found.push(Lease { address, port, protocol, until });
            }
        })?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Whoever takes refusals from the ring. There must be one at a time: what one takes, another never sees.
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn reader(&self) -> Result<Reader, FenceError> {
        Reader::of(self.map(Map::Refusals)?).map_err(entry(Map::Refusals))
    }

    /// Every entry of a table with keys of 20 and values of 8 bytes. Entries come and go meanwhile, so some may be seen twice; the
    /// bound keeps that from lasting for ever.
    fn each(&self, table: Map, bound: usize, mut entry_of: impl FnMut(&[u8; 20], u64)) -> Result<(), FenceError> {
        let map = self.map(table)?;
        let mut before: Option<[u8; 20]> = None;
        for _ in 0..bound {
            let mut key = [0; 20];
            let more = sys::map_next_key(&map, before.as_ref().map(<[u8; 20]>::as_slice), &mut key);
            if !more.map_err(entry(table))? {
                break;
            }
            let mut value = [0; 8];
            if sys::map_lookup(&map, &key, &mut value).map_err(entry(table))? {
                entry_of(&key, u64::from_ne_bytes(value));
            }
            before = Some(key);
        }
        Ok(())
    }

    /// A map of the fence, by way of the programs that use it.
    fn map(&self, wanted: Map) -> Result<OwnedFd, FenceError> {
        let missing = || entry(wanted)(std::io::ErrorKind::NotFound.into());
        // The first program, connect4, has every map.
        let program = sys::prog_by_id(*self.ids.first().ok_or_else(missing)?).map_err(entry(wanted))?;
        for id in sys::prog_maps(&program).map_err(entry(wanted))? {
            let map = sys::map_by_id(id).map_err(entry(wanted))?;
            if sys::map_name(&map).is_ok_and(|name| Map::of_name(&name) == Some(wanted)) {
                return Ok(map);
            }
        }
        Err(missing())
    }
}

fn entry(map: Map) -> impl Fn(std::io::Error) -> FenceError {
    move |source| FenceError::Entry { map: map.name(), source }
}

/// The address at the start of a slice.
pub(crate) fn address(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    octets.into()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
