//! What a fence refused, one by one, out of its ring.

use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::attached::{address, u16_at};
use crate::maps::RING;
use crate::sys;

/// Where something was refused: `enum hook` of bpf/maps.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    pub(crate) const ALL: [Self; 7] =
        [Self::Connect, Self::Send, Self::Bind, Self::Socket, Self::PacketOut, Self::PacketIn, Self::Option];

    /// Its number in the programs.
    pub(crate) fn index(self) -> u32 {
        self as u32 + 1
    }
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
    /// The port; of a packet that came in, the one that it was for.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// The index of the device, for packets.
    pub device: u32,
}

/// The reader of a fence's ring. Its descriptor can be polled for refusals.
pub struct Reader {
    fd: OwnedFd,
    ring: sys::Ring,
}

impl Reader {
    pub(crate) fn of(fd: OwnedFd) -> std::io::Result<Self> {
        let ring = sys::Ring::map(&fd, RING as usize)?;
        Ok(Self { fd, ring })
    }

    /// Takes the refusals that nobody took yet, oldest first.
    pub fn take(&mut self) -> Vec<Refusal> {
        let mut found = Vec::new();
        self.ring.take(|record| found.extend(parse(record)));
        found
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
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
        port: u16_at(record, 48),
        protocol: record[50],
        device: u32::from_ne_bytes([record[52], record[53], record[54], record[55]]),
    })
}
