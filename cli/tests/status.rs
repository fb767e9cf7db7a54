//! `zerocap status` on state directories as the shim writes them.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::{Value, json};
use zerocap_node::state::{Document, Store};

fn status(root: &Path, arguments: &[&str]) -> Assert {
    Command::cargo_bin("zerocap").unwrap().env("ZEROCAP_STATE", root).arg("status").args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// The report of the fixture with platform mode, as `explain` computes it and the shim starts from it.
fn report() -> Value {
    let output = Command::cargo_bin("zerocap")
        .unwrap()
        .args(["explain", "--output", "json", "--spec", "tests/fixtures/workload.json"])
        .args(["--host", "tests/fixtures/host.json"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["report"].clone()
}

fn verified(step: &str, holds: bool) -> Value {
    json!({ "step": step, "expected": "0", "seen": if holds { "0" } else { "ffff" }, "holds": holds })
}

/// A store with one container of this report.
fn with(report: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let state = Store::at(dir.path()).container("k8s.io", "0123456789abcdef").unwrap();
    state.write_json(Document::Report, report).unwrap();
    dir
}

#[test]
fn a_container_without_a_report_is_said_to_be_not_confined() {
    let dir = tempfile::tempdir().unwrap();
    let assert = status(dir.path(), &["4711"]).code(1);
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.starts_with("error: ZC0904: there is no report for \"4711\""), "{error}");
    assert!(error.contains("NOT confined") && error.contains("runtimeClassName"), "{error}");

    let empty = stdout(&status(dir.path(), &[]).code(0));
    assert!(empty.contains("zerocap has started no container"), "{empty}");
    assert!(empty.contains("NOT confined"), "{empty}");

    // A state directory whose create did not get as far as a report.
    Store::at(dir.path()).container("k8s.io", "4711").unwrap().create().unwrap();
    let shown = stdout(&status(dir.path(), &["4711"]).code(1));
    assert!(shown.contains("NOT confined"), "{shown}");
    assert!(stdout(&status(dir.path(), &[]).code(0)).contains("NOT confined"));
}

#[test]
fn only_a_verified_report_is_confined() {
    let mut report = report();
    let state = |report: &Value, code| stdout(&status(with(report).path(), &["0123"]).code(code));
    assert!(state(&report, 1).contains("not verified (yet)"));

    report["verified"] = json!([verified("CapEff", true), verified("Seccomp", true)]);
    let shown = state(&report, 0);
    assert!(shown.contains("state       confined"), "{shown}");
    assert!(shown.contains("Verified while parked"), "{shown}");
    assert!(shown.contains("network-enforcement  platform"), "{shown}");

    report["verified"] = json!([verified("CapEff", true), verified("Seccomp", false)]);
    let shown = state(&report, 1);
    assert!(shown.contains("NOT confined") && shown.contains("MISMATCH"), "{shown}");

    // A pod without a knob, through our handler.
    report["active"] = json!(false);
    report["verified"] = json!([]);
    let shown = state(&report, 1);
    assert!(shown.contains("NOT confined") && shown.contains("pod_annotations"), "{shown}");
}

#[test]
fn json_has_the_whole_report() {
    let mut report = report();
    report["verified"] = json!([verified("CapEff", true)]);
    let dir = with(&report);
    let one: Value = serde_json::from_str(&stdout(&status(dir.path(), &["0123", "--output", "json"]).code(0))).unwrap();
    assert_eq!(one["verdict"], "confined");
    assert_eq!(one["namespace"], "k8s.io");
    assert_eq!(one["report"], report);
    let all: Value = serde_json::from_str(&stdout(&status(dir.path(), &["--output", "json"]).code(0))).unwrap();
    assert_eq!(all, json!([one]));
}

#[test]
fn an_ambiguous_or_damaged_state_is_an_error_not_a_guess() {
    let dir = with(&report());
    Store::at(dir.path()).container("k8s.io", "0123zzz").unwrap().create().unwrap();
    let stderr = |assert: Assert| String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let error = stderr(status(dir.path(), &["0123"]).code(2));
    assert!(error.contains("write more of the id"), "{error}");

    let path = dir.path().join("k8s.io/0123456789abcdef/report.json");
    for (content, code) in [("{", "ZC0902"), ("[]", "ZC0902"), ("\u{1b}[31m", "ZC0902")] {
        fs::write(&path, content).unwrap();
        let error = stderr(status(dir.path(), &["01234"]).code(2));
        assert!(error.starts_with(&format!("error: {code}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let mut newer = report();
    newer["version"] = json!(2);
    fs::write(&path, newer.to_string()).unwrap();
    assert!(stderr(status(dir.path(), &["01234"]).code(2)).contains("ZC0903"));
}

/// A report is data: what stands in it must not drive the reader's terminal.
#[test]
fn control_characters_are_shown_not_sent() {
    let mut report = report();
    report["container"] = json!("c\u{1b}[2J");
    report["notes"] = json!(["a\u{7}b"]);
    let dir = with(&report);
    for arguments in [&["0123"][..], &[][..]] {
        let shown = stdout(&status(dir.path(), arguments));
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }
}
