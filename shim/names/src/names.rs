//! The names of one container, from start to end.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::budget::Budget;
use crate::core::{Core, lock};
use crate::error::StartError;
use crate::gate::{BootTime, Gate};
use crate::limits::Limits;
use crate::name::HostName;
use crate::netns::Netns;
use crate::pace::Pace;
use crate::permits::Permits;
use crate::refresh;
use crate::resolv_conf::{ResolvConf, resolv_conf};
use crate::responder::Responder;
use crate::rules::Rules;
use crate::snapshot::{AddressState, NameState, Snapshot, Standing};
use crate::table::{Entry, Family, Table};
use crate::upstream::Upstream;
use crate::wire::Kind;

/// Port of DNS.
pub const DNS_PORT: u16 = 53;

/// What is needed for the names of one container.
pub struct Setup {
    /// The names of its policy.
    pub rules: Rules,
    /// The pod's own resolv.conf, as it was when the sandbox was made.
    pub resolv_conf: ResolvConf,
    /// The port of the servers in it: [`DNS_PORT`].
    pub server_port: u16,
    /// The pod's network namespace.
    pub netns: Netns,
    /// The container's packet fence, loaded; it need not be in force yet.
    pub gate: Arc<dyn Gate>,
    /// Where the container will ask.
    pub responder: Responder,
    /// Bounds.
    pub limits: Limits,
}

/// The names of one container. Dropping it ends its tasks and closes its sockets; permits that the gate has run out on their own.
pub struct Names {
    core: Arc<Core>,
    responder: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Names {
    /// Resolves every pinned name, opens the gate for their addresses, and starts to answer. Call it inside a tokio runtime; it takes as long as the
    /// servers do, and can run beside the making of the container.
    ///
    /// # Errors
    /// A name cannot be resolved, or only to what a name may not have; or sockets or gate do not work. The message names the name.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { rules, resolv_conf, server_port, netns, gate, responder, limits } = setup;
        let address = responder.address();
        let permits = Permits::new(gate, rules.most_permits());
        let (budget, pace) = (Budget::new(limits.bits, BootTime::now()), Pace::new(limits.answers));
        let (counters, counted) = Default::default();
        let upstream = Upstream { netns, conf: resolv_conf, port: server_port, counters, counted };
        let core = Arc::new(Core {
            rules,
            limits,
            upstream,
            table: Mutex::new(Table::default()),
            permits: Mutex::new(permits),
            budget: Mutex::new(budget),
            pace,
            blocked: Mutex::default(),
            unlisted: Mutex::default(),
        });
        refresh::pin(&core).await?;
        let mut tasks = JoinSet::new();
        responder.serve(&core, &mut tasks).map_err(StartError::Netns)?;
        tasks.spawn(refresh::keep(core.clone()));
        Ok(Self { core, responder: address, _tasks: tasks })
    }

    /// Where the responder is.
    #[must_use]
    pub fn responder(&self) -> SocketAddr {
        self.responder
    }

    /// The container's resolv.conf.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        resolv_conf(self.responder.ip())
    }

    /// Lines for a hosts file with the pinned names as they are now. The responder knows them as well, and stays right when they change: a file that
    /// is not written again leads to addresses whose permit ends.
    #[must_use]
    pub fn hosts(&self) -> String {
        let now = BootTime::now();
        let table = lock(&self.core.table);
        let permits = lock(&self.core.permits);
        let mut pinned: Vec<_> = table.names.iter().filter(|(_, entry)| entry.below.is_none()).collect();
        pinned.sort_by_key(|(name, _)| *name);
        let mut lines = String::new();
        for (name, entry) in pinned {
            let addresses = entry.a.addresses.iter().chain(&entry.aaaa.addresses);
            for address in addresses.filter(|address| permits.until(**address, &entry.grants) > now) {
                let _ = writeln!(lines, "{address}\t{name}");
            }
        }
        lines
    }

    /// Waits until something has happened since this was waited for last: a question, an answer.
    pub async fn changed(&self) {
        self.core.upstream.counted.notified().await;
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = BootTime::now();
        let table = lock(&self.core.table);
        let mut names: Vec<NameState> = table.names.iter().map(|(name, entry)| self.state(name, entry, now)).collect();
        names.sort_by(|one, other| (&one.below, &one.name).cmp(&(&other.below, &other.name)));
        drop(table);
        let (unlisted, forgotten) = lock(&self.core.unlisted).all();
        Snapshot {
            at: now,
            responder: self.responder.ip(),
            names,
            permits: lock(&self.core.permits).len(),
            counters: lock(&self.core.upstream.counters).clone(),
            blocked: lock(&self.core.blocked).iter().cloned().collect(),
            unlisted,
            forgotten,
        }
    }

    fn state(&self, name: &HostName, entry: &Entry, now: BootTime) -> NameState {
        let permits = lock(&self.core.permits);
        let of = |family: &Family, current: bool| -> Vec<AddressState> {
            let addresses = if current { &family.addresses } else { &family.former };
            let state = |address: &std::net::IpAddr| AddressState {
                address: *address,
                age: now.seconds_since(family.at),
                ttl: family.ttl,
                current,
                permitted: permits.until(*address, &entry.grants).seconds_since(now),
            };
            addresses.iter().map(state).filter(|state| current || state.permitted > 0).collect()
        };
        let families = Kind::BOTH.map(|kind| entry.family(kind));
        let addresses: Vec<AddressState> = [true, false]
            .into_iter()
            .flat_map(|current| families.into_iter().flat_map(move |family| of(family, current)))
            .collect();
        NameState {
            name: name.clone(),
            asked: entry.asked.clone(),
            below: entry.below.clone(),
            state: standing(families, &addresses),
            answered: families.map(|family| family.at).into_iter().max().unwrap_or_default(),
            addresses,
        }
    }
}

/// What the last answers are worth.
fn standing(families: [&Family; 2], addresses: &[AddressState]) -> Standing {
    let old = || families.iter().filter(|family| !family.addresses.is_empty());
    let failing = old().any(|family| family.failed.is_some());
    let has = addresses.iter().any(|address| address.current && address.permitted > 0);
    match (has, failing) {
        (true, false) => Standing::Resolved,
        (true, true) => Standing::Stale,
        (false, true) => Standing::Failed,
        (false, false) if old().next().is_some() => Standing::Expired,
        (false, false) if families.iter().any(|of| of.at != BootTime::default() && of.failed.is_none()) => {
            Standing::Empty
        }
        (false, false) => Standing::Failed,
    }
}
