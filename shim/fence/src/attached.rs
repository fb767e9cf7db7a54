//! A fence that is in force, found by its group: whoever attached it may be gone.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

use serde::Serialize;

use crate::error::FenceError;
use crate::group::{Group, Tree};
use crate::maps::{COUNTERS, Map, RING};
use crate::{loaded, sys};

/// Where something was refused: `enum hook` of bpf/maps.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// connect().
    Connect,
    /// A datagram with an address.
    Send,
    /// bind() to a port that `listen` does not name.
    Bind,
    /// A socket that is neither TCP nor UDP.
    Socket,
    /// A packet that left without any of these.
    PacketOut,
    /// A packet that came in.
    PacketIn,
    /// setsockopt().
    Option,
}

impl Hook {
    const ALL: [Self; 7] =
        [Self::Connect, Self::Send, Self::Bind, Self::Socket, Self::PacketOut, Self::PacketIn, Self::Option];

    /// Its number in the programs.
    fn index(self) -> u32 {
        self as u32 + 1
    }
}

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

/// One refusal. What a process calls itself is its own choice: not to be printed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Nanoseconds since boot.
    pub at: u64,
    /// The process; `None` where the hook cannot know it.
    pub pid: Option<u32>,
    /// The name of the thread, at most 15 bytes of any kind.
    pub comm: Vec<u8>,
    /// Where.
    pub hook: Hook,
    /// Whom it was about: the destination, or the sender of a packet that came in. For `socket` the first word is the type, for `option`
    /// the first two are level and name.
    pub address: Ipv6Addr,
    /// The port.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// The index of the device, for packets.
    pub device: u32,
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
        let map = self.map(Map::Destinations)?;
        let mut found = Vec::new();
        let mut before: Option<[u8; 20]> = None;
        // Entries come and go meanwhile: the bound keeps that from lasting for ever.
        for _ in 0..1024 {
            let mut key = [0; 20];
            let more = sys::map_next_key(&map, before.as_ref().map(<[u8; 20]>::as_slice), &mut key);
            if !more.map_err(entry(Map::Destinations))? {
                break;
            }
            let mut times = [0; 8];
            if sys::map_lookup(&map, &key, &mut times).map_err(entry(Map::Destinations))? {
                let destination = Destination {
                    address: IpAddr::V6(address(&key)).to_canonical(),
                    port: u16::from_ne_bytes([key[16], key[17]]),
                    protocol: key[18],
                    refused: key[19] != 0,
                    times: u64::from_ne_bytes(times),
                };
                if !found.iter().any(|other: &Destination| {
                    (other.address, other.port, other.protocol, other.refused)
                        == (destination.address, destination.port, destination.protocol, destination.refused)
                }) {
                    found.push(destination);
                }
            }
            before = Some(key);
        }
        found.sort();
        Ok(found)
    }

    /// Takes the refusals that nobody took yet, oldest first.
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn refusals(&self) -> Result<Vec<Refusal>, FenceError> {
        let mut ring = sys::Ring::map(self.map(Map::Refusals)?, RING as usize).map_err(entry(Map::Refusals))?;
        let mut found = Vec::new();
        ring.take(|record| found.extend(parse(record)));
        Ok(found)
    }

    /// A map of the fence, by way of the programs that use it.
    fn map(&self, wanted: Map) -> Result<OwnedFd, FenceError> {
        let missing = || entry(wanted)(std::io::ErrorKind::NotFound.into());
        // The first program, connect4, reports: it has every map but the settings.
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
fn address(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    octets.into()
}

/// `struct refusal` of bpf/maps.h.
fn parse(record: &[u8]) -> Option<Refusal> {
    let record: &[u8; 56] = record.first_chunk()?;
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| record[at + byte]));
    let hook = Hook::ALL.into_iter().find(|hook| hook.index() == u32::from(record[51]))?;
    let pid = (word(8) >> 32) as u32;
    let comm = &record[16..32];
    Some(Refusal {
        at: word(0),
        pid: (pid != 0).then_some(pid),
        comm: comm[..comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len())].to_vec(),
        hook,
        address: address(&record[32..48]),
        port: u16::from_ne_bytes([record[48], record[49]]),
        protocol: record[50],
        device: u32::from_ne_bytes([record[52], record[53], record[54], record[55]]),
    })
}
