//! `zerocap egress` on state directories as the shim writes them; the kernel's part is tested on a node.

use std::net::Ipv4Addr;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::{Value, json};
use zerocap_fence::{Hook, Refusal};
use zerocap_node::fence::FenceState;
use zerocap_node::refusals::{Pod, Refusals};
use zerocap_node::state::{Document, Store};

const ID: &str = "0123456789abcdef";

fn egress(root: &Path, arguments: &[&str]) -> Assert {
    Command::cargo_bin("zerocap").unwrap().env("ZEROCAP_STATE", root).arg("egress").args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The report of the fixture in platform mode, with what `explain` is told.
fn report(more: &[&str]) -> Value {
    let output = Command::cargo_bin("zerocap")
        .unwrap()
        .args(["explain", "--output", "json", "--spec", "tests/fixtures/workload.json"])
        .args(["--host", "tests/fixtures/host.json", "--floor", "tests/fixtures/audit.toml"])
        .args(more)
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["report"].clone()
}

fn refused(hook: Hook, port: u16, comm: &[u8]) -> Refusal {
    let address = Ipv4Addr::new(10, 0, 0, 5).to_ipv6_mapped();
    Refusal { at: 0, pid: Some(7), comm: comm.to_vec(), hook, address, port, protocol: 6, device: 0 }
}

/// A container whose fence has gone with its group.
fn with(audit: bool, refusals: &[Refusal], more: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let state = Store::at(dir.path()).container("k8s.io", ID).unwrap();
    state.write_json(Document::Report, &report(more)).unwrap();
    let fence = FenceState { group: "/zerocap-no-such-group".into(), made: false, programs: vec![1; 10] };
    state.write_json(Document::Fence, &fence).unwrap();
    let pod = Pod { namespace: "default".into(), name: "web-0".into(), uid: "4711".into() };
    let mut told = Refusals::new(pod, "app".into(), audit);
    for refusal in refusals {
        told.add(refusal, "2026-01-02T03:04:05.678Z".into());
    }
    state.write_json(Document::Refusals, &told).unwrap();
    dir
}

const EGRESS: [&str; 2] = ["--annotation", "zerocap.io/egress=10.0.0.1:443"];

#[test]
fn a_container_without_a_fence_is_told_from_one_without_a_report() {
    let dir = tempfile::tempdir().unwrap();
    assert!(stderr(&egress(dir.path(), &["4711"]).code(1)).starts_with("error: ZC0904"));
    assert!(stdout(&egress(dir.path(), &[]).code(0)).contains("No container"));
    Store::at(dir.path()).container("k8s.io", "4711").unwrap().create().unwrap();
    assert!(stderr(&egress(dir.path(), &["4711"]).code(1)).starts_with("error: ZC1210"));
}

#[test]
fn what_was_refused_is_left_when_the_container_has_ended() {
    let dir = with(false, &[refused(Hook::Connect, 443, b"curl"), refused(Hook::Bind, 80, b"httpd")], &EGRESS);
    let shown = stdout(&egress(dir.path(), &["0123"]).code(0));
    for part in [
        "gone with the container",
        "default/web-0",
        "tcp://10.0.0.5:443",
        "curl (7)",
        "egress: 10.0.0.5:443",
        "listen: 80",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let list = stdout(&egress(dir.path(), &[]).code(0));
    assert!(list.contains("enforce") && list.contains("0123456789abc"), "{list}");
    let view: Value =
        serde_json::from_str(&stdout(&egress(dir.path(), &["0123", "--output", "json"]).code(0))).unwrap();
    assert_eq!((&view["state"], &view["counters"], &view["audit"]), (&json!("ended"), &Value::Null, &json!(false)));
    assert_eq!(view["refusals"][0]["permit"], json!({ "knob": "egress", "entry": "10.0.0.5:443" }));
    assert_eq!(view["policy"]["egress"]["value"], "tcp://10.0.0.1/32:443");
    let all: Value = serde_json::from_str(&stdout(&egress(dir.path(), &["--output", "json"]).code(0))).unwrap();
    assert_eq!(all, json!([view]));
    // Nothing is counted any more: no sample, and the text is well-formed all the same.
    let text = stdout(&egress(dir.path(), &["--output", "prometheus"]).code(0));
    assert!(
        text.lines().all(|line| line.starts_with("# ")) && text.contains("# TYPE zerocap_egress_refused_total counter")
    );
    // There is nothing to wait for.
    egress(dir.path(), &["0123", "--watch"]).code(0);
}

/// What is suggested is an annotation under which the same is allowed.
#[test]
fn a_suggestion_is_accepted_and_permits_what_was_refused() {
    let dir = with(false, &[refused(Hook::Connect, 443, b"a"), refused(Hook::Connect, 444, b"a")], &EGRESS);
    let said = egress(dir.path(), &["0123", "--suggest"]).code(0);
    let line = stdout(&said).trim().to_owned();
    assert_eq!(line, "zerocap.io/egress: \"tcp://10.0.0.1/32:443,10.0.0.5:443,10.0.0.5:444\"");
    assert!(stderr(&said).contains("read each entry"));
    let annotation = line.replace(": ", "=").replace('"', "");
    for (to, code) in [("10.0.0.5:443", 0), ("10.0.0.5:444", 0), ("10.0.0.1:443", 0), ("10.0.0.5:445", 1)] {
        Command::cargo_bin("zerocap")
            .unwrap()
            .args(["explain", "--host", "tests/fixtures/host.json", "--annotation", "network-enforcement=platform"])
            .args(["--annotation", &annotation, "--dest", to])
            .assert()
            .code(code);
    }
    let nothing = egress(with(false, &[], &EGRESS).path(), &["0123", "--suggest"]).code(0);
    assert_eq!(stdout(&nothing), "");
}

#[test]
fn audit_is_said_loudly_and_is_never_called_confined() {
    let more = ["--annotation", "zerocap.io/mode=audit"];
    let dir = with(true, &[refused(Hook::Connect, 443, b"curl")], &more);
    let shown = stdout(&egress(dir.path(), &["0123"]).code(0));
    assert!(shown.contains("AUDIT: egress is NOT enforced"), "{shown}");
    let list = stdout(&egress(dir.path(), &[]).code(0));
    assert!(list.contains("AUDIT") && list.contains("NOT refused"), "{list}");

    let state = Store::at(dir.path()).container("k8s.io", ID).unwrap();
    let mut report = report(&more);
    report["verified"] = json!([{ "step": "CapEff", "expected": "0", "seen": "0", "holds": true }]);
    state.write_json(Document::Report, &report).unwrap();
    let status = |arguments: &[&str]| {
        Command::cargo_bin("zerocap").unwrap().env("ZEROCAP_STATE", dir.path()).arg("status").args(arguments).assert()
    };
    let shown = stdout(&status(&["0123"]).code(1));
    assert!(shown.contains("AUDIT: egress is NOT enforced") && shown.contains("NOT KEPT"), "{shown}");
    let all: Value = serde_json::from_str(&stdout(&status(&["--output", "json"]).code(0))).unwrap();
    assert_eq!(all[0]["verdict"], "audited");
}

#[test]
fn hostile_names_reach_no_terminal() {
    let dir = with(false, &[refused(Hook::Connect, 443, b"\x1b[31m\n\"\x9b")], &EGRESS);
    for arguments in
        [&["0123"][..], &[], &["0123", "--output", "json"], &["0123", "--suggest"], &["--output", "prometheus"]]
    {
        let shown = stdout(&egress(dir.path(), arguments).code(0));
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }
    // A state directory is data, too.
    let path = dir.path().join("k8s.io").join(ID).join("refusals.json");
    std::fs::write(&path, "{").unwrap();
    assert!(stderr(&egress(dir.path(), &["0123"]).code(2)).starts_with("error: ZC0902"));
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let dir = with(false, &[], &EGRESS);
    for arguments in [
        &["--watch"][..],
        &["--suggest"],
        &["0123", "--watch", "--suggest"],
        &["0123", "--suggest", "--output", "json"],
        &["0123", "--watch", "--output", "prometheus"],
    ] {
        egress(dir.path(), arguments).code(2);
    }
}

/// The names of a container, as its resolver writes them down.
fn names(dir: &Path, name: &str) {
    let value = json!({
        "at": 1, "responder": "127.53.0.1", "permits": 1,
        "names": [{ "name": "api.example", "asked": "api.example", "below": null, "answered": 1, "state": "resolved",
                    "addresses": [{ "address": "10.0.0.5", "age": 1, "ttl": 30, "current": true, "permitted": 150 }] }],
        "counters": { "answered": 1, "refused": 2, "bounded": 0, "failed": 0, "queries": 2, "ignored": 0, "blocked": 1, "surplus": 0,
                      "unpermitted": 0 },
        "blocked": [{ "name": "bad.example", "address": "169.254.169.254", "network": ["169.254.0.0", 16], "times": 1 }],
        "unlisted": [{ "name": name, "times": 2, "last": 1 }], "forgotten": 0,
    });
    std::fs::write(dir.join("k8s.io").join(ID).join("names.json"), value.to_string()).unwrap();
}

#[test]
fn names_are_shown_and_suggested() {
    let dir = with(false, &[refused(Hook::Connect, 8443, b"curl")], &EGRESS);
    names(dir.path(), "www.example.com");
    let shown = stdout(&egress(dir.path(), &["0123"]).code(0));
    for part in [
        "127.53.0.1",
        "api.example",
        "bad.example resolved to 169.254.169.254, which no name may have (169.254.0.0/16)",
        "2 refused",
        "www.example.com",
        "egress: www.example.com:443",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let view: Value =
        serde_json::from_str(&stdout(&egress(dir.path(), &["0123", "--output", "json"]).code(0))).unwrap();
    // Written at the moment of boot: nobody has asked again since.
    assert_eq!(view["names"]["names"][0]["state"], "overdue");
    assert_eq!(view["names"]["unlisted"][0]["permit"]["entry"], "www.example.com:443");
    let said = egress(dir.path(), &["0123", "--suggest"]).code(0);
    let expected = "zerocap.io/egress: \"tcp://10.0.0.1/32:443,api.example:8443,www.example.com:443\"";
    assert_eq!(stdout(&said).trim(), expected);
    assert!(stderr(&said).contains("port 443"), "{}", stderr(&said));
    // What the annotation cannot have is not suggested.
    names(dir.path(), "_ldap._tcp.localhost");
    assert!(!stdout(&egress(dir.path(), &["0123", "--suggest"]).code(0)).contains("ldap"));
    // A file with other than names is damaged.
    names(dir.path(), "\u{1b}[31m.example\nx: y");
    assert!(stderr(&egress(dir.path(), &["0123"]).code(2)).starts_with("error: ZC0902"));
}
