//! Events on a pod: what `kubectl describe pod` shows at its end.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zerocap_node::refusals::Distinct;

use crate::pod::Pod;
use crate::refusal::Refusal;
use crate::text::bounded;

/// Who says it.
pub const CONTROLLER: &str = "zerocap.io/node";
/// The API server takes no longer note, in bytes.
const NOTE: usize = 1024;
/// An Event's name begins with the pod's, cut here; the API server takes 253 bytes.
const NAME: usize = 200;

/// Something that was refused to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// One word for `kubectl describe`.
    pub reason: &'static str,
    /// What tells two refusals of one pod apart: container and rule.
    pub key: String,
    /// What was refused, by which rule, and what would permit it.
    pub note: String,
    /// The same, field by field, for the log.
    pub fields: Value,
}

impl Refused {
    /// A start that was refused.
    pub fn start(refusal: &Refusal) -> Self {
        Self {
            reason: "ZerocapRefused",
            key: format!("{:?}/{}", refusal.container, refusal.code),
            note: format!(
                "{} was not started: {} (zerocap explain {})",
                refusal.place(),
                refusal.sentence,
                refusal.code
            ),
            fields: json!({ "container": refusal.container, "rule": refusal.code, "message": refusal.sentence }),
        }
    }

    /// What the packet fence refused to a container, or would have refused were it not only watching.
    pub fn by_fence(container: &str, first: &Distinct) -> Self {
        let permit = first.permit.as_ref().map(|permit| (format!("zerocap.io/{}", permit.knob), &permit.entry));
        let how = match &permit {
            Some((knob, entry)) => format!("to permit it, add {entry} to {knob}"),
            None => "no annotation permits it".to_owned(),
        };
        let (reason, what) =
            if first.refused { ("ZerocapBlocked", "was refused") } else { ("ZerocapWouldBlock", "would be refused") };
        let rule = first.rule.name();
        Self {
            reason,
            key: format!("{container:?}/{rule}"),
            note: format!(
                "container {container}: {} {what} ({}), asked for by a process that calls itself {:?}; {how}",
                first.destination,
                first.rule.words(),
                first.process
            ),
            fields: json!({
                "container": container, "rule": rule, "destination": first.destination, "hook": first.hook,
                "process": first.process, "permit": permit.map(|(knob, entry)| json!({ "annotation": knob, "entry": entry })),
            }),
        }
    }

    /// A name that the same refusal of the same pod has again, so that a daemon that starts anew tells nothing twice.
    pub fn name(&self, pod: &Pod) -> String {
        let digest = Sha256::digest(format!("{}\0{}\0{}", pod.metadata.uid, self.reason, self.key));
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let stem: String = pod.metadata.name.chars().take(NAME).collect();
        format!("{}.zerocap-{digest}", stem.trim_end_matches(['.', '-']))
    }

    /// The Event.
    pub fn event(&self, pod: &Pod, node: &str, now: &str) -> Value {
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": { "name": self.name(pod), "namespace": pod.metadata.namespace },
            "eventTime": now, "type": "Warning", "reason": self.reason, "action": "Refuse",
            "note": bounded(&self.note, NOTE),
            "reportingController": CONTROLLER, "reportingInstance": node,
            "regarding": {
                "apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "namespace": pod.metadata.namespace,
                "uid": pod.metadata.uid,
            },
        })
    }

    /// The line in the log.
    pub fn record(&self, pod: &Pod, node: &str) -> Value {
        let mut fields = self.fields.clone();
        for (key, value) in [
            ("reason", self.reason),
            ("pod-uid", &pod.metadata.uid),
            ("namespace", &pod.metadata.namespace),
            ("pod", &pod.metadata.name),
            ("node", node),
        ] {
            fields[key] = json!(value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_destination_comes_with_what_permits_it() {
        let first = |refused: bool, permit: Value| -> Distinct {
            serde_json::from_value(json!({
                "hook": "connect", "destination": "tcp://10.0.0.1:443", "refused": refused, "rule": "egress", "permit": permit,
                "times": 1, "first": "t", "last": "t", "process": "a\\x1b[31m", "pid": null,
            }))
            .unwrap()
        };
        let blocked = Refused::by_fence("main", &first(true, json!({ "knob": "egress", "entry": "10.0.0.1:443" })));
        assert_eq!(blocked.reason, "ZerocapBlocked");
        assert!(blocked.note.starts_with("container main: tcp://10.0.0.1:443 was refused (egress does not name it)"));
        assert!(blocked.note.ends_with("to permit it, add 10.0.0.1:443 to zerocap.io/egress"), "{}", blocked.note);
        assert_eq!(blocked.fields["permit"], json!({ "annotation": "zerocap.io/egress", "entry": "10.0.0.1:443" }));
        let watched = Refused::by_fence("main", &first(false, json!(null)));
        assert_eq!((watched.reason, watched.key == blocked.key), ("ZerocapWouldBlock", true));
        assert!(watched.note.contains("would be refused") && watched.note.ends_with("no annotation permits it"));
    }

    #[test]
    fn the_same_refusal_has_the_same_name() {
        let mut pod = Pod::default();
        pod.metadata.name = "x".repeat(253);
        pod.metadata.uid = "u".into();
        let refusal = Refusal { container: None, code: "ZC0209", sentence: format!("ZC0209: {}", "y\n".repeat(5000)) };
        let refused = Refused::start(&refusal);
        let (first, again) = (refused.event(&pod, "n", "t"), refused.event(&pod, "n", "t"));
        assert_eq!(first, again);
        let name = first["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253 && name.starts_with("xxx"), "{name}");
        let note = first["note"].as_str().unwrap();
        assert!(note.len() <= NOTE && !note.contains('\n'), "{note}");
        pod.metadata.uid = "v".into();
        assert_ne!(refused.name(&pod), name);
    }
}
