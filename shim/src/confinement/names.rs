//! The names of a container's `egress`, from its private files to its end.
//!
//! Resolving begins when the container is created and runs beside the engine; the start waits for it. What is known is written to the
//! container's private resolv.conf and hosts, whose mounts the engine has made by then: they are written in place.

mod files;
mod guard;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zerocap_annotations::knob::Transport;
use zerocap_annotations::{Names as Wanted, ZcError, code};
use zerocap_fence::Permits;
use zerocap_names::{
    BootTime, Counters, DNS_PORT, Gate, Limits, Names, Netns, ResolvConf, Responder, Rules, Setup, StartError,
};
use zerocap_node::state::{Document, StateDir};

use crate::rest;

pub(super) use files::{Files, pods_resolv_conf};

/// How often hosts is looked at. Addresses stay permitted for longer than that after they have changed.
const EVERY: Duration = Duration::from_secs(15);
/// What changed is written down no more often than this, whatever the workload asks.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The names of one container.
pub(super) struct Naming(Mutex<Phase>);

enum Phase {
    /// The network namespace is not known yet: the engine makes it.
    Waiting(Box<Plan>),
    Starting(Guarded<Result<Guarded<()>, ZcError>>),
    /// The start waits for it, and holds it.
    Awaited,
    /// The task holds the names; with it they end.
    Running {
        _holds: Guarded<()>,
    },
    Over,
}

/// What is needed to begin.
pub(super) struct Plan {
    pub(super) wanted: Wanted,
    /// The pod's own, as it was when the sandbox was created.
    pub(super) resolv_conf: Vec<u8>,
    pub(super) files: Files,
    /// The fence's table, as soon as it is loaded.
    pub(super) permits: oneshot::Receiver<Permits>,
    pub(super) state: StateDir,
}

impl Naming {
    /// Begins at once where the container joins a network namespace that is there.
    pub(super) fn new(plan: Plan, netns: Option<PathBuf>) -> Self {
        Self(Mutex::new(match netns {
            Some(netns) => Phase::Starting(Guarded::spawn(plan.run(netns))),
            None => Phase::Waiting(Box::new(plan)),
        }))
    }

    /// Waits until every name is resolved and everything is in place. `pid`: the container's first process.
    pub(super) async fn ready(&self, pid: i32) -> Result<(), ZcError> {
        let ended = || failed(code::names::RESPONDER, "the resolver ended");
        let mut starting = match std::mem::replace(&mut *self.phase(), Phase::Awaited) {
            Phase::Waiting(plan) => Guarded::spawn(plan.run(format!("/proc/{pid}/ns/net").into())),
            Phase::Starting(starting) => starting,
            phase @ (Phase::Awaited | Phase::Running { .. } | Phase::Over) => {
                *self.phase() = phase;
                return Err(ended());
            }
        };
        let running = (&mut starting.0).await.map_err(|_| ended())??;
        let mut phase = self.phase();
        // The container may have ended meanwhile.
        if !matches!(*phase, Phase::Awaited) {
            return Err(ended());
        }
        *phase = Phase::Running { _holds: running };
        Ok(())
    }

    /// Ends it: nothing is resolved or answered any more.
    pub(super) fn end(&self) {
        *self.phase() = Phase::Over;
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that ends with this value, also where it is the result of another task that nobody asked for.
struct Guarded<T>(JoinHandle<T>);

impl<T: Send + 'static> Guarded<T> {
    fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Plan {
    async fn run(self, netns: PathBuf) -> Result<Guarded<()>, ZcError> {
        let Self { wanted, resolv_conf, files, permits, state } = self;
        let open = || Netns::open(&netns).map_err(|error| refused(StartError::Netns(error)));
        let (of_resolver, of_responder) = (open()?, open()?);
        let guard = guard::guard(&wanted, &netns).map_err(|error| refused(StartError::Netns(error)))?;
        let rules = Rules::new(&wanted.destinations, guard).map_err(refused)?;
        let responder = Responder::bind(&of_responder, DNS_PORT).map_err(refused)?;
        let address = responder.address();
        // The fence tells its own failure where it is put in place.
        let permits = permits.await.map_err(|_| failed(code::fence::NOT_LOADED, "there is no packet fence to tell"))?;
        for transport in [Transport::Udp, Transport::Tcp] {
            let ports = (address.port(), address.port());
            permits.permit(transport, address.ip(), ports, 0).map_err(|error| failed(code::names::TABLE, error))?;
        }
        let setup = Setup {
            rules,
            resolv_conf: ResolvConf::parse(&resolv_conf),
            server_port: DNS_PORT,
            netns: of_resolver,
            gate: Arc::new(Table(permits)),
            responder,
            limits: Limits::default(),
        };
        let names = Names::start(setup).await.map_err(refused)?;
        files.write_resolv_conf(&names.resolv_conf())?;
        files.write_hosts(&names.hosts())?;
        Ok(Guarded::spawn(keep(names, files, state)))
    }
}

/// Holds the names, and writes down what changes.
async fn keep(names: Names, files: Files, state: StateDir) {
    let mut hosts = names.hosts();
    let mut seen = None;
    loop {
        let snapshot = names.snapshot();
        let now = names.hosts();
        if now != hosts && report(files.write_hosts(&now)) {
            hosts = now;
        }
        if seen.as_ref() != Some(&snapshot.counters) {
            blocked(seen.as_ref(), &snapshot.counters, &snapshot.blocked, &state);
            if report(state.write_json(Document::Names, &snapshot).map_err(ZcError::from)) {
                seen = Some(snapshot.counters);
            }
        }
        rest::worked();
        if tokio::time::timeout(EVERY, names.changed()).await.is_ok() {
            tokio::time::sleep(AT_MOST_EVERY).await;
        }
    }
}

fn report(result: Result<(), ZcError>) -> bool {
    // The workload runs, and its responder knows better.
    result.inspect_err(|error| tracing::warn!(%error, "cannot write down what names resolve to")).is_ok()
}

/// One line for what names resolved to and may not.
fn blocked(before: Option<&Counters>, now: &Counters, last: &[zerocap_names::Blocked], state: &StateDir) {
    if now.blocked == before.map_or(0, |before| before.blocked) {
        return;
    }
    for blocked in last {
        let (network, bits) = blocked.network;
        tracing::warn!(
            container = %state.path().file_name().unwrap_or_default().display(),
            name = %blocked.name,
            address = %blocked.address,
            network = %format!("{network}/{bits}"),
            times = blocked.times,
            "a name in egress resolved to an address that no name may have; it stays out of reach"
        );
    }
}

/// The fence's table as the resolver's gate.
struct Table(Permits);

impl Gate for Table {
    fn permit(&self, transport: Transport, to: IpAddr, ports: (u16, u16), until: BootTime) -> io::Result<()> {
        // Time 0 means for ever there; nobody has an answer from the moment of boot.
        self.0.permit(transport, to, ports, until.0.max(1)).map_err(io::Error::other)
    }

    fn forget(&self, transport: Transport, to: IpAddr, ports: (u16, u16)) -> io::Result<()> {
        self.0.forget(transport, to, ports).map_err(io::Error::other)
    }
}

fn failed(code: code::Code, what: impl ToString) -> ZcError {
    ZcError::new(code, what.to_string(), "look at the error and at the shim's log")
}

fn refused(error: StartError) -> ZcError {
    let (code, hint) = match &error {
        StartError::NoName(_) | StartError::TooManyNames { .. } => {
            (code::annotation::BAD_VALUE, "write fewer names in egress, as DNS has them")
        }
        StartError::Netns(_) | StartError::Listen { .. } => {
            (code::names::RESPONDER, "let no other container of the pod bind port 53 of all addresses")
        }
        StartError::NoAddress { .. } | StartError::Unresolved { .. } => {
            (code::names::UNRESOLVED, "correct the name in egress, or look at the pod's nameservers")
        }
        StartError::Forbidden { .. } => (
            code::names::FORBIDDEN,
            "write the address instead of the name, or ask the node's administrator for names.may",
        ),
        StartError::Gate { .. } => (code::names::TABLE, "write fewer names or ports in egress"),
    };
    ZcError::new(code, format!("egress: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container can be given up when its names are resolved and nobody has asked for them yet.
    #[tokio::test]
    async fn what_was_begun_ends_with_the_container_in_every_phase() {
        for waited_for in [false, true] {
            let (held, ended) = oneshot::channel::<()>();
            let keep = async move {
                let _held = held;
                std::future::pending::<()>().await;
            };
            let (begun, has_begun) = oneshot::channel();
            let starting = Guarded::spawn(async move {
                let running = Guarded::spawn(keep);
                begun.send(()).unwrap();
                Ok(running)
            });
            let naming = Naming(Mutex::new(Phase::Starting(starting)));
            has_begun.await.unwrap();
            if waited_for {
                naming.ready(1).await.unwrap();
            }
            tokio::task::yield_now().await;
            naming.end();
            let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
            assert!(ended.expect("somebody still holds the names").is_err());
        }
    }
    #[tokio::test]
    async fn a_container_that_ends_while_its_names_resolve_has_none() {
        let (held, ended) = oneshot::channel::<()>();
        let keep = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        let (resolve, resolved) = oneshot::channel::<()>();
        let starting = Guarded::spawn(async move {
            let running = Guarded::spawn(keep);
            let _ = resolved.await;
            Ok(running)
        });
        let naming = Naming(Mutex::new(Phase::Starting(starting)));
        let (ready, ()) = tokio::join!(naming.ready(1), async {
            tokio::task::yield_now().await;
            naming.end();
            resolve.send(()).unwrap();
        });
        assert!(ready.is_err());
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        assert!(ended.expect("somebody still holds the names").is_err());
    }
}
