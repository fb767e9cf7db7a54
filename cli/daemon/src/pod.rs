//! A pod, as far as it matters here. Everything else that the API server tells is skipped while it is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use zerocap_annotations::grammar;

/// A list of pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pods {
    /// Of the list as a whole: its version.
    pub metadata: Metadata,
    /// The pods.
    pub items: Vec<Pod>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Who it is.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: Spec,
    /// What the kubelet and others say.
    pub status: Status,
}

/// Who an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What no other object ever has.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Its annotations, all of them.
    pub annotations: BTreeMap<String, String>,
    /// Set when it is being deleted.
    pub deletion_timestamp: Option<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The node it runs on.
    pub node_name: String,
    /// Its RuntimeClass.
    pub runtime_class_name: Option<String>,
    /// Conditions that it waits for.
    pub readiness_gates: Vec<Gate>,
    /// Init containers and sidecars.
    pub init_containers: Vec<Container>,
    /// Containers.
    pub containers: Vec<Container>,
    /// Those of `kubectl debug`.
    pub ephemeral_containers: Vec<Container>,
}

/// A container that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
}

/// A condition that a pod waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Gate {
    /// The condition's type.
    pub condition_type: String,
}

/// What is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// Pending, Running, Succeeded, Failed.
    pub phase: String,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Init containers and sidecars.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Those of `kubectl debug`.
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// A condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// What is said.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name in the pod.
    pub name: String,
    /// `containerd://ID`.
    #[serde(rename = "containerID")]
    pub container_id: Option<String>,
    /// How it is.
    pub state: State,
    /// How the one before it ended.
    pub last_state: State,
}

/// How a container is: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct State {
    /// It runs.
    pub running: Option<Running>,
    /// It is not there (yet).
    pub waiting: Option<Said>,
    /// It has ended.
    pub terminated: Option<Said>,
}

/// It runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Running {}

/// Why it does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Said {
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Condition {
    /// Whether another one says the same already.
    pub fn is_told_by(&self, told: Option<&Self>) -> bool {
        told.is_some_and(|told| told == self)
    }

    /// A strategic merge patch of the pod's status that sets this condition and touches nothing else. It names the uid, so a
    /// new pod of the same name is not meant.
    pub fn patch(&self, pod: &Pod, now: &str) -> Value {
        let mut condition =
            json!({ "type": self.kind, "status": self.status, "reason": self.reason, "message": self.message });
        if pod.condition(&self.kind).is_none_or(|told| told.status != self.status) {
            condition["lastTransitionTime"] = json!(now);
        }
        json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "conditions": [condition] } })
    }
}

impl Pod {
    /// Every container, in the order in which they start.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = &self.status;
        [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses]
            .into_iter()
            .flatten()
    }

    /// The names of every container that was asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let spec = &self.spec;
        [&spec.init_containers, &spec.containers, &spec.ephemeral_containers]
            .into_iter()
            .flatten()
            .map(|container| container.name.as_str())
    }

    /// Those that run now.
    pub fn running(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.containers().filter(|container| container.state.running.is_some())
    }

    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether it has an annotation of ours, in whatever spelling.
    pub fn is_annotated(&self) -> bool {
        self.metadata.annotations.keys().any(|key| grammar::is_ours(key))
    }

    /// Whether it is being deleted, or has ended.
    pub fn is_over(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}
