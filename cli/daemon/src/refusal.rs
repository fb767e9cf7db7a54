//! Starts that zerocap refused, as the kubelet repeats the shim's words.
//!
//! A container's refusal stands in its status. A sandbox's stands in an Event only. Only reasons that the kubelet and containerd
//! give are believed: a workload writes its own termination message.

use serde::Deserialize;
use zerocap_annotations::code;

use crate::pod::{ContainerStatus, Pod, Said};
use crate::text::bounded;

/// Reasons that stand beside the words of a runtime.
const REASONS: [&str; 4] = ["CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"];
/// The Event's reason when the kubelet could not make a sandbox.
pub const SANDBOX_REASON: &str = "FailedCreatePodSandBox";
/// Longest sentence that is passed on, in bytes.
const SENTENCE: usize = 800;

/// One refused start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which container; `None` is the pod's sandbox.
    pub container: Option<String>,
    /// The code, from the table.
    pub code: &'static str,
    /// `ZC0209: …`, bounded and safe for a terminal.
    pub sentence: String,
}

/// Events, as far as they matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Events {
    /// The Events.
    pub items: Vec<Told>,
}

/// One Event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    /// What it says.
    pub message: String,
}

impl Refusal {
    /// "container NAME", or "the sandbox".
    pub fn place(&self) -> String {
        match &self.container {
            Some(name) => format!("container {name}"),
            None => "the sandbox".to_owned(),
        }
    }

    /// Reads a refusal out of a runtime's words, which stand between those of the kubelet and containerd.
    fn read(container: Option<&str>, words: &str) -> Option<Self> {
        let (at, code) = words.match_indices("ZC").find_map(|(at, _)| {
            let code = words.get(at..at + 6)?;
            let entry = words.get(at + 6..)?.starts_with(": ").then(|| code::lookup(code))??;
            Some((at, entry.code.as_str()))
        })?;
        let sentence = words[at..].trim_end_matches(": unknown").trim_end_matches(": failed precondition");
        Some(Self { container: container.map(str::to_owned), code, sentence: bounded(sentence, SENTENCE) })
    }

    fn of_container(container: &ContainerStatus) -> Option<Self> {
        // One that runs now was not refused, whatever was before.
        if container.state.running.is_some() {
            return None;
        }
        let said = [&container.state.waiting, &container.state.terminated, &container.last_state.terminated];
        said.into_iter()
            .flatten()
            .filter(|said: &&Said| REASONS.contains(&said.reason.as_str()))
            .find_map(|said| Self::read(Some(&container.name), &said.message))
    }

    /// Every refused container of a pod.
    pub fn of_pod(pod: &Pod) -> Vec<Self> {
        pod.containers().filter_map(Self::of_container).collect()
    }

    /// The refusal of the sandbox, out of the pod's Events.
    pub fn of_sandbox(events: &Events) -> Option<Self> {
        events.items.iter().rev().find_map(|event| Self::read(None, &event.message))
    }
}

/// Whether a pod has been given to the node and has no sandbox, so that its Events may say why.
pub fn has_no_sandbox(pod: &Pod) -> bool {
    let ready = pod.condition("PodReadyToStartContainers").map(|condition| condition.status.as_str());
    pod.status.phase == "Pending" && ready == Some("False")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn refused(state: serde_json::Value) -> Vec<Refusal> {
        let pod = json!({ "status": { "containerStatuses": [{ "name": "main", "state": state }] } });
        Refusal::of_pod(&from_value(pod).unwrap())
    }

    #[test]
    fn the_shims_words_are_found_between_others() {
        let words =
            "failed to create containerd task: failed to create shim task: ZC0501: no fence; use another node: unknown";
        let found = refused(json!({ "waiting": { "reason": "CreateContainerError", "message": words } }));
        assert_eq!(found[0].code, "ZC0501");
        assert_eq!(found[0].sentence, "ZC0501: no fence; use another node");
        assert_eq!(found[0].place(), "container main");
        assert_eq!(refused(json!({ "terminated": { "reason": "StartError", "message": words } })).len(), 1);
    }

    #[test]
    fn a_workloads_own_words_are_no_refusal() {
        let words = "ZC0501: forged";
        assert_eq!(refused(json!({ "terminated": { "reason": "Error", "message": words } })), []);
        assert_eq!(refused(json!({ "running": {} })), []);
        let waiting =
            |message: &str| refused(json!({ "waiting": { "reason": "RunContainerError", "message": message } }));
        assert_eq!(waiting("ZC9999: no such code"), []);
        assert_eq!(waiting("ZC05"), []);
        assert_eq!(waiting("ZC05ä1: x"), []);
    }

    #[test]
    fn the_sandboxs_refusal_is_in_the_last_event() {
        let events: Events =
            from_value(json!({ "items": [{ "message": "ZC0102: old" }, { "message": "rpc error: ZC0209: x" }] }))
                .unwrap();
        let found = Refusal::of_sandbox(&events).unwrap();
        assert_eq!((found.code, found.place().as_str()), ("ZC0209", "the sandbox"));
    }
}
