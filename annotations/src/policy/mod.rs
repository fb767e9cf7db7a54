//! What holds for one pod and one container: annotations and floor together.

mod pod;
mod resolve;
mod tighten;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use pod::{CONTAINER_ANNOTATION, NAMESPACE_ANNOTATION, PodPolicy};
pub use tighten::{Difference, Effect};

use crate::floor::NameNetworks;
use crate::knob::{Filesystem, Knob, Listen, Mode, NetworkEnforcement, Presets, ProxyPort, Require, Settings, Unix};

/// Who gave a knob its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from", content = "name")]
pub enum Source {
    /// Nobody: the built-in default.
    Default,
    /// The mode: platform mode demands it, or the cluster has the network.
    Mode,
    /// A default of the floor file or of the handler.
    FloorDefault,
    /// A ceiling of the floor file or of the handler, stricter than what would hold without it.
    FloorCeiling,
    /// The named policy of the floor file.
    Policy(String),
    /// The pod-wide annotation of this key.
    Annotation(String),
    /// The container's exception of this key.
    Exception(String),
}

/// The typed, validated result of floor and annotations for one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// Name of the container in its pod; empty for the pause container and outside Kubernetes.
    container: String,
    /// Every knob that has a value. Those with a default always have one.
    settings: Settings,
    /// Who gave each value.
    sources: BTreeMap<Knob, Source>,
    /// Where the annotations differ from those at the start of the pod.
    differences: Vec<Difference>,
    /// What names in `egress` may resolve to.
    #[serde(default)]
    names: NameNetworks,
    /// The pod shares the node's network (seen at its sandbox).
    #[serde(default)]
    host_network: bool,
    /// The pod shares the node's PID namespace (seen at its sandbox).
    #[serde(default)]
    host_pid: bool,
    /// The sysctls of the pod's IPC namespace (seen at its sandbox), for containers that get one of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ipc_sysctls: BTreeMap<String, String>,
}

impl Policy {
    /// Name of the container in its pod; empty for the pause container and outside Kubernetes.
    pub fn container_name(&self) -> &str {
        &self.container
    }

    /// Whether anything is to be enforced, so that the launcher is needed. Otherwise the spec stays untouched.
    pub fn active(&self) -> bool {
        self.platform()
            || self.files_asked()
            || self.unix() != Unix::Any
            || !self.presets().0.is_empty()
            || self.settings.seccomp_deny.is_some()
            || self.settings.seccomp_allow.is_some()
            || self.require() != &Require::Mode
    }

    /// Whether platform mode holds.
    pub fn platform(&self) -> bool {
        self.settings.network_enforcement == Some(NetworkEnforcement::Platform)
    }

    /// The loopback port of the proxy.
    pub fn proxy_port(&self) -> u16 {
        self.settings.proxy_port.unwrap_or_default().0
    }

    /// Ports to bind and listen on.
    pub fn listen(&self) -> &Listen {
        const NONE: &Listen = &Listen::none();
        self.settings.listen.as_ref().unwrap_or(NONE)
    }

    /// Seccomp presets.
    pub fn presets(&self) -> &Presets {
        const NONE: &Presets = &Presets(std::collections::BTreeSet::new());
        self.settings.seccomp.as_ref().unwrap_or(NONE)
    }

    /// Whether nothing but writable volumes may be written.
    pub fn read_only(&self) -> bool {
        self.settings.filesystem == Some(Filesystem::ReadOnly)
    }

    /// Whether any knob asks for the promise `files`.
    pub fn files_asked(&self) -> bool {
        let settings = &self.settings;
        self.read_only() || settings.fs_read.is_some() || settings.fs_write.is_some() || settings.fs_execute.is_some()
    }

    /// Which unix sockets may be reached.
    pub fn unix(&self) -> Unix {
        self.settings.unix.unwrap_or(Unix::Any)
    }

    /// Promises that must be kept.
    pub fn require(&self) -> &Require {
        const MODE: &Require = &Require::Mode;
        self.settings.require.as_ref().unwrap_or(MODE)
    }

    /// Whether what goes out is only to be watched. It is where there is a packet fence; elsewhere everything is enforced.
    pub fn audit(&self) -> bool {
        self.settings.mode == Some(Mode::Audit)
    }

    /// Every knob's value.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who gave each value.
    pub fn sources(&self) -> &BTreeMap<Knob, Source> {
        &self.sources
    }

    /// Where the annotations differ from those at the start of the pod, and what came of it.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// What names in `egress` may resolve to.
    pub fn name_networks(&self) -> &NameNetworks {
        &self.names
    }

    /// Whether the pod's sandbox was seen to share the node's network.
    pub(crate) fn host_network(&self) -> bool {
        self.host_network
    }

    /// The sysctls of the pod's IPC namespace.
    pub(crate) fn ipc_sysctls(&self) -> &BTreeMap<String, String> {
        &self.ipc_sysctls
    }

    /// Whether the pod's sandbox was seen to share the node's PID namespace.
    pub(crate) fn host_pid(&self) -> bool {
        self.host_pid
    }

    /// A policy of these values, for tests.
    #[cfg(test)]
    pub(crate) fn of_settings(settings: Settings) -> Self {
        Self {
            container: String::new(),
            settings,
            sources: BTreeMap::new(),
            differences: Vec::new(),
            names: NameNetworks::default(),
            host_network: false,
            host_pid: false,
            ipc_sysctls: BTreeMap::new(),
        }
    }

    /// The values that hold where nobody writes a knob, for a mode.
    pub(crate) fn defaults(mode: NetworkEnforcement) -> Settings {
        let platform = mode == NetworkEnforcement::Platform;
        Settings {
            network_enforcement: Some(mode),
            proxy_port: Some(ProxyPort::default()),
            listen: Some(if platform { Listen::none() } else { Listen::Any }),
            seccomp: Some(if platform { Presets::general() } else { Presets::default() }),
            filesystem: Some(Filesystem::Image),
            unix: Some(if platform { Unix::Container } else { Unix::Any }),
            require: Some(Require::Mode),
            mode: Some(Mode::Enforce),
            ..Settings::default()
        }
    }
}
