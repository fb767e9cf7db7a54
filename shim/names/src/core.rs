//! What the tasks of one container share: from a name to addresses that are permitted.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use crate::budget::Budget;
use crate::gate::BootTime;
use crate::limits::Limits;
use crate::name::HostName;
use crate::pace::Pace;
use crate::permits::Permits;
use crate::rules::{Grant, Rules};
use crate::snapshot::Blocked;
use crate::table::Table;
use crate::unlisted::Asked;
use crate::upstream::{Failure, Upstream};
use crate::wire::{Found, Kind};

/// Most dropped addresses that are remembered one by one.
const MAX_BLOCKED: usize = 16;

pub(crate) struct Core {
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) upstream: Upstream,
    pub(crate) table: Mutex<Table>,
    pub(crate) permits: Mutex<Permits>,
    pub(crate) budget: Mutex<Budget>,
    pub(crate) pace: Pace,
    pub(crate) blocked: Mutex<VecDeque<Blocked>>,
    pub(crate) unlisted: Mutex<Asked>,
}

/// What became of an answer.
pub(crate) struct Settled {
    /// How many addresses are in use now.
    pub(crate) kept: usize,
    /// The first address that was dropped, and the network that forbids it.
    pub(crate) forbidden: Option<(IpAddr, (IpAddr, u8))>,
    /// What the gate said when it refused.
    pub(crate) refused: Option<std::io::Error>,
}

/// A lock whose holder cannot have left the value half changed: nothing in between can fail.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Core {
    /// Asks for one family, along aliases that a server leaves to us.
    pub(crate) async fn find(&self, asked: &HostName, kind: Kind) -> Result<Found, Failure> {
        let mut name = asked.to_wire();
        let (mut ttl, mut aliases) = (u32::MAX, 0);
        loop {
            let found = self.upstream.find(&name, kind).await?;
            ttl = ttl.min(found.ttl);
            aliases += found.aliases;
            match found.alias {
                Some(_) if aliases > crate::wire::MAX_ALIASES => {
                    return Err(Failure(format!("its aliases do not end after {aliases}")));
                }
                // The server knows that the last alias has no address, or left it to us: one more question tells.
                Some(alias) if found.exists => name = alias,
                _ => return Ok(Found { ttl, alias: None, ..found }),
            }
        }
    }

    /// Takes an answer: drops what may not be, permits the rest, and only then makes it known.
    pub(crate) fn settle(&self, name: &HostName, grants: &[Grant], kind: Kind, found: Found) -> Settled {
        let now = BootTime::now();
        let mut settled = Settled { kept: 0, forbidden: None, refused: None };
        let ttl = self.lifetime(&found);
        let until = now.plus(u64::from(ttl) + u64::from(self.limits.grace));
        let mut kept = Vec::new();
        self.rules.guard().look(now);
        for address in found.addresses {
            if let Some(network) = self.rules.guard().forbids(address) {
                self.block(name, address, network);
                // It may have become the node's since it was permitted.
                lock(&self.permits).revoke(|held| held == address);
                settled.forbidden.get_or_insert((address, network));
            } else if kept.len() == self.limits.addresses {
                self.upstream.count(|counters| counters.surplus += 1);
            } else if let Err(error) = lock(&self.permits).permit(address, grants, until) {
                self.upstream.count(|counters| counters.unpermitted += 1);
                settled.refused = Some(error);
            } else {
                kept.push(address);
            }
        }
        settled.kept = kept.len();
        if let Some(entry) = lock(&self.table).names.get_mut(name) {
            // An answer of which nothing is left: forbidden addresses are no reason to forget good ones, and those that the gate refused
            // may be taken later.
            let lost =
                kept.is_empty() && (settled.refused.is_some() || settled.forbidden.is_some() && !entry.is_empty());
            if lost {
                entry.family_mut(kind).failed = Some(now);
            } else {
                entry.family_mut(kind).renew(kept, found.exists, ttl, now);
            }
        }
        settled
    }

    /// Notes that a family could not be asked for. Addresses that it has are permitted for longer, up to the limit.
    pub(crate) fn failed(&self, name: &HostName, kind: Kind) {
        let now = BootTime::now();
        let mut table = lock(&self.table);
        let Some(entry) = table.names.get_mut(name) else { return };
        let grants = entry.grants.clone();
        let family = entry.family_mut(kind);
        family.failed = Some(now);
        let last = family.end().plus(self.limits.stale.into());
        let until = now.plus(u64::from(self.limits.retry) + u64::from(self.limits.grace)).min(last);
        if until <= now {
            return;
        }
        let addresses = family.addresses.clone();
        drop(table);
        let guard = self.rules.guard();
        guard.look(now);
        // What has become the node's meanwhile was taken back, and stays so: silence is the one answer that anybody's server can give.
        for address in addresses.into_iter().filter(|address| guard.forbids(*address).is_none()) {
            // Where it fails, the address is not told any more once its permit ends.
            let _ = lock(&self.permits).permit(address, &grants, until);
        }
    }

    /// The addresses of a family that may be told now, with their remaining lifetime. `None` if nothing is known any more.
    pub(crate) fn known(&self, name: &HostName, kind: Kind, now: BootTime) -> Option<Known> {
        let mut table = lock(&self.table);
        let entry = table.names.get_mut(name)?;
        entry.used = now;
        let pinned = entry.below.is_none();
        let family = entry.family(kind);
        let fresh = now < family.end();
        let retrying = family.failed.is_some_and(|failed| now < failed.plus(self.limits.retry.into()));
        let old = family.at != BootTime::default() && now < family.end().plus(self.limits.stale.into());
        if !fresh && !(old && (pinned || retrying)) {
            // musl takes a failure of one family for both. The name exists, since the other family has addresses.
            if pinned && family.at == BootTime::default() && !entry.is_empty() {
                return Some(Known::Answer { addresses: Vec::new(), exists: true, ttl: self.limits.retry });
            }
            // A name that failed a moment ago is not asked for again at once.
            return (retrying || pinned).then_some(Known::Failed);
        }
        let ttl = if fresh { family.end().seconds_since(now).max(1) } else { self.limits.retry.into() };
        let permits = lock(&self.permits);
        let permitted = |address: &&IpAddr| permits.until(**address, &entry.grants) > now.plus(1);
        let addresses: Vec<IpAddr> = family.addresses.iter().filter(permitted).copied().collect();
        if addresses.is_empty() && !family.addresses.is_empty() {
            // Their permits made room for others: to be asked for anew.
            return (retrying || pinned).then_some(Known::Failed);
        }
        Some(Known::Answer { addresses, exists: family.exists || !entry.is_empty(), ttl: ttl as u32 })
    }

    /// Looks again at everything that is permitted: addresses become the node's while containers run.
    pub(crate) fn guard_again(&self) {
        let guard = self.rules.guard();
        guard.look(BootTime::now());
        lock(&self.permits).revoke(|held| guard.forbids(held).is_some());
    }

    /// How long an answer is used. Many pinned names are not asked for more than twenty in a second.
    fn lifetime(&self, found: &Found) -> u32 {
        let least = self.limits.shortest_ttl.max((self.rules.pinned().count() / 20) as u32);
        let ttl = if found.addresses.is_empty() { self.limits.negative } else { found.ttl };
        ttl.clamp(least, self.limits.longest_ttl.max(least))
    }

    fn block(&self, name: &HostName, address: IpAddr, network: (IpAddr, u8)) {
        self.upstream.count(|counters| counters.blocked += 1);
        let mut blocked = lock(&self.blocked);
        if let Some(same) = blocked.iter_mut().find(|other| other.name == *name && other.address == address) {
            same.times += 1;
            return;
        }
        if blocked.len() == MAX_BLOCKED {
            blocked.pop_front();
        }
        blocked.push_back(Blocked { name: name.clone(), address, network, times: 1 });
    }
}

/// What may be told about a family of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its addresses, or that there are none.
    Answer { addresses: Vec<IpAddr>, exists: bool, ttl: u32 },
    /// It could not be resolved, or its last good answer is too old.
    Failed,
}
