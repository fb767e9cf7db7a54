//! The policies of this shim's pods, fixed when their sandboxes were created.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;
use zerocap_annotations::{Floor, Host, PodPolicy, Policy, Target, ZcError, code};
use zerocap_node::floor::{self, FLOOR_FILE};
use zerocap_node::state::{Document, Store};
use zerocap_node::{Abilities, engine::traits, probe};

use crate::engine::Kind;

/// The annotation in which the CRI says what a container is.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";
/// The annotation in which the CRI says whose container it is.
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";

/// The handler's options that say where the floor comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct FloorOptions {
    /// Name of a built-in floor, or empty.
    pub(crate) builtin: String,
    /// The floor file, or empty for the usual one.
    pub(crate) file: String,
}

/// The frozen policies, and what is known of the node.
pub(crate) struct Policies {
    namespace: String,
    store: Store,
    pods: Mutex<HashMap<String, Arc<PodPolicy>>>,
    abilities: OnceLock<Abilities>,
}

impl Policies {
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            store: Store::of_node(),
            pods: Mutex::default(),
            abilities: OnceLock::new(),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The frozen policy of the pod with that sandbox.
    pub(super) fn pod(&self, sandbox: &str) -> Option<Arc<PodPolicy>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).get(sandbox).cloned()
    }

    /// Forgets a pod whose sandbox is gone.
    pub(crate) fn forget(&self, sandbox: &str) {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(sandbox);
    }

    /// What a spec is, and the policy that holds for it. A sandbox freezes its pod's policy here.
    pub(super) fn policy_of(
        &self,
        id: &str,
        spec: &Value,
        floor: &FloorOptions,
    ) -> Result<(Target<'static>, Policy), ZcError> {
        let annotation = |key: &str| spec.get("annotations")?.get(key)?.as_str();
        match annotation(CONTAINER_TYPE) {
            Some("sandbox") => {
                let pod = Arc::new(PodPolicy::from_sandbox(spec, &floor.load()?)?);
                let policy = pod.sandbox()?;
                self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), pod);
                Ok((Target::Sandbox, policy))
            }
            Some("container") => {
                let sandbox = sandbox_of(spec).unwrap_or_default();
                Ok((Target::Init, self.frozen(sandbox)?.container_of(spec)?))
            }
            // Not through the CRI: a container that is a pod of its own.
            _ => {
                let pod = PodPolicy::from_sandbox(spec, &floor.load()?)?;
                Ok((Target::Init, pod.container_of(spec)?))
            }
        }
    }

    /// The policy that was frozen for a pod, by this shim or by another one.
    fn frozen(&self, sandbox: &str) -> Result<Arc<PodPolicy>, ZcError> {
        if let Some(pod) = self.pod(sandbox) {
            return Ok(pod);
        }
        let missing = || {
            ZcError::new(
                code::node::STATE_READ,
                "the policy that was frozen for the container's pod is unknown",
                "delete the pod and start it again",
            )
        };
        let bytes = self.store.container(&self.namespace, sandbox)?.read(Document::Policy)?.ok_or_else(missing)?;
        let text = String::from_utf8(bytes).map_err(|_| missing())?;
        PodPolicy::from_json(&text).map(Arc::new)
    }

    /// The node as the translation must know it, with that engine.
    pub(super) fn host(&self, engine: Kind, launcher_dir: PathBuf, files_dir: PathBuf) -> Result<Host, ZcError> {
        let abilities = match self.abilities.get() {
            Some(known) => known,
            None => {
                let found = probe(&self.store)?;
                self.abilities.get_or_init(|| found)
            }
        };
        abilities.host(traits(engine.name()), launcher_dir, files_dir)
    }
}

/// The id of the sandbox that a container's spec names.
pub(super) fn sandbox_of(spec: &Value) -> Option<&str> {
    spec.get("annotations")?.get(SANDBOX_ID)?.as_str()
}

impl FloorOptions {
    fn load(&self) -> Result<Floor, ZcError> {
        let file = if self.file.is_empty() { FLOOR_FILE } else { &self.file };
        let floor = floor::load(file.as_ref())?;
        match self.builtin.as_str() {
            "" | "none" => Ok(floor),
            name => floor.and_builtin(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(kind: &str, enforcement: Option<&str>) -> Value {
        let mut spec = json!({
            "annotations": { CONTAINER_TYPE: kind, SANDBOX_ID: "s" },
            "linux": { "namespaces": [{"type": "network"}, {"type": "pid"}] },
        });
        if let Some(mode) = enforcement {
            spec["annotations"]["network-enforcement"] = json!(mode);
        }
        spec
    }

    fn options() -> FloorOptions {
        FloorOptions { builtin: String::new(), file: "/nonexistent/floor.toml".into() }
    }

    #[test]
    fn the_policy_is_the_sandboxs_whatever_is_annotated_later() {
        let policies = Policies::new("k8s.io");
        let (target, sandbox) = policies.policy_of("s", &spec("sandbox", Some("platform")), &options()).unwrap();
        assert_eq!(target, Target::Sandbox);
        assert!(sandbox.platform());
        let (target, container) = policies.policy_of("c", &spec("container", None), &options()).unwrap();
        assert_eq!(target, Target::Init);
        assert!(container.platform(), "removing the annotation loosens nothing");
    }

    #[test]
    fn a_container_of_an_unknown_pod_is_refused() {
        let mut policies = Policies::new("k8s.io");
        let root = tempfile::tempdir().unwrap();
        policies.store = Store::at(root.path());
        let error = policies.policy_of("c", &spec("container", None), &options()).unwrap_err();
        assert_eq!(error.code, code::node::STATE_READ);
    }

    #[test]
    fn a_builtin_floor_needs_no_annotation() {
        let policies = Policies::new("k8s.io");
        let floor = FloorOptions { builtin: "platform".into(), ..options() };
        assert!(policies.policy_of("s", &spec("sandbox", None), &floor).unwrap().1.platform());
        let floor = FloorOptions { builtin: "platfrom".into(), ..options() };
        assert!(policies.policy_of("s", &spec("sandbox", None), &floor).is_err());
    }
}
