//! The maps of one fence, sized by its rules: an empty table of ten thousand entries costs a quarter of a megabyte.

use std::os::fd::OwnedFd;

use zerocap_annotations::PacketRules;
use zerocap_annotations::knob::Transport;

use crate::entries::Entries;
use crate::error::FenceError;
use crate::permits;
use crate::sys::{self, MapSpec};

/// The maps, by the names that the programs have for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    Settings,
    Exact,
    Networks,
    Ports,
    Sockets,
    Peers,
    Counters,
    Destinations,
    Refusals,
}

/// `enum bpf_map_type`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const LRU_HASH: u32 = 9;
const LPM_TRIE: u32 = 11;
const SK_STORAGE: u32 = 24;
const RINGBUF: u32 = 27;
/// `BPF_F_NO_PREALLOC`: memory for entries that exist.
const NO_PREALLOC: u32 = 1;

/// Size of `struct verdict`.
const VERDICT: u32 = 4;
/// Bytes of the ring of refusals: a page, some 60 records. Who reads seldom sees the first of a burst, and how many were lost.
pub(crate) const RING: u32 = 4096;
/// Destinations that are counted; the ones not seen for longest make room.
const DESTINATIONS: u32 = 128;
/// Datagram peers that are remembered where there are datagrams. The responder is none: answers come from whom the policy permits.
const PEERS: u32 = 4096;
/// Names of maps begin so, which is how [`crate::Attached`] finds them.
const NAME_PREFIX: &str = "zc_";
/// Smallest size of a table of rules.
const SMALL: u32 = 16;

/// The maps of a fence.
pub(crate) struct Maps(Vec<(Map, OwnedFd)>);

impl Map {
    const ALL: [Self; 9] = [
        Self::Settings,
        Self::Exact,
        Self::Networks,
        Self::Ports,
        Self::Sockets,
        Self::Peers,
        Self::Counters,
        Self::Destinations,
        Self::Refusals,
    ];

    /// The name that the kernel shows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Settings => "zc_settings",
            Self::Exact => "zc_exact",
            Self::Networks => "zc_networks",
            Self::Ports => "zc_ports",
            Self::Sockets => "zc_sockets",
            Self::Peers => "zc_peers",
            Self::Counters => "zc_counters",
            Self::Destinations => "zc_destinations",
            Self::Refusals => "zc_refusals",
        }
    }

    /// The map of that name, as the kernel shows it.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        // 15 bytes are kept.
        name.starts_with(NAME_PREFIX).then(|| Self::ALL.into_iter().find(|map| map.name().starts_with(name)))?
    }

    /// Layouts are those of bpf/maps.h.
    fn spec(self, entries: &Entries, rules: &PacketRules) -> MapSpec {
        let room = |used: usize| u32::try_from(used).unwrap_or(u32::MAX).max(SMALL);
        let (kind, key, value, entries, flags) = match self {
            Self::Settings => (ARRAY, 4, 8, 1, 0),
            Self::Exact => (HASH, 20, 8, room(entries.exact.len() + permits::room(rules)), NO_PREALLOC),
            Self::Networks => (LPM_TRIE, 20, 4, room(entries.networks.len()), NO_PREALLOC),
            Self::Ports => (LPM_TRIE, 12, 8, room(entries.ports.len()), NO_PREALLOC),
            Self::Sockets => (SK_STORAGE, 4, VERDICT, 0, NO_PREALLOC),
            Self::Peers => (LRU_HASH, 24, 8, if peers(rules) { PEERS } else { 1 }, 0),
            Self::Counters => (ARRAY, 4, 8, COUNTERS, 0),
            Self::Destinations => (LRU_HASH, 20, 8, DESTINATIONS, 0),
            Self::Refusals => (RINGBUF, 0, 0, RING, 0),
        };
        MapSpec { name: self.name(), kind, key, value, entries, flags }
    }
}

/// Whether datagrams are exchanged with others than the responder.
fn peers(rules: &PacketRules) -> bool {
    rules.audit || rules.lists_datagrams() || rules.listen.iter().any(|(transport, ..)| *transport == Transport::Udp)
}

/// How many counters there are: `enum hook` of bpf/maps.h.
pub(crate) const COUNTERS: u32 = 9;

impl Maps {
    /// Makes the maps and fills them.
    pub(crate) fn new(rules: &PacketRules) -> Result<Self, FenceError> {
        let entries = Entries::of(rules)?;
        let make = |map: Map| {
            let refused = |source| FenceError::Map { map: map.name(), source };
            let spec = map.spec(&entries, rules);
            let fd = if map == Map::Sockets {
                let types = sys::btf_load(VERDICT).map_err(refused)?;
                sys::map_create(&spec, Some((&types, 1, sys::BTF_BYTES)))
            } else {
                sys::map_create(&spec, None)
            };
            Ok((map, fd.map_err(refused)?))
        };
        let maps = Self(Map::ALL.into_iter().map(make).collect::<Result<_, FenceError>>()?);
        maps.fill(rules, &entries)?;
        Ok(maps)
    }

    fn fill(&self, rules: &PacketRules, entries: &Entries) -> Result<(), FenceError> {
        let set = |map: Map, key: &[u8], value: &[u8]| {
            let refused = |source| FenceError::Entry { map: map.name(), source };
            sys::map_update(self.get(map), key, value).map_err(refused)
        };
        let never = 0u64.to_ne_bytes();
        for key in &entries.exact {
            set(Map::Exact, key, &never)?;
        }
        for key in &entries.ports {
            set(Map::Ports, key, &never)?;
        }
        for (key, number) in &entries.networks {
            set(Map::Networks, key, &number.to_ne_bytes())?;
        }
        let mut settings = [0; 8];
        settings[..4].copy_from_slice(&u32::from(rules.proxy_port).to_ne_bytes());
        settings[4..].copy_from_slice(&u32::from(rules.audit).to_ne_bytes());
        set(Map::Settings, &0u32.to_ne_bytes(), &settings)
    }

    /// The descriptor of a map.
    pub(crate) fn get(&self, map: Map) -> &OwnedFd {
        let found = self.0.iter().find(|(other, _)| *other == map);
        &found.expect("every map was made").1
    }
}
