//! The names of one container with what is known about them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::gate::BootTime;
use crate::limits::Limits;
use crate::name::HostName;
use crate::rules::Grant;
use crate::wire::Kind;

/// Most addresses that are remembered after they left a name's answer.
const MAX_FORMER: usize = 64;

/// What is known about one family of a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    /// The addresses of the last good answer, all of them permitted.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether the name exists, as the last good answer has it.
    pub(crate) exists: bool,
    /// When that answer came; zero if there is none.
    pub(crate) at: BootTime,
    /// Seconds for which it is good.
    pub(crate) ttl: u32,
    /// When the last try failed, if that was after the answer.
    pub(crate) failed: Option<BootTime>,
    /// Addresses of earlier answers.
    pub(crate) former: Vec<IpAddr>,
}

impl Family {
    /// When the answer runs out.
    pub(crate) fn end(&self) -> BootTime {
        if self.at == BootTime::default() { self.at } else { self.at.plus(self.ttl.into()) }
    }

    /// Takes a new answer.
    pub(crate) fn renew(&mut self, addresses: Vec<IpAddr>, exists: bool, ttl: u32, now: BootTime) {
        let before = std::mem::take(&mut self.addresses);
        self.former.retain(|address| !addresses.contains(address));
        for address in before {
            if !addresses.contains(&address) && !self.former.contains(&address) {
                self.former.push(address);
            }
        }
        let surplus = self.former.len().saturating_sub(MAX_FORMER);
        self.former.drain(..surplus);
        *self = Self { addresses, exists, at: now, ttl, failed: None, former: std::mem::take(&mut self.former) };
    }
}

/// One name.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) asked: HostName,
    pub(crate) below: Option<HostName>,
    pub(crate) grants: Arc<[Grant]>,
    pub(crate) a: Family,
    pub(crate) aaaa: Family,
    pub(crate) used: BootTime,
    /// Held while a family is asked for, so that a question that comes twice leaves once.
    asking: [Arc<tokio::sync::Mutex<()>>; 2],
}

impl Entry {
    pub(crate) fn new(asked: HostName, below: Option<HostName>, grants: Arc<[Grant]>, now: BootTime) -> Self {
        let (a, aaaa) = (Family::default(), Family::default());
        Self { asked, below, grants, a, aaaa, used: now, asking: Default::default() }
    }

    pub(crate) fn family(&self, kind: Kind) -> &Family {
        match kind {
            Kind::A => &self.a,
            Kind::Aaaa => &self.aaaa,
        }
    }

    pub(crate) fn asking(&self, kind: Kind) -> Arc<tokio::sync::Mutex<()>> {
        self.asking[kind as usize].clone()
    }

    pub(crate) fn family_mut(&mut self, kind: Kind) -> &mut Family {
        match kind {
            Kind::A => &mut self.a,
            Kind::Aaaa => &mut self.aaaa,
        }
    }

    /// Whether neither family has an address.
    pub(crate) fn is_empty(&self) -> bool {
        self.a.addresses.is_empty() && self.aaaa.addresses.is_empty()
    }

    /// When a pinned name is to be asked for again: when the answer of a family that has addresses runs out, or some time after a failure.
    /// A family that never answered beside one that does is not worth as many questions.
    pub(crate) fn due(&self, limits: &Limits) -> BootTime {
        let of = |family: &Family| match family.failed {
            Some(failed) if family.at == BootTime::default() => Some(failed.plus(limits.negative.into())),
            Some(failed) => Some(failed.plus(limits.retry.into())),
            None => (!family.addresses.is_empty()).then(|| family.end()),
        };
        let first = Kind::BOTH.into_iter().filter_map(|kind| of(self.family(kind))).min();
        first.unwrap_or_else(|| self.a.end().max(self.aaaa.end()))
    }
}

/// All names.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) names: HashMap<HostName, Entry>,
}

impl Table {
    /// The entry of a name below a wildcard; the one that was not used for longest makes room for a new one.
    pub(crate) fn below(&mut self, name: &HostName, most: usize, new: impl FnOnce() -> Entry) -> &mut Entry {
        if !self.names.contains_key(name) {
            let wild = || self.names.iter().filter(|(_, entry)| entry.below.is_some());
            if wild().count() >= most
                && let Some(oldest) = wild().min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone())
            {
                self.names.remove(&oldest);
            }
        }
        self.names.entry(name.clone()).or_insert_with(new)
    }
}
