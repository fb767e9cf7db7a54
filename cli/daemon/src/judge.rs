//! The pod condition `zerocap.io/Enforced`.
//!
//! | status | reason | when |
//! |---|---|---|
//! | True | Confined | every container that runs is confined and verified, but those that an exception leaves alone |
//! | False | NoReport | zerocap did not start a container that runs |
//! | False | NothingAsked | the pod has our RuntimeClass, and neither annotation nor floor asks for anything |
//! | False | NotVerified | a container runs and was not looked at while it was parked |
//! | False | Mismatch | the kernel showed something else than was expected |
//! | False | ForeignReport | the report that the pod's status points at is another container's |
//! | False | Unreadable | the state directory cannot be read |
//! | False | Refused | zerocap refused to start a container, or the pod's sandbox |
//!
//! Nothing is said of a pod that does not concern zerocap, and nothing new while no container runs and none was refused.

use crate::evidence::Evidence;
use crate::pod::{Condition, Pod};
use crate::refusal::Refusal;
use crate::text::bounded;

/// The condition's type.
pub const CONDITION: &str = "zerocap.io/Enforced";
/// Longest message, in bytes.
const MESSAGE: usize = 1024;

/// What is to be said of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// True or False.
    pub enforced: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence, bounded and safe for a terminal.
    pub message: String,
}

impl Judgement {
    fn no(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self { enforced: false, reason, message: bounded(message.as_ref(), MESSAGE) }
    }

    /// "True" or "False".
    pub const fn status(&self) -> &'static str {
        if self.enforced { "True" } else { "False" }
    }

    /// The condition that says so.
    pub fn condition(&self) -> Condition {
        Condition {
            kind: CONDITION.to_owned(),
            status: self.status().to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
        }
    }
}

/// Whether a pod concerns zerocap: it has our annotation, one of our RuntimeClasses, or waits for the condition.
pub fn concerns(pod: &Pod, classes: &[String]) -> bool {
    pod.is_annotated()
        || pod.spec.runtime_class_name.as_ref().is_some_and(|class| classes.contains(class))
        || pod.spec.readiness_gates.iter().any(|gate| gate.condition_type == CONDITION)
}

/// Judges a pod by what is known of each container that runs, and by the starts that were refused.
pub fn judge(
    pod: &Pod,
    classes: &[String],
    running: &[(&str, Evidence)],
    refused: Option<&Refusal>,
) -> Option<Judgement> {
    let started_by_us = running.iter().any(|(_, evidence)| *evidence != Evidence::Missing);
    if !concerns(pod, classes) && !started_by_us {
        return None;
    }
    if let Some(worst) = running.iter().find_map(|(name, evidence)| objection(pod, name, evidence)) {
        return Some(worst);
    }
    if let Some(refusal) = refused {
        return Some(Judgement::no("Refused", format!("{}: {}", refusal.place(), refusal.sentence)));
    }
    let mut words = Vec::new();
    let mut confined = false;
    for (name, evidence) in running {
        match evidence {
            Evidence::Confined(summary) => {
                confined = true;
                words.push(format!("{name}: {summary}"));
            }
            _ => words.push(format!("{name}: left alone by an exception")),
        }
    }
    if running.is_empty() {
        return None;
    }
    let message = words.join("; ");
    Some(if confined {
        Judgement { enforced: true, reason: "Confined", message: bounded(&message, MESSAGE) }
    } else {
        Judgement::no("NothingAsked", format!("nothing is enforced in any container that runs; {message}"))
    })
}

/// What speaks against a container.
fn objection(pod: &Pod, name: &str, evidence: &Evidence) -> Option<Judgement> {
    Some(match evidence {
        Evidence::Confined(_) | Evidence::Excepted => return None,
        Evidence::Missing if pod.is_annotated() => Judgement::no(
            "NoReport",
            format!(
                "container {name} runs UNCONFINED: zerocap did not start it; set runtimeClassName, and pod_annotations of the handler"
            ),
        ),
        Evidence::Missing => Judgement::no(
            "NothingAsked",
            format!(
                "container {name} runs UNCONFINED: no annotation asks for anything; add network-enforcement: platform"
            ),
        ),
        Evidence::NotVerified => {
            Judgement::no("NotVerified", format!("container {name} runs, and was not verified while it was parked"))
        }
        Evidence::Audited => {
            Judgement::no("Audit", format!("container {name}: mode is audit, its egress is counted and NOT enforced"))
        }
        Evidence::Mismatch(step) => Judgement::no("Mismatch", format!("container {name}: {step}")),
        Evidence::Foreign => Judgement::no(
            "ForeignReport",
            format!("container {name}: the report under its id belongs to another pod or container"),
        ),
        Evidence::Unreadable(error) => Judgement::no("Unreadable", format!("container {name}: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn pod(change: Value) -> Pod {
        let mut pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u", "annotations": { "network-enforcement": "platform" } },
            "spec": { "runtimeClassName": "zerocap" }, "status": { "phase": "Running" },
        });
        for (key, value) in change.as_object().into_iter().flatten() {
            pod[key] = value.clone();
        }
        from_value(pod).unwrap()
    }

    fn confined() -> Evidence {
        Evidence::Confined("platform mode, 7 kept".into())
    }

    fn judged(pod: &Pod, running: &[(&str, Evidence)]) -> Option<(bool, &'static str)> {
        judge(pod, &["zerocap".into()], running, None).map(|judgement| (judgement.enforced, judgement.reason))
    }

    #[test]
    fn true_only_if_each_container_is_confined() {
        let pod = pod(json!({}));
        assert_eq!(judged(&pod, &[("a", confined())]), Some((true, "Confined")));
        assert_eq!(judged(&pod, &[("a", confined()), ("b", Evidence::Excepted)]), Some((true, "Confined")));
        for (evidence, reason) in [
            (Evidence::Missing, "NoReport"),
            (Evidence::Audited, "Audit"),
            (Evidence::NotVerified, "NotVerified"),
            (Evidence::Mismatch("CapEff".into()), "Mismatch"),
            (Evidence::Foreign, "ForeignReport"),
            (Evidence::Unreadable("damaged".into()), "Unreadable"),
        ] {
            assert_eq!(judged(&pod, &[("a", confined()), ("b", evidence.clone())]), Some((false, reason)));
            assert_eq!(judged(&pod, &[("b", evidence), ("a", confined())]), Some((false, reason)));
        }
        assert_eq!(judged(&pod, &[("a", Evidence::Excepted)]), Some((false, "NothingAsked")));
        assert_eq!(judged(&pod, &[]), None);
    }

    #[test]
    fn only_pods_that_concern_zerocap() {
        let foreign = pod(json!({ "metadata": { "name": "p" }, "spec": {} }));
        assert_eq!(judged(&foreign, &[("a", Evidence::Missing)]), None);
        let gated =
            pod(json!({ "metadata": {}, "spec": { "readinessGates": [{ "conditionType": "zerocap.io/Enforced" }] } }));
        assert_eq!(judged(&gated, &[("a", Evidence::Missing)]), Some((false, "NothingAsked")));
        let by_class = pod(json!({ "metadata": {} }));
        assert_eq!(judged(&by_class, &[("a", Evidence::Missing)]), Some((false, "NothingAsked")));
        // A floor confined a pod that asked for nothing.
        assert_eq!(judged(&foreign, &[("a", confined())]), Some((true, "Confined")));
        let misspelt = pod(json!({ "metadata": { "annotations": { "Zerocap.io/listen": "80" } }, "spec": {} }));
        assert_eq!(judged(&misspelt, &[("a", Evidence::Missing)]), Some((false, "NoReport")));
    }

    #[test]
    fn a_refusal_is_said_and_hides_nothing_worse() {
        let pod = pod(json!({}));
        let refusal = Refusal { container: Some("b".into()), code: "ZC0209", sentence: "ZC0209: no".into() };
        let judged = |running: &[_]| judge(&pod, &[], running, Some(&refusal)).unwrap();
        assert_eq!(judged(&[]).message, "container b: ZC0209: no");
        assert_eq!(judged(&[("a", confined())]).reason, "Refused");
        assert_eq!(judged(&[("a", Evidence::Missing)]).reason, "NoReport");
    }

    #[test]
    fn the_patch_touches_one_condition() {
        let mut pod = pod(json!({}));
        let judgement = judge(&pod, &[], &[("a", confined())], None).unwrap();
        let patch = judgement.condition().patch(&pod, "2026-01-01T00:00:00Z");
        assert_eq!(
            patch,
            json!({ "metadata": { "uid": "u" }, "status": { "conditions": [{
                "type": CONDITION, "status": "True", "reason": "Confined", "message": "a: platform mode, 7 kept",
                "lastTransitionTime": "2026-01-01T00:00:00Z" }] } })
        );
        pod.status.conditions =
            vec![Condition { kind: CONDITION.into(), status: "True".into(), ..Condition::default() }];
        assert!(!judgement.condition().is_told_by(pod.condition(CONDITION)), "another message");
        assert!(
            judgement.condition().patch(&pod, "now")["status"]["conditions"][0].get("lastTransitionTime").is_none()
        );
    }

    #[test]
    fn hostile_words_are_bounded() {
        let pod = pod(json!({}));
        let seen = format!("CapEff\n\u{1b}]0;{}", "x".repeat(100_000));
        let judgement = judge(&pod, &[], &[("a", Evidence::Mismatch(seen))], None).unwrap();
        assert!(judgement.message.len() <= MESSAGE && !judgement.message.chars().any(char::is_control));
    }
}
