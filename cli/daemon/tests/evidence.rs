//! What counts as evidence for a pod, on state directories as the shim writes them.

use std::collections::BTreeMap;

use serde_json::{Value, from_value, json};
use zerocap_annotations::{Floor, PodPolicy};
use zerocap_daemon::evidence::{Evidence, Evidences, NAMESPACE};
use zerocap_daemon::pod::{ContainerStatus, Pod};
use zerocap_node::state::{Document, Store};

fn pod() -> Pod {
    from_value(json!({ "metadata": { "name": "p", "uid": "the-pod" } })).unwrap()
}

fn container(name: &str, id: &str) -> ContainerStatus {
    from_value(json!({ "name": name, "containerID": id, "state": { "running": {} } })).unwrap()
}

fn report(holds: &[bool]) -> Value {
    let verified: Vec<_> =
        holds.iter().map(|holds| json!({ "step": "CapEff", "expected": "0", "seen": "1", "holds": holds })).collect();
    json!({
        "version": 1, "container": "main", "target": "init", "active": true, "engine": "runc", "kernel": "6.12",
        "policy": { "network-enforcement": { "value": "platform", "source": { "from": "default" } } },
        "promises": [
            { "promise": "egress", "state": "kept", "required": "fully", "fences": [], "reason": "" },
            { "promise": "neighbours", "state": "partly", "required": "partly", "fences": [], "reason": "" },
        ],
        "changes": [], "differences": [], "notes": [], "verified": verified,
    })
}

fn spec(kind: &str, uid: &str, name: &str) -> Value {
    json!({ "ociVersion": "1.2.0", "process": { "env": ["SECRET=x"] }, "annotations": {
        "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-uid": uid,
        "io.kubernetes.cri.container-name": name,
    } })
}

/// A store with one container of the pod.
fn store(report: &Value, spec: &Value) -> (tempfile::TempDir, Evidences) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path());
    let state = store.container(NAMESPACE, "abc").unwrap();
    state.write_json(Document::Report, report).unwrap();
    state.write_json(Document::OriginalConfig, spec).unwrap();
    (dir, Evidences::new(store))
}

#[test]
fn a_verified_report_of_this_very_container() {
    let main = container("main", "containerd://abc");
    let of = |report: &Value, spec: &Value| store(report, spec).1.of(&pod(), &main, true);
    let own = spec("container", "the-pod", "main");
    assert_eq!(
        of(&report(&[true, true]), &own),
        Evidence::Confined("platform mode, 1 kept, 1 partly (neighbours)".into())
    );
    assert_eq!(of(&report(&[]), &own), Evidence::NotVerified);
    assert_eq!(of(&report(&[true, false]), &own), Evidence::Mismatch("CapEff: expected 0, seen 1".into()));
    // Whoever may write pods/status could point at the report of another pod, or of another container.
    assert_eq!(of(&report(&[true]), &spec("container", "another-pod", "main")), Evidence::Foreign);
    assert_eq!(of(&report(&[true]), &spec("container", "the-pod", "other")), Evidence::Foreign);
    assert_eq!(of(&report(&[true]), &json!({})), Evidence::Foreign);
}

#[test]
fn no_report_and_reports_that_mean_nothing() {
    let own = spec("container", "the-pod", "main");
    let (dir, mut evidences) = store(&report(&[true]), &own);
    for id in ["containerd://def", "cri-o://abc", "containerd://../../etc", "abc", ""] {
        let evidence = evidences.of(&pod(), &container("main", id), true);
        assert!(matches!(evidence, Evidence::Missing | Evidence::Unreadable(_)), "{id}: {evidence:?}");
    }
    let none = ContainerStatus { container_id: None, ..container("main", "") };
    assert_eq!(evidences.of(&pod(), &none, true), Evidence::Missing);
    // A version that we do not know could mean anything.
    let mut newer = report(&[true]);
    newer["version"] = json!(2);
    assert_eq!(store(&newer, &own).1.of(&pod(), &container("main", "containerd://abc"), true), Evidence::Missing);
    let mut idle = report(&[true]);
    idle["active"] = json!(false);
    assert_eq!(store(&idle, &own).1.of(&pod(), &container("main", "containerd://abc"), true), Evidence::Missing);
    std::fs::write(dir.path().join("k8s.io/abc/report.json"), "{").unwrap();
    let evidence = Evidences::new(Store::at(dir.path())).of(&pod(), &container("main", "containerd://abc"), true);
    assert!(matches!(evidence, Evidence::Unreadable(_)), "{evidence:?}");
}

#[test]
fn a_report_that_changes_is_read_again() {
    let (dir, mut evidences) = store(&report(&[]), &spec("container", "the-pod", "main"));
    let main = container("main", "containerd://abc");
    assert_eq!(evidences.of(&pod(), &main, true), Evidence::NotVerified);
    // The clock of a file system may be coarse.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let state = Store::at(dir.path()).container(NAMESPACE, "abc").unwrap();
    state.write_json(Document::Report, &report(&[true])).unwrap();
    assert!(matches!(evidences.of(&pod(), &main, true), Evidence::Confined(_)));
    assert_eq!(evidences.all().unwrap().len(), 1);
    state.remove().unwrap();
    assert_eq!(evidences.of(&pod(), &main, true), Evidence::Missing);
    assert_eq!(evidences.all().unwrap(), []);
}

/// A container that zerocap started and left alone has no report; its pod's frozen policy says that it was meant.
#[test]
fn an_exception_is_believed_from_the_frozen_policy_only() {
    let annotations = [("network-enforcement", "platform"), ("network-enforcement.zerocap.io/proxy", "cluster")];
    let annotations: BTreeMap<String, String> = annotations.map(|(key, value)| (key.into(), value.into())).into();
    let policy = PodPolicy::new(&annotations, &Floor::none()).unwrap();
    let (dir, mut evidences) = store(&report(&[true]), &spec("container", "the-pod", "main"));
    let proxy = container("proxy", "containerd://def");
    assert_eq!(evidences.of(&pod(), &proxy, true), Evidence::Missing, "no sandbox of ours");
    let sandbox = Store::at(dir.path()).container(NAMESPACE, "sand").unwrap();
    sandbox.write_json(Document::OriginalConfig, &spec("sandbox", "another-pod", "")).unwrap();
    sandbox.write_json(Document::Policy, &policy).unwrap();
    assert_eq!(evidences.of(&pod(), &proxy, true), Evidence::Missing, "another pod's sandbox");
    let sandbox = Store::at(dir.path()).container(NAMESPACE, "sand2").unwrap();
    sandbox.write_json(Document::OriginalConfig, &spec("sandbox", "the-pod", "")).unwrap();
    sandbox.write_json(Document::Policy, &policy).unwrap();
    assert_eq!(evidences.of(&pod(), &proxy, true), Evidence::Excepted);
    assert_eq!(evidences.of(&pod(), &proxy, false), Evidence::Missing, "the pod asks for nothing");
    let main = container("other", "containerd://ghi");
    assert_eq!(evidences.of(&pod(), &main, true), Evidence::Missing, "no exception is for it");
}

#[test]
fn refusals_count_for_the_container_that_they_were_told_of() {
    let told = |spec: &Value, version: u32| {
        let (dir, mut evidences) = store(&report(&[true]), spec);
        let refusals = json!({
            "version": version, "pod": { "namespace": "n", "name": "p", "uid": "the-pod" }, "container": "main", "audit": false,
            "distinct": [], "forgotten": 0,
        });
        let state = Store::at(dir.path()).container(NAMESPACE, "abc").unwrap();
        state.write_json(Document::Refusals, &refusals).unwrap();
        evidences.refusals(&pod(), &container("main", "containerd://abc")).is_some()
    };
    assert!(told(&spec("container", "the-pod", "main"), 1));
    assert!(!told(&spec("container", "another-pod", "main"), 1));
    assert!(!told(&spec("container", "the-pod", "other"), 1));
    assert!(!told(&spec("container", "the-pod", "main"), 2));
}
