//! What is known at a moment, for people and reports.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::gate::BootTime;
use crate::name::HostName;

/// The names of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// The moment: what follows in seconds counts from it.
    pub at: BootTime,
    /// Where the responder is.
    pub responder: IpAddr,
    /// Pinned names, then those below wildcards that were asked for.
    pub names: Vec<NameState>,
    /// How many permits are held.
    pub permits: usize,
    /// Since the start.
    pub counters: Counters,
    /// The last addresses that were dropped since a name may not have them, oldest first.
    pub blocked: Vec<Blocked>,
    /// Names that the workload asked for and that are not listed, the last one at the end; the one not asked for longest makes room.
    pub unlisted: Vec<Unlisted>,
    /// How many of these had to make room.
    pub forgotten: u64,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NameState {
    /// As listed or asked for.
    pub name: HostName,
    /// The name that servers are asked for: a short name stands below a domain of the pod's search list.
    pub asked: HostName,
    /// The domain of the wildcard, if the name is not listed itself.
    pub below: Option<HostName>,
    /// Its addresses, those of the last answer first, then those that are only permitted still.
    pub addresses: Vec<AddressState>,
    /// When the last good answer came; zero if none did.
    pub answered: BootTime,
    /// What that answer is worth now.
    pub state: Standing,
}

/// What is known about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has addresses from the last try to resolve it.
    Resolved,
    /// The last answer has no address.
    Empty,
    /// The last try failed, and older addresses are used.
    Stale,
    /// Its last answer is over, and nobody has asked for it since: a name below a wildcard.
    Expired,
    /// It was never resolved, or its last good answer is too old.
    Failed,
}

/// One address of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AddressState {
    /// The address.
    pub address: IpAddr,
    /// Seconds since the answer.
    pub age: u64,
    /// Seconds for which the answer may be used, from its arrival on; bounded below and above.
    pub ttl: u32,
    /// Whether it is part of the last answer.
    pub current: bool,
    /// Seconds for which the packet fence still permits it.
    pub permitted: u64,
}

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// Questions of the workload that were answered: with addresses, or that there are none.
    pub answered: u64,
    /// Questions for names that are not listed, and messages that are no question.
    pub refused: u64,
    /// Questions for names below wildcards that were over a bound: length, labels, bits per minute, questions at a time.
    pub bounded: u64,
    /// Questions for listed names that could not be answered.
    pub failed: u64,
    /// Messages sent to the pod's servers.
    pub queries: u64,
    /// Messages from there that did not fit the question: wrong id, source, question, or no DNS at all.
    pub ignored: u64,
    /// Addresses in answers that a name may not have.
    pub blocked: u64,
    /// Addresses in answers beyond the bound.
    pub surplus: u64,
    /// Addresses that the packet fence did not take.
    pub unpermitted: u64,
}

/// An address that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blocked {
    /// The name.
    pub name: HostName,
    /// What it resolved to.
    pub address: IpAddr,
    /// The network that forbids it.
    pub network: (IpAddr, u8),
    /// How often in a row.
    pub times: u64,
}

/// A name that the workload asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unlisted {
    /// The name, without the trailing dot and in lower case: letters, digits, `-`, `_` and dots, whatever was asked.
    pub name: HostName,
    /// How often, whatever types of records were asked for.
    pub times: u64,
    /// When last.
    pub last: BootTime,
}
