//! The policy of a pod, frozen when its sandbox is created.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Policy;
use super::resolve::{Looser, Resolved, Resolver};
use crate::code;
use crate::error::ZcError;
use crate::floor::{Demands, Floor};
use crate::grammar::{self, Written};

/// The annotation in which the CRI gives the pod's namespace.
pub const NAMESPACE_ANNOTATION: &str = "io.kubernetes.cri.sandbox-namespace";
/// The annotation in which the CRI gives the container's name.
pub const CONTAINER_ANNOTATION: &str = "io.kubernetes.cri.container-name";

/// What the annotations and the floor said when the pod's sandbox was created. Later annotations may only tighten it.
///
/// Serialises to JSON, for the state directory; [`PodPolicy::from_json`] checks the version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PodPolicy {
    version: u32,
    namespace: String,
    annotations: BTreeMap<String, String>,
    demands: Demands,
    host_network: bool,
    host_pid: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ipc_sysctls: BTreeMap<String, String>,
}

impl PodPolicy {
    /// Version of the serialised form.
    pub const VERSION: u32 = 1;

    /// Reads and checks the annotations of a pod's sandbox. The pod's namespace is among them, as the CRI gives it
    /// ([`NAMESPACE_ANNOTATION`]).
    ///
    /// # Errors
    /// ZC01xx and ZC02xx: what is wrong with the annotations, or what the floor does not permit.
    pub fn new(sandbox_annotations: &BTreeMap<String, String>, floor: &Floor) -> Result<Self, ZcError> {
        let namespace = sandbox_annotations.get(NAMESPACE_ANNOTATION).cloned().unwrap_or_default();
        let written = grammar::collect(sandbox_annotations)?;
        let ours = |(key, _): &(&String, &String)| grammar::is_ours(key);
        let frozen = Self {
            version: Self::VERSION,
            annotations: sandbox_annotations.iter().filter(ours).map(|(k, v)| (k.clone(), v.clone())).collect(),
            demands: floor.demands(&namespace),
            namespace,
            host_network: false,
            host_pid: false,
            ipc_sysctls: BTreeMap::new(),
        };
        frozen.resolver(&written, Looser::Refuse).pod()?;
        Ok(frozen)
    }

    /// As [`PodPolicy::new`], from the sandbox's config.json: its annotations, and what only the sandbox's spec shows: whether
    /// the pod shares the node's network and processes, and the sysctls of its IPC namespace.
    ///
    /// # Errors
    /// As [`PodPolicy::new`], and ZC0301 where the annotations are no map of strings.
    pub fn from_sandbox(spec: &Value, floor: &Floor) -> Result<Self, ZcError> {
        let mut pod = Self::new(&annotations_of(spec)?, floor)?;
        let namespaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
        let lacks = |kind: &str| {
            !namespaces.is_some_and(|all| all.iter().any(|ns| ns.get("type").and_then(Value::as_str) == Some(kind)))
        };
        pod.host_network = lacks("network");
        pod.host_pid = lacks("pid");
        if !lacks("ipc") {
            pod.ipc_sysctls = ipc_sysctls(spec);
        }
        Ok(pod)
    }

    /// Reads the form that was written to the state directory.
    ///
    /// # Errors
    /// ZC0903 for another version, ZC0902 for anything else that is wrong with it.
    pub fn from_json(json: &str) -> Result<Self, ZcError> {
        let broken = |error: serde_json::Error| {
            ZcError::new(
                code::node::STATE_READ,
                format!("the frozen policy does not parse: {error}"),
                "delete the pod and start it again",
            )
        };
        let value: Value = serde_json::from_str(json).map_err(broken)?;
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(Self::VERSION) => serde_json::from_value(value).map_err(broken),
            Some(version) => Err(ZcError::new(
                code::node::STATE_VERSION,
                format!("the frozen policy has version {version}, this zerocap knows {}", Self::VERSION),
                "use the zerocap that wrote it, or delete the pod and start it again",
            )),
            None => Err(ZcError::new(
                code::node::STATE_READ,
                "the frozen policy has no version",
                "delete the pod and start it again",
            )),
        }
    }

    /// The Kubernetes namespace; empty outside Kubernetes.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether platform mode holds for the pod as a whole.
    ///
    /// # Errors
    /// As [`PodPolicy::sandbox`].
    pub fn platform(&self) -> Result<bool, ZcError> {
        Ok(self.sandbox()?.platform())
    }

    /// The pod-wide policy, which holds for the pause container.
    ///
    /// # Errors
    /// None for a policy that [`PodPolicy::new`] made; ZC01xx and ZC02xx for one that was changed on disk.
    pub fn sandbox(&self) -> Result<Policy, ZcError> {
        let written = grammar::collect(&self.annotations)?;
        let resolved = self.resolver(&written, Looser::Refuse).pod()?;
        Ok(self.policy("", resolved))
    }

    /// The policy of one container, given the annotations that its spec has *now*. What is stricter now holds, what is
    /// looser is ignored; both are reported by [`Policy::differences`].
    ///
    /// # Errors
    /// ZC01xx and ZC02xx: the annotations are malformed now. ZC0315: the pod has exceptions, and the container no name.
    pub fn container(&self, name: &str, annotations_now: &BTreeMap<String, String>) -> Result<Policy, ZcError> {
        let frozen = grammar::collect(&self.annotations)?;
        if name.is_empty() && !frozen.exceptions.is_empty() {
            return Err(ZcError::new(
                code::spec::NO_CONTAINER_NAME,
                format!("the pod has exceptions per container, and the spec has no annotation {CONTAINER_ANNOTATION}"),
                "start the container through the CRI",
            ));
        }
        let resolver = self.resolver(&frozen, Looser::Refuse);
        resolver.pod()?;
        let mut policy = self.policy(name, resolver.container(name)?);
        let now = grammar::collect(annotations_now)?;
        if now != frozen {
            let resolver = self.resolver(&now, Looser::Clamp);
            resolver.pod()?;
            let later = self.policy(name, resolver.container(name)?);
            policy.tighten(&later);
        }
        Ok(policy)
    }

    /// The policy of the container whose config.json this is: its name and annotations are taken from the spec.
    ///
    /// # Errors
    /// As [`PodPolicy::container`], and ZC0301 where the annotations are no map of strings.
    pub fn container_of(&self, spec: &Value) -> Result<Policy, ZcError> {
        let annotations = annotations_of(spec)?;
        let name = annotations.get(CONTAINER_ANNOTATION).map_or("", String::as_str);
        self.container(name, &annotations)
    }

    fn resolver<'a>(&'a self, written: &'a Written, looser: Looser) -> Resolver<'a> {
        Resolver { written, demands: &self.demands, looser }
    }

    fn policy(&self, container: &str, resolved: Resolved) -> Policy {
        Policy {
            container: container.to_owned(),
            settings: resolved.settings,
            sources: resolved.sources,
            differences: Vec::new(),
            names: self.demands.names.clone(),
            host_network: self.host_network,
            host_pid: self.host_pid,
            ipc_sysctls: self.ipc_sysctls.clone(),
        }
    }
}

/// The sysctls of a spec that belong to an IPC namespace: those of ipc/ipc_sysctl.c and ipc/mq_sysctl.c in the kernel that engines
/// write.
fn ipc_sysctls(spec: &Value) -> BTreeMap<String, String> {
    const NAMES: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    let of_ipc = |key: &str| {
        key.starts_with("fs.mqueue.") || key.strip_prefix("kernel.").is_some_and(|name| NAMES.contains(&name))
    };
    let all = spec.pointer("/linux/sysctl").and_then(Value::as_object).into_iter().flatten();
    all.filter(|(key, _)| of_ipc(key))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The annotations of a config.json.
fn annotations_of(spec: &Value) -> Result<BTreeMap<String, String>, ZcError> {
    let shape = || {
        ZcError::new(code::spec::SHAPE, "/annotations is no map of strings", "correct the program that wrote the spec")
    };
    match spec.get("annotations") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => {
            map.iter().map(|(key, value)| Ok((key.clone(), value.as_str().ok_or_else(shape)?.to_owned()))).collect()
        }
        Some(_) => Err(shape()),
    }
}
