//! What the gate was told, so that it can be told when it is over.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tracing::warn;

use crate::gate::{BootTime, Gate};
use crate::rules::Grant;

/// The permits of one container.
pub(crate) struct Permits {
    gate: Arc<dyn Gate>,
    most: usize,
    held: HashMap<(IpAddr, Grant), BootTime>,
}

impl Permits {
    pub(crate) fn new(gate: Arc<dyn Gate>, most: usize) -> Self {
        Self { gate, most, held: HashMap::new() }
    }

    /// Permits all grants for an address until a time; what is permitted for longer stays so.
    pub(crate) fn permit(&mut self, to: IpAddr, grants: &[Grant], until: BootTime) -> io::Result<()> {
        for grant in grants {
            let key = (to, *grant);
            if self.held.get(&key).is_some_and(|held| *held >= until) {
                continue;
            }
            if !self.held.contains_key(&key) && self.held.len() >= self.most {
                self.sweep(BootTime::now());
                self.make_room(until)?;
            }
            self.gate.permit(grant.0, to, grant.1, until)?;
            self.held.insert(key, until);
        }
        Ok(())
    }

    /// Gives up the permit that would end first, where that is before the new one: of many answers the oldest, within its grace.
    fn make_room(&mut self, until: BootTime) -> io::Result<()> {
        if self.held.len() < self.most {
            return Ok(());
        }
        let first = self.held.iter().min_by_key(|(_, until)| **until).map(|(key, until)| (*key, *until));
        match first {
            Some((key @ (to, (transport, ports)), end)) if end < until => {
                self.gate.forget(transport, to, ports)?;
                self.held.remove(&key);
                Ok(())
            }
            _ => Err(io::Error::other(format!("{} permits are held, which are the most", self.most))),
        }
    }

    /// Until when all grants are permitted for an address; zero if one is not.
    pub(crate) fn until(&self, to: IpAddr, grants: &[Grant]) -> BootTime {
        grants.iter().map(|grant| self.held.get(&(to, *grant)).copied().unwrap_or_default()).min().unwrap_or_default()
    }

    /// Takes back the permits of some addresses before their time.
    pub(crate) fn revoke(&mut self, which: impl Fn(IpAddr) -> bool) {
        self.give_back(|to, _| which(to));
    }

    /// Gives back what is over.
    pub(crate) fn sweep(&mut self, now: BootTime) {
        self.give_back(|_, until| until <= now);
        self.held.shrink_to(self.held.len() * 2);
    }

    fn give_back(&mut self, which: impl Fn(IpAddr, BootTime) -> bool) {
        let gate = &self.gate;
        self.held.retain(|(to, (transport, ports)), until| {
            let over = which(*to, *until);
            if over && let Err(error) = gate.forget(*transport, *to, *ports) {
                warn!(%error, address = %to, "a permit that is over stays in the packet fence");
            }
            !over
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}
