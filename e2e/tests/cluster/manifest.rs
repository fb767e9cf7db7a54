//! Pods as their authors write them, and waiting for them.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::node;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A namespace. One that a test made enforces the restricted Pod Security Standard, and is deleted with this value.
pub struct Namespace<'c> {
    pub cluster: &'c Cluster,
    pub name: String,
    made: bool,
}

impl<'c> Namespace<'c> {
    pub fn new(cluster: &'c Cluster) -> io::Result<Self> {
        Self::with(cluster, json!({}), json!({}))
    }

    /// With more labels, and annotations.
    pub fn with(cluster: &'c Cluster, mut labels: Value, annotations: Value) -> io::Result<Self> {
        let name = format!("test-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        if labels.get("pod-security.kubernetes.io/enforce").is_none() {
            labels["pod-security.kubernetes.io/enforce"] = json!("restricted");
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": labels, "annotations": annotations },
        });
        cluster.apply(&namespace.to_string())?;
        // Without its account the API server admits no pod.
        let this = Self { cluster, name, made: true };
        this.until(Duration::from_secs(30), "the default service account", || {
            Ok(this.kubectl(&["get", "serviceaccount", "default"]).is_ok())
        })?;
        Ok(this)
    }

    /// One that is there already.
    pub fn of(cluster: &'c Cluster, name: &str) -> Self {
        Self { cluster, name: name.to_owned(), made: false }
    }

    pub fn kubectl(&self, arguments: &[&str]) -> io::Result<String> {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat(), "")
    }

    /// Creates an object; the error is what the person at the keyboard reads.
    pub fn create(&self, object: &Value) -> io::Result<String> {
        self.cluster.kubectl(&["-n", &self.name, "create", "-f", "-"], &object.to_string())
    }

    /// Creates a pod and waits until it is ready.
    pub fn run(&self, pod: &Value) -> io::Result<String> {
        self.create(pod)?;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", &format!("pod/{name}")])
            .map_err(|error| io::Error::other(format!("{error}\n{}", self.story(name))))
    }

    /// What `kubectl describe` tells about a pod.
    pub fn story(&self, pod: &str) -> String {
        self.kubectl(&["describe", "pod", pod]).unwrap_or_else(|error| error.to_string())
    }

    pub fn until(&self, limit: Duration, what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        while !holds()? {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{what}: not within {limit:?}")));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        let _ = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"], "");
    }
}

/// A pod that the restricted standard admits: busybox that sleeps, under our RuntimeClass, in platform mode.
pub fn restricted(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "annotations": { "network-enforcement": "platform" } },
        "spec": {
            "runtimeClassName": "zerocap",
            "terminationGracePeriodSeconds": 1,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container("main", &["sleep", "100000"])],
        },
    })
}

/// One container of such a pod.
pub fn container(name: &str, command: &[&str]) -> Value {
    json!({
        "name": name, "image": node::image("busybox"), "imagePullPolicy": "Never", "command": command,
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    })
}

/// With these annotations instead.
pub fn annotated(mut pod: Value, annotations: &[(&str, &str)]) -> Value {
    pod["metadata"]["annotations"] = annotations.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    pod
}
