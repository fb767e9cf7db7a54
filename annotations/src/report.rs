//! The enforcement report: promise × fence for one process of one container.
//!
//! Serialises to JSON with kebab-case keys, as [`Report::SCHEMA`] describes them. [`Report::VERSION`] changes when a field changes its meaning or goes away;
//! new fields may appear within a version. The shim appends what it verified; `zerocap status` shows the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knob::{Knob, Level, Mode};
use crate::policy::{Difference, Source};
use crate::promise::Promise;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Version of this schema.
    pub version: u32,
    /// Name of the container in its pod; empty outside Kubernetes.
    pub container: String,
    /// Which process this is.
    pub target: TargetKind,
    /// Whether anything is enforced at all. Without a knob the spec goes to the engine untouched.
    pub active: bool,
    /// The engine's name.
    pub engine: String,
    /// The kernel's release.
    pub kernel: String,
    /// Every knob that has a value, and who gave it.
    pub policy: BTreeMap<Knob, Setting>,
    /// One row per promise, in the order of [`Promise::ALL`].
    pub promises: Vec<PromiseReport>,
    /// What was changed in the spec.
    pub changes: Vec<Change>,
    /// Annotations that differ from those at the start of the pod.
    pub differences: Vec<Difference>,
    /// What a reader should know beside the table.
    pub notes: Vec<String>,
    /// What the shim read from the kernel while the process was parked, in order.
    pub verified: Vec<Verified>,
}

impl Report {
    /// The schema's version.
    pub const VERSION: u32 = 1;
    /// The schema of the JSON form, as a JSON Schema (2020-12) with a description of every field.
    pub const SCHEMA: &str = include_str!("../report.schema.json");

    /// Whether what goes out is only watched: the container is confined in everything else, and its `egress` is NOT enforced.
    pub fn audits(&self) -> bool {
        let mode = self.policy.get(&Knob::Mode).is_some_and(|setting| setting.value == Mode::Audit.to_string());
        let egress = self.promises.iter().find(|row| row.promise == Promise::Egress);
        mode && egress.is_some_and(|row| row.state == State::NotKept)
    }
}

/// Which process of the container a report or an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The pod's pause container.
    Sandbox,
    /// A container's first process.
    Init,
    /// A process executed into the container.
    Exec,
    /// A program on this machine, without a container.
    Machine,
}

/// The value of one knob, as an annotation would write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    /// The value.
    pub value: String,
    /// Who gave it.
    pub source: Source,
}

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PromiseReport {
    /// Which promise.
    pub promise: Promise,
    /// How far it is kept.
    pub state: State,
    /// How far it had to be kept for the container to start.
    pub required: Level,
    /// The mechanisms that keep it.
    pub fences: Vec<FenceReport>,
    /// Why it is not fully kept, or what "kept" means here; may be empty.
    pub reason: String,
}

/// How far a promise is kept. The order is from bad to good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The policy does not ask for it.
    NotAsked,
    /// Nothing keeps it.
    NotKept,
    /// Something keeps it, and the reason says what is missing.
    Partly,
    /// It is kept.
    Kept,
}

/// One mechanism.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FenceReport {
    /// Which mechanism.
    pub fence: Fence,
    /// Whether it is applied to this process.
    pub applied: bool,
    /// What it does here, or why it is not applied; may be empty.
    pub detail: String,
}

/// The kernel mechanisms that keep promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fence {
    /// Five empty capability sets.
    Capabilities,
    /// no_new_privs.
    NoNewPrivs,
    /// The uid is not 0 on the node.
    Uid,
    /// Seccomp filters.
    Seccomp,
    /// Landlock's TCP rights.
    LandlockTcp,
    /// Landlock's scopes.
    LandlockScope,
    /// Landlock's file rights.
    LandlockFiles,
    /// Landlock's right to reach pathname unix sockets.
    LandlockUnix,
    /// Programs on the container's cgroup that see every packet.
    PacketFence,
    /// A resolver on the node that tells the container listed names only, and the packet fence their addresses.
    NameResolver,
    /// An IPC namespace and a /dev/shm of the container's own.
    PrivateIpc,
    /// A PID namespace of the container's own.
    PrivatePid,
    /// Mounts without write permission.
    ReadOnlyMounts,
    /// The launcher closes and checks descriptors.
    Launcher,
}

/// One change of the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// JSON pointer into config.json, or into the process of an exec.
    pub path: String,
    /// What was done and why, in a few words.
    pub what: String,
}

impl Change {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// One thing that the shim read from the kernel while the process was parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// What was read, for example `CapEff`.
    pub step: String,
    /// What the policy expects.
    pub expected: String,
    /// What the kernel shows.
    pub seen: String,
    /// Whether the two agree.
    pub holds: bool,
}
