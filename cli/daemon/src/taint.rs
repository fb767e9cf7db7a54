//! The startup taint: a node that an autoscaler adds may be registered with it, so that nothing is scheduled there too early. It goes as
//! soon as confined containers start there.

use serde::Deserialize;
use serde_json::{Value, json};

/// The key of the taint, with whatever value and effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupTaint(pub String);

/// A Node, as far as its taints matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    /// Kept as they are: they are written back.
    taints: Vec<Value>,
}

impl StartupTaint {
    /// A merge patch that takes it off this very version of a Node; none if the node has no such taint.
    ///
    /// A list is replaced as a whole by every kind of patch, so one that was changed meanwhile must not be written.
    #[must_use]
    pub fn patch(&self, node: &Node) -> Option<Value> {
        let ours = |taint: &Value| taint["key"] == self.0.as_str();
        if !node.spec.taints.iter().any(ours) {
            return None;
        }
        let rest: Vec<&Value> = node.spec.taints.iter().filter(|taint| !ours(taint)).collect();
        Some(json!({
            "metadata": { "resourceVersion": node.metadata.resource_version },
            "spec": { "taints": if rest.is_empty() { Value::Null } else { json!(rest) } },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: &Value) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n", "resourceVersion": "7" }, "spec": { "podCIDR": "10.0.0.0/24", "taints": taints },
        }))
        .unwrap()
    }

    fn taint() -> StartupTaint {
        StartupTaint("zerocap.io/not-ready".to_owned())
    }

    #[test]
    fn only_it_goes_and_only_from_what_was_read() {
        let other = json!({ "key": "gpu", "value": "a", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z" });
        let ours = json!({ "key": "zerocap.io/not-ready", "effect": "NoSchedule" });
        let twice = json!({ "key": "zerocap.io/not-ready", "effect": "NoExecute" });
        let patch = taint().patch(&node(&json!([ours, other, twice]))).unwrap();
        assert_eq!(patch, json!({ "metadata": { "resourceVersion": "7" }, "spec": { "taints": [other] } }));
        let patch = taint().patch(&node(&json!([ours]))).unwrap();
        assert_eq!(patch["spec"]["taints"], Value::Null);
    }

    #[test]
    fn a_node_without_it_is_left_alone() {
        assert_eq!(taint().patch(&node(&json!([{ "key": "gpu", "effect": "NoSchedule" }]))), None);
        assert_eq!(taint().patch(&Node::default()), None);
    }
}
