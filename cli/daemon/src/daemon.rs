//! The loop of `zerocap node watch`.
//!
//! One thread watches the API server, one answers on loopback, some to the network if that is wanted, and this one decides: for each pod that is seen, and twice a
//! minute for all of them, since the state directory tells nobody that it has changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use zerocap_annotations::report::TargetKind;
use zerocap_node::refusals::Refusals;
use zerocap_node::state::Store;

use crate::api::{Api, ApiError, Patch, Place};
use crate::blocked::{Blocked, Pace};
use crate::budget::{Budget, Telling};
use crate::counted::Counted;
use crate::event::Refused;
use crate::evidence::{Evidence, Evidences};
use crate::judge::{self, CONDITION, Judgement};
use crate::labels;
use crate::log::{self, Level};
use crate::metrics::Numbers;
use crate::pod::{Condition, Pod};
use crate::refusal::{self, Events, Refusal};
use crate::scrape::{self, CertificateError, ScrapeError};
use crate::serve::{self, Row, Shared};
use crate::taint::{Node, StartupTaint};
use crate::watch::{self, Seen};

/// All pods are judged again this often.
const ROUND: Duration = Duration::from_secs(30);
/// Numbers are at most this old.
const FRESH: Duration = Duration::from_secs(2);
/// A call that failed is made again after this.
const RETRY: Duration = Duration::from_secs(5);
/// The Events of a pod without a sandbox are asked for after this, and then after twice as long each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest of these waits is this many times the first.
const MOST_WAITS: u32 = 32;
/// The labels are sent again this often, whatever became of them.
const LABELS: Duration = Duration::from_secs(600);
/// Events: this many at once, and one more in each such period.
const EVENTS: (u32, Duration) = (25, Duration::from_secs(10));
/// Pods that may wait to be looked at before the watch has to wait.
const BACKLOG: usize = 256;
/// Enough for TLS and JSON.
const STACK: usize = 512 << 10;

/// What to watch, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The API server.
    pub place: Place,
    /// This node's name.
    pub node: String,
    /// Names of our RuntimeClasses.
    pub classes: Vec<String>,
    /// The state directory.
    pub store: Store,
    /// Where numbers and reports are served; nowhere if `None`.
    pub listen: Option<SocketAddr>,
    /// Where numbers are served to the network, for callers whom Kubernetes lets; nowhere if `None`.
    pub scrape: Option<scrape::Settings>,
    /// Whether the node gets labels.
    pub labels: bool,
    /// The taint that goes once the node is labelled as ready.
    pub startup_taint: Option<StartupTaint>,
    /// Whether zerocap is being uninstalled: labels and taint go, since nobody would take them off afterwards.
    pub leaving: bool,
}

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The API server cannot be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The address cannot be listened on.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate for the network cannot be used.
    #[error(transparent)]
    Certificate(CertificateError),
    /// No thread could be had.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
}

/// A pod with what was found out about it beside its status.
#[derive(Debug, Default)]
struct Tracked {
    pod: Pod,
    /// Why it has no sandbox.
    sandbox: Option<Refusal>,
    /// How often its Events were asked for.
    asked: u32,
    /// When it is to be looked at again, if before the round.
    again: Option<Instant>,
    /// When what was refused to it may be told again.
    pace: Option<Pace>,
}

/// What the loop keeps.
struct Daemon {
    api: Api,
    settings: Settings,
    evidences: Evidences,
    pods: HashMap<String, Tracked>,
    budget: Budget,
    numbers: Numbers,
    shims: Counted,
    /// Containers whose start was counted.
    counted: HashSet<String>,
    board: Shared,
    labelled: Option<(BTreeMap<&'static str, String>, Instant)>,
}

/// Runs until the process is ended.
///
/// # Errors
/// [`DaemonError`] if it cannot begin.
pub fn run(settings: Settings) -> Result<(), DaemonError> {
    let api = Api::new(&settings.place)?;
    let board = Shared::default();
    let spawn = |name: &str| thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    if let Some(address) = settings.listen {
        let listener = serve::bind(address).map_err(|source| DaemonError::Listen { address, source })?;
        let (board, store) = (board.clone(), settings.store.clone());
        spawn("serve").spawn(move || serve::serve(&listener, &board, &store)).map_err(DaemonError::Thread)?;
    }
    if let Some(scrape) = &settings.scrape {
        scrape::start(scrape, &api, &board, STACK).map_err(|error| match error {
            ScrapeError::Listen(source) => DaemonError::Listen { address: scrape.listen, source },
            ScrapeError::Certificate(error) => DaemonError::Certificate(error),
            ScrapeError::Thread(error) => DaemonError::Thread(error),
        })?;
    }
    let (to, seen) = sync_channel(BACKLOG);
    let (watcher, node) = (api.clone(), settings.node.clone());
    spawn("watch").spawn(move || watch::run(&watcher, &node, &to)).map_err(DaemonError::Thread)?;
    log::line(Level::Info, "watching", &json!({ "node": settings.node, "server": settings.place.server }));
    let daemon = Daemon {
        api,
        evidences: Evidences::new(settings.store.clone()),
        settings,
        pods: HashMap::new(),
        budget: Budget::new(EVENTS.0, EVENTS.1, Instant::now()),
        numbers: Numbers::default(),
        shims: Counted::default(),
        counted: HashSet::new(),
        board,
        labelled: None,
    };
    daemon.run(&seen);
    Ok(())
}

impl Daemon {
    fn run(mut self, seen: &Receiver<Seen>) {
        let mut round = Instant::now();
        let mut count = Some(round);
        loop {
            let now = Instant::now();
            let next = self.pods.values().filter_map(|tracked| tracked.again).chain(count).chain([round]).min();
            match seen.recv_timeout(next.unwrap_or(round).saturating_duration_since(now)) {
                Ok(seen) => {
                    self.take(seen);
                    count.get_or_insert(now + FRESH);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            let whole = round <= now;
            let due: Vec<String> = self
                .pods
                .iter()
                .filter(|(_, tracked)| whole || tracked.again.is_some_and(|again| again <= now))
                .map(|(uid, _)| uid.clone())
                .collect();
            for uid in due {
                self.look(&uid);
            }
            if whole {
                round = now + ROUND;
                self.label(now);
            }
            if whole || count.is_some_and(|count| count <= now) {
                count = None;
                self.count();
            }
        }
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::All(pods) => {
                let uids: HashSet<String> = pods.iter().map(|pod| pod.metadata.uid.clone()).collect();
                self.pods.retain(|uid, _| uids.contains(uid));
                for pod in pods {
                    self.see(pod);
                }
            }
            Seen::Is(pod) => self.see(*pod),
            Seen::Gone(uid) => {
                self.pods.remove(&uid);
            }
            Seen::Trouble(error) => self.trouble("the API server cannot be watched", &error),
        }
    }

    fn see(&mut self, pod: Pod) {
        // The server selects by node; this is the net under it.
        if pod.spec.node_name != self.settings.node {
            return;
        }
        let uid = pod.metadata.uid.clone();
        self.pods.entry(uid.clone()).or_default().pod = pod;
        self.look(&uid);
    }

    /// Judges a pod, and tells what is new.
    fn look(&mut self, uid: &str) {
        let Some(mut tracked) = self.pods.remove(uid) else { return };
        tracked.again = None;
        let pod = &tracked.pod;
        if !pod.is_over() {
            let concerned = judge::concerns(pod, &self.settings.classes);
            let running: Vec<(&str, Evidence)> = pod
                .running()
                .map(|container| (container.name.as_str(), self.evidences.of(pod, container, concerned)))
                .collect();
            let mut refusals = Refusal::of_pod(pod);
            if concerned && refusal::has_no_sandbox(pod) {
                (tracked.sandbox, tracked.again) = self.ask_why(&tracked);
                tracked.asked += 1;
                refusals.extend(tracked.sandbox.clone());
            } else {
                (tracked.sandbox, tracked.asked) = (None, 0);
            }
            let judgement = judge::judge(pod, &self.settings.classes, &running, refusals.first());
            let told = judgement.is_none_or(|judgement| self.condition(&mut tracked.pod, &judgement));
            let mut all_told = told;
            for refusal in &refusals {
                let count = |numbers: &mut Numbers| *numbers.refused.entry(refusal.code).or_default() += 1;
                all_told &= self.tell(&tracked.pod, &Refused::start(refusal), count);
            }
            all_told &= self.blocked(&mut tracked);
            if !all_told {
                let retry = Instant::now() + RETRY;
                tracked.again = Some(tracked.again.map_or(retry, |again| again.min(retry)));
            }
        }
        self.pods.insert(uid.to_owned(), tracked);
    }

    /// Why a pod has no sandbox, and when to ask again. The first time it is merely given a moment: each pod begins like this.
    fn ask_why(&mut self, tracked: &Tracked) -> (Option<Refusal>, Option<Instant>) {
        let wait = PATIENCE * 2_u32.saturating_pow(tracked.asked).min(MOST_WAITS);
        let again = Some(Instant::now() + wait);
        if tracked.asked == 0 {
            return (None, again);
        }
        let pod = &tracked.pod.metadata;
        let path = format!(
            "/api/v1/namespaces/{}/events?limit=20&fieldSelector=involvedObject.uid%3D{},reason%3D{}",
            pod.namespace,
            pod.uid,
            refusal::SANDBOX_REASON
        );
        match self.api.get::<Events>(&path) {
            Ok(events) => (Refusal::of_sandbox(&events), again),
            Err(error) => {
                self.trouble("a pod's Events cannot be read", &error);
                (tracked.sandbox.clone(), again)
            }
        }
    }

    /// Sets the condition where it says something else. False if it has to be tried again.
    fn condition(&mut self, pod: &mut Pod, judgement: &Judgement) -> bool {
        let condition = judgement.condition();
        if condition.is_told_by(pod.condition(CONDITION)) {
            return true;
        }
        let fields = json!({
            "pod-uid": pod.metadata.uid, "namespace": pod.metadata.namespace, "pod": pod.metadata.name, "enforced": judgement.enforced,
            "reason": judgement.reason, "detail": judgement.message,
        });
        self.set(pod, condition, || {
            log::line(if judgement.enforced { Level::Info } else { Level::Warning }, "judged", &fields);
        })
    }

    /// Sets a condition, and says so. False if it has to be tried again.
    fn set(&mut self, pod: &mut Pod, condition: Condition, say: impl FnOnce()) -> bool {
        let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status?fieldManager=zerocap-node");
        match self.api.patch(&path, Patch::Strategic, &condition.patch(pod, &log::now())) {
            Ok(()) => {
                say();
                pod.status.conditions.retain(|told| told.kind != condition.kind);
                pod.status.conditions.push(condition);
                true
            }
            // The pod is gone, or another one has its name.
            Err(error) if error.is_gone() || error.is_conflict() => true,
            Err(error) => {
                self.trouble("a pod's condition cannot be set", &error);
                false
            }
        }
    }

    /// Tells what the packet fences refused: what was first by each rule as an Event, and all of it in a condition. False if something has
    /// to be tried again.
    fn blocked(&mut self, tracked: &mut Tracked) -> bool {
        let pod = &tracked.pod;
        let refusals: Vec<(String, Refusals)> = pod
            .running()
            .filter_map(|container| Some((container.name.clone(), self.evidences.refusals(pod, container)?)))
            .collect();
        let mut all_told = true;
        for (container, told) in &refusals {
            for first in told.firsts() {
                let count = |numbers: &mut Numbers| *numbers.blocked.entry(first.rule.name()).or_default() += 1;
                all_told &= self.tell(pod, &Refused::by_fence(container, first), count);
            }
        }
        let now = Instant::now();
        let Some(condition) = Blocked::of(&refusals).map(Blocked::condition) else { return all_told };
        let mut pace = tracked.pace.unwrap_or(Pace::new(now));
        if pace.may(now) && !condition.is_told_by(pod.condition(&condition.kind)) {
            all_told &= self.set(&mut tracked.pod, condition, || pace.written(now));
        }
        tracked.pace = Some(pace);
        all_told
    }

    /// Tells of a refusal, once. False if it has to be tried again.
    fn tell(&mut self, pod: &Pod, refused: &Refused, count: impl FnOnce(&mut Numbers)) -> bool {
        let name = refused.name(pod);
        match self.budget.take(&name, Instant::now()) {
            Telling::Before => return true,
            Telling::Later => {
                self.numbers.suppressed = self.budget.suppressed;
                return false;
            }
            Telling::Now => {}
        }
        let event = refused.event(pod, &self.settings.node, &log::now_in_micros());
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", pod.metadata.namespace);
        match self.api.create(&path, &event) {
            Ok(()) => {
                count(&mut self.numbers);
                log::line(Level::Warning, "refused", &refused.record(pod, &self.settings.node));
                true
            }
            // This daemon's predecessor told it.
            Err(error) if error.is_conflict() => true,
            // The pod's namespace is going, or Events are not ours to write: once more would help neither.
            Err(error @ ApiError::Refused { status: 403 | 404, .. }) => {
                self.trouble("an Event cannot be written", &error);
                true
            }
            Err(error) => {
                self.budget.forget(&name);
                self.trouble("an Event cannot be written", &error);
                false
            }
        }
    }

    /// Sends the node's labels where they have changed, and now and then.
    fn label(&mut self, now: Instant) {
        if !self.settings.labels {
            return;
        }
        let labels = if self.settings.leaving { BTreeMap::new() } else { labels::of(self.evidences.store()) };
        if self.labelled.as_ref().is_some_and(|(sent, at)| *sent == labels && now < *at + LABELS) {
            return;
        }
        let path = format!("/api/v1/nodes/{}?fieldManager=zerocap-node", self.settings.node);
        match self.api.patched(&path, Patch::Merge, &labels::patch(&labels)) {
            Ok(node) => {
                if self.untaint(&path, &node, &labels) {
                    self.labelled = Some((labels, now));
                }
            }
            Err(error) => self.trouble("the node's labels cannot be set", &error),
        }
    }

    /// Takes the startup taint off a node that was labelled just now. False if it has to be tried again.
    fn untaint(&mut self, path: &str, node: &Node, labels: &BTreeMap<&'static str, String>) -> bool {
        if !(self.settings.leaving || labels::are_ready(labels)) {
            return true;
        }
        let taint = self.settings.startup_taint.as_ref();
        let Some(patch) = taint.and_then(|taint| taint.patch(node)) else { return true };
        match self.api.patch(path, Patch::Merge, &patch) {
            Ok(()) => {
                log::line(Level::Info, "the startup taint is off", &json!({ "node": self.settings.node }));
                true
            }
            // Somebody changed the node meanwhile.
            Err(error) if error.is_conflict() => false,
            Err(error) => {
                self.trouble("the startup taint cannot be taken off", &error);
                false
            }
        }
    }

    /// Counts anew, and puts the result on the board.
    fn count(&mut self) {
        let reports = match self.evidences.all() {
            Ok(reports) => reports,
            Err(error) => {
                log::line(
                    Level::Warning,
                    "the state directory cannot be listed",
                    &json!({ "error": error.to_string() }),
                );
                Vec::new()
            }
        };
        self.counted.retain(|id| reports.iter().any(|(other, _)| other == id));
        for (id, report) in &reports {
            if report.target == TargetKind::Init
                && !report.verified.is_empty()
                && self.counted.insert(id.clone())
                && let Some(seconds) = self.evidences.start_seconds(id)
            {
                self.numbers.starts.add(seconds);
            }
        }
        self.numbers.recount(reports.iter().map(|(_, report)| report));
        self.shims.recount(self.evidences.store(), reports.iter().map(|(id, _)| id.as_str()));
        let pods: Vec<Row> = self.pods.values().filter_map(|tracked| row(&tracked.pod)).collect();
        self.numbers.pods.clear();
        for status in pods.iter().map(|row| if row.enforced == "True" { "true" } else { "false" }) {
            *self.numbers.pods.entry(status).or_default() += 1;
        }
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.metrics = self.numbers.render(env!("CARGO_PKG_VERSION"), &self.shims.sums);
        board.pods = pods;
    }

    fn trouble(&mut self, what: &str, error: &ApiError) {
        self.numbers.troubles += 1;
        log::line(Level::Warning, what, &json!({ "error": error.to_string() }));
    }
}

/// A pod of which something is said.
fn row(pod: &Pod) -> Option<Row> {
    let condition = pod.condition(CONDITION)?;
    let id = |id: &String| id.strip_prefix("containerd://").unwrap_or(id).to_owned();
    Some(Row {
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        enforced: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        containers: pod
            .running()
            .filter_map(|container| Some((container.name.clone(), id(container.container_id.as_ref()?))))
            .collect(),
    })
}
