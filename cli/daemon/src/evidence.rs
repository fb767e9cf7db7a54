//! What the shim's state directory says of one container of a pod.
//!
//! The pod's status names a container by its id, and whoever may write pods/status could name another's. So a report counts
//! for a pod only if the container was created for that pod: containerd wrote the pod's uid and the container's name into
//! the spec, of which the shim keeps the original.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use serde::Deserialize;
use zerocap_annotations::report::State;
use zerocap_annotations::{PodPolicy, Report, Verdict};
use zerocap_node::NodeError;
use zerocap_node::refusals::{self, Refusals};
use zerocap_node::state::{Document, Entry, StateDir, Store};

use crate::pod::{ContainerStatus, Pod};

/// containerd's namespace of everything that the kubelet starts.
pub const NAMESPACE: &str = "k8s.io";
/// How Kubernetes writes a container's id.
const SCHEME: &str = "containerd://";
const SANDBOX: &str = "sandbox";

/// What is known of one running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// What was asked for is enforced, and the kernel showed it before the workload ran. A few words on the promises.
    Confined(String),
    /// `mode: audit`: its egress is only watched.
    Audited,
    /// The pod's annotations, as they were when it started, leave this container alone.
    Excepted,
    /// Decided, and not yet looked at.
    NotVerified,
    /// The kernel showed something else than was expected: which step.
    Mismatch(String),
    /// There is a report, for another pod or container.
    Foreign,
    /// zerocap did not start it.
    Missing,
    /// The state cannot be read, and why.
    Unreadable(String),
}

/// Whose a container is, as containerd wrote it into the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    pod: String,
    container: String,
    kind: String,
}

/// The part of a config.json that says so.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The state directory, with what was read of it before.
#[derive(Debug)]
pub struct Evidences {
    store: Store,
    /// A container's spec never changes.
    identities: HashMap<String, Identity>,
    /// Reports by the container's id, as long as the file is the same.
    reports: HashMap<String, (SystemTime, Report)>,
}

impl Evidences {
    /// The evidence in a store.
    pub fn new(store: Store) -> Self {
        Self { store, identities: HashMap::new(), reports: HashMap::new() }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What is known of a container of that pod. `concerned` is whether the pod concerns zerocap by what stands in it: only then
    /// is its frozen policy looked for where there is no report.
    pub fn of(&mut self, pod: &Pod, container: &ContainerStatus, concerned: bool) -> Evidence {
        self.find(pod, container, concerned).unwrap_or_else(|error| Evidence::Unreadable(error.to_string()))
    }

    fn find(&mut self, pod: &Pod, container: &ContainerStatus, concerned: bool) -> Result<Evidence, NodeError> {
        let Some(id) = container.container_id.as_deref().and_then(|id| id.strip_prefix(SCHEME)) else {
            return Ok(Evidence::Missing);
        };
        let dir = self.store.container(NAMESPACE, id)?;
        let Some(report) = self.report(id, &dir)? else {
            return if concerned { self.without_report(pod, container) } else { Ok(Evidence::Missing) };
        };
        let identity = self.identity(id, &dir)?;
        if identity.pod != pod.metadata.uid || identity.container != container.name {
            return Ok(Evidence::Foreign);
        }
        Ok(match Verdict::of(Some(&report)) {
            Verdict::Confined => Evidence::Confined(summary(&report)),
            Verdict::Audited => Evidence::Audited,
            Verdict::NotVerified => Evidence::NotVerified,
            Verdict::NotConfined => match report.verified.iter().find(|step| !step.holds) {
                Some(step) => {
                    Evidence::Mismatch(format!("{}: expected {}, seen {}", step.step, step.expected, step.seen))
                }
                None => Evidence::Missing,
            },
        })
    }

    /// What the packet fence refused to a container of that pod, as far as it is known.
    pub fn refusals(&mut self, pod: &Pod, container: &ContainerStatus) -> Option<Refusals> {
        let id = container.container_id.as_deref()?.strip_prefix(SCHEME)?;
        let dir = self.store.container(NAMESPACE, id).ok()?;
        let told: Refusals = dir.read_json(Document::Refusals).ok()??;
        let identity = self.identity(id, &dir).ok()?;
        let own = identity.pod == pod.metadata.uid && identity.container == container.name;
        (own && told.version == refusals::VERSION).then_some(told)
    }

    /// A container that zerocap started and that has nothing to enforce has no report. Its pod's frozen policy tells.
    fn without_report(&mut self, pod: &Pod, container: &ContainerStatus) -> Result<Evidence, NodeError> {
        let Some(policy) = self.policy_of(&pod.metadata.uid)? else {
            return Ok(Evidence::Missing);
        };
        let excepted = policy.container(&container.name, &BTreeMap::new()).is_ok_and(|policy| !policy.active());
        Ok(if excepted { Evidence::Excepted } else { Evidence::Missing })
    }

    fn policy_of(&mut self, uid: &str) -> Result<Option<PodPolicy>, NodeError> {
        for Entry { id, .. } in self.entries()? {
            let dir = self.store.container(NAMESPACE, &id)?;
            let identity = self.identity(&id, &dir)?;
            if identity.kind == SANDBOX && identity.pod == uid {
                let text = dir.read(Document::Policy)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                return Ok(text.and_then(|text| PodPolicy::from_json(&text).ok()));
            }
        }
        Ok(None)
    }

    fn entries(&self) -> Result<Vec<Entry>, NodeError> {
        Ok(self.store.list()?.into_iter().filter(|entry| entry.namespace == NAMESPACE).collect())
    }

    fn identity(&mut self, id: &str, dir: &StateDir) -> Result<Identity, NodeError> {
        if let Some(known) = self.identities.get(id) {
            return Ok(known.clone());
        }
        let spec: Option<Spec> = dir.read_json(Document::OriginalConfig)?;
        let Some(Spec { mut annotations }) = spec else { return Ok(Identity::default()) };
        let mut take = |key: &str| annotations.remove(&format!("io.kubernetes.cri.{key}")).unwrap_or_default();
        let identity =
            Identity { pod: take("sandbox-uid"), container: take("container-name"), kind: take("container-type") };
        self.identities.insert(id.to_owned(), identity.clone());
        Ok(identity)
    }

    fn report(&mut self, id: &str, dir: &StateDir) -> Result<Option<Report>, NodeError> {
        let Ok(changed) = dir.path().join(Document::Report.file_name()).metadata().and_then(|meta| meta.modified())
        else {
            // Gone, or not to be read: reading it says which.
            self.reports.remove(id);
            return dir.read_json(Document::Report);
        };
        if let Some((known, report)) = self.reports.get(id)
            && *known == changed
        {
            return Ok(Some(report.clone()));
        }
        let report: Option<Report> = dir.read_json(Document::Report)?;
        // What a report of another version means is not known.
        let report = report.filter(|report| report.version == Report::VERSION);
        if let Some(report) = &report {
            self.reports.insert(id.to_owned(), (changed, report.clone()));
        }
        Ok(report)
    }

    /// Every container of Kubernetes with a report, by its id; what is gone is forgotten.
    ///
    /// # Errors
    /// If the state directory cannot be listed. A single report that cannot be read is left out.
    pub fn all(&mut self) -> Result<Vec<(String, Report)>, NodeError> {
        let ids: Vec<String> = self.entries()?.into_iter().map(|entry| entry.id).collect();
        self.identities.retain(|id, _| ids.contains(id));
        self.reports.retain(|id, _| ids.contains(id));
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let dir = self.store.container(NAMESPACE, &id)?;
            if let Ok(Some(report)) = self.report(&id, &dir) {
                all.push((id, report));
            }
        }
        Ok(all)
    }

    /// How long a verified container took from Create to its verification, in seconds: the times of the files that the shim
    /// wrote then. `None` where it was not verified.
    pub fn start_seconds(&self, id: &str) -> Option<f64> {
        let path = self.store.container(NAMESPACE, id).ok()?.path().to_owned();
        let time = |document: Document| path.join(document.file_name()).metadata().ok()?.modified().ok();
        let elapsed = time(Document::Report)?.duration_since(time(Document::OriginalConfig)?).ok()?;
        Some(elapsed.as_secs_f64())
    }
}

/// "platform mode, 6 kept, 1 partly (neighbours)".
fn summary(report: &Report) -> String {
    let named = |state: State| -> Vec<&str> {
        report.promises.iter().filter(|promise| promise.state == state).map(|promise| promise.promise.name()).collect()
    };
    let mut text = format!("{} mode, {} kept", crate::metrics::mode(report), named(State::Kept).len());
    for (state, word) in [(State::Partly, "partly"), (State::NotKept, "NOT KEPT")] {
        let names = named(state);
        if !names.is_empty() {
            text.push_str(&format!(", {} {word} ({})", names.len(), names.join(", ")));
        }
    }
    text
}
