//! What is known of one container's fence: the state directory's part, and what the kernel counts.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use serde::Serialize;
use zerocap_annotations::knob::Knob;
use zerocap_annotations::report::{Fence, Setting};
use zerocap_annotations::{Promise, Report, ZcError, code};
use zerocap_fence::{Attached, FenceError, Hook, Tree};
use zerocap_names::{BootTime, Snapshot};
use zerocap_node::fence::FenceState;
use zerocap_node::refusals::{Clock, Distinct, Pod, Refusals, destination};
use zerocap_node::state::{Document, Entry, Store};

use super::names::Names;
use crate::failure::Failure;
use crate::status;

/// Version of the JSON form.
const VERSION: u32 = 1;
/// The knobs that decide about the network.
const KNOBS: [Knob; 5] = [Knob::NetworkEnforcement, Knob::ProxyPort, Knob::Egress, Knob::Listen, Knob::Mode];

/// Whether the fence is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is on the container's group.
    InForce,
    /// The container was not started yet.
    Starting,
    /// The container has ended, and the fence with it: only what the shim wrote down is left.
    Ended,
}

/// What the kernel counted.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// Connects, and sends to an address, that the policy permits.
    pub approved: u64,
    /// What it does not, by hook.
    pub refused: BTreeMap<Hook, u64>,
    /// Refusals that nobody could tell one by one: the ring was full.
    pub lost: u64,
}

/// A destination that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// `tcp://ADDRESS:PORT`.
    pub destination: String,
    /// Whether the policy permits it.
    pub permitted: bool,
    /// How often.
    pub times: u64,
    /// The entry that names it alone, where it can have one.
    #[serde(skip)]
    pub entry: Option<String>,
}

/// An address that is permitted for a time.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Address {
    /// `tcp://ADDRESS:PORT`.
    pub destination: String,
    /// Seconds until it is not permitted any more; 0 where that is so.
    pub seconds_left: u64,
}

/// One container's fence.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct View {
    version: u32,
    pub namespace: String,
    pub id: String,
    pub pod: Pod,
    pub container: String,
    pub state: State,
    /// `mode: audit`.
    pub audit: bool,
    /// Landlock refuses connects to ports that no entry has, before the fence could count them.
    pub landlock_first: bool,
    pub policy: BTreeMap<Knob, Setting>,
    pub counters: Option<Counters>,
    pub destinations: Vec<Asked>,
    pub addresses: Vec<Address>,
    pub names: Option<Names>,
    pub refusals: Vec<Distinct>,
    pub forgotten: u64,
}

impl View {
    /// `None`: the container has no fence.
    pub fn of(store: &Store, entry: &Entry) -> Result<Option<Self>, Failure> {
        let dir = store.container(&entry.namespace, &entry.id).map_err(Failure::bad_input)?;
        let Some(fence) = dir.read_json::<FenceState>(Document::Fence).map_err(Failure::bad_input)? else {
            return Ok(None);
        };
        let report = status::report(store, entry)?;
        let told: Option<Refusals> = dir.read_json(Document::Refusals).map_err(Failure::bad_input)?;
        let told = told.unwrap_or_else(|| Refusals::new(Pod::default(), String::new(), false));
        let names: Option<Snapshot> = dir.read_json(Document::Names).map_err(Failure::bad_input)?;
        let mut view = Self {
            version: VERSION,
            namespace: entry.namespace.clone(),
            id: entry.id.clone(),
            pod: told.pod,
            container: report.as_ref().map_or_else(String::new, |report| report.container.clone()),
            state: State::Starting,
            audit: report.as_ref().is_some_and(Report::audits),
            landlock_first: report.as_ref().is_some_and(landlock_connect),
            policy: report.map_or_else(BTreeMap::new, |report| report.policy),
            counters: None,
            destinations: Vec::new(),
            addresses: Vec::new(),
            names: names.map(|names| Names::of(names, BootTime::now(), &Clock::now())),
            refusals: told.distinct,
            forgotten: told.forgotten,
        };
        view.policy.retain(|knob, _| KNOBS.contains(knob));
        if !fence.programs.is_empty() {
            view.ask_the_kernel(fence).map_err(unreadable)?;
        }
        Ok(Some(view))
    }

    fn ask_the_kernel(&mut self, fence: FenceState) -> Result<(), FenceError> {
        let group = match Tree::open()?.group(&fence.group) {
            Err(FenceError::Group { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.state = State::Ended;
                return Ok(());
            }
            group => group?,
        };
        self.state = State::InForce;
        let attached = Attached::new(group, fence.programs)?;
        let counters = attached.counters()?;
        self.counters = Some(Counters {
            approved: counters.approved,
            refused: counters.refused.into_iter().collect(),
            lost: counters.lost,
        });
        let asked = attached.destinations()?.into_iter().map(|it| Asked {
            destination: destination(it.protocol, it.address, it.port),
            permitted: !it.refused,
            times: it.times,
            entry: zerocap_node::refusals::egress_entry(it.protocol, it.address, it.port),
        });
        self.destinations = asked.collect();
        let clock = Clock::now();
        let leases = attached.leases()?.into_iter().map(|lease| Address {
            destination: destination(lease.protocol, lease.address, lease.port),
            seconds_left: clock.until(lease.until).map_or(0, |left| left.as_secs()),
        });
        self.addresses = leases.collect();
        Ok(())
    }

    /// `NAMESPACE/POD`, as far as they are known.
    pub fn pod_name(&self) -> String {
        match (self.pod.namespace.as_str(), self.pod.name.as_str()) {
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        }
    }
}

/// Whether Landlock decides about the ports of connects.
fn landlock_connect(report: &Report) -> bool {
    let egress = report.promises.iter().filter(|row| row.promise == Promise::Egress);
    egress.flat_map(|row| &row.fences).any(|fence| fence.fence == Fence::LandlockTcp && fence.applied)
}

fn unreadable(error: FenceError) -> Failure {
    Failure::bad_input(ZcError::new(
        code::fence::UNREADABLE,
        error.to_string(),
        "run it as root on the container's node, with the zerocap that started the container",
    ))
}

/// One with everything in it.
#[cfg(test)]
pub fn example() -> View {
    let refusal = zerocap_fence::Refusal {
        at: 0,
        pid: Some(4711),
        comm: b"evil\n\"".to_vec(),
        hook: Hook::Connect,
        address: std::net::Ipv4Addr::new(10, 0, 0, 5).to_ipv6_mapped(),
        port: 443,
        protocol: 6,
        device: 0,
    };
    let pod = Pod { namespace: "default".into(), name: "web-0".into(), uid: "0f\"\\\n".into() };
    let mut refusals = Refusals::new(pod, "web".into(), false);
    refusals.add(&refusal, "2026-01-02T03:04:05Z".into());
    let setting = |value: &str| Setting {
        value: value.into(),
        source: zerocap_annotations::policy::Source::Annotation("zerocap.io/egress".into()),
    };
    let asked = |to: &str, permitted, times| Asked {
        destination: format!("tcp://{to}"),
        permitted,
        times,
        entry: Some(to.into()),
    };
    View {
        version: VERSION,
        namespace: "k8s.io".into(),
        id: "0123456789abcdef".into(),
        pod: refusals.pod.clone(),
        container: "web".into(),
        state: State::InForce,
        audit: false,
        landlock_first: true,
        policy: [(Knob::Egress, setting("tcp://10.0.0.1/32:443"))].into(),
        counters: Some(Counters { approved: 3, refused: [(Hook::Connect, 2), (Hook::Bind, 0)].into(), lost: 0 }),
        destinations: vec![asked("10.0.0.1:443", true, 3), asked("10.0.0.5:443", false, 2)],
        addresses: vec![Address { destination: "tcp://10.0.0.7:443".into(), seconds_left: 30 }],
        names: Some(Names::of(super::names::example(), BootTime(110_000_000_000), &Clock::now())),
        refusals: refusals.distinct,
        forgotten: 0,
    }
}
