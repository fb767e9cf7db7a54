//! `check`, `completion`, and hostile input for `explain`.

use std::fs;

use assert_cmd::Command;
use serde_json::{Value, json};

fn zerocap(state: &std::path::Path) -> Command {
    let mut command = Command::cargo_bin("zerocap").unwrap();
    command.env("ZEROCAP_STATE", state);
    command
}

#[test]
fn check_says_what_explain_then_decides() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let check = zerocap(&state).args(["check", "--output", "json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(found["platform-mode"]["report"]["promises"].as_array().unwrap().len(), 7);
    let refused = !found["platform-mode"]["refusal"].is_null();
    assert_eq!(check.status.code(), Some(i32::from(refused)));

    // The host file it prints is one that explain takes, with the same answer as the machine itself.
    let host = zerocap(&state).args(["check", "--output", "host"]).output().unwrap();
    let file = dir.path().join("host.json");
    fs::write(&file, &host.stdout).unwrap();
    let explain = |host: &str| {
        let arguments = ["explain", "--annotation", "network-enforcement=platform", "--output", "json", "--host", host];
        zerocap(&state).args(arguments).output().unwrap()
    };
    let (this, given) = (explain("this"), explain(file.to_str().unwrap()));
    assert_eq!(this.stdout, given.stdout);
    assert_eq!(this.status.code(), Some(i32::from(refused)));

    let table = zerocap(&state).arg("check").output().unwrap();
    let text = String::from_utf8(table.stdout).unwrap();
    let last_word = if refused { "is REFUSED here" } else { "starts here" };
    assert!(text.contains(last_word), "{text}");
    for promise in ["privileges", "egress", "protocols", "inbound", "neighbours", "files", "descriptors"] {
        assert!(text.contains(promise), "{promise}: {text}");
    }
}

#[test]
fn completion_knows_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = zerocap(dir.path()).args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["explain", "status", "check"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    zerocap(dir.path()).args(["completion", "tcsh"]).assert().code(2);
}

/// One error with a code, never a panic, whatever the files contain.
#[test]
fn bad_input_is_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    let deep = "[".repeat(100_000);
    let inputs: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"\"text\"",
        b"{\"annotations\": []}",
        b"{\"annotations\": {\"network-enforcement\": 1}}",
        b"{\"annotations\": {\"network-enforcement\": \"platform\"}, \"process\": 7}",
        b"{\"annotations\": {\"network-enforcement\": \"platform\"}, \"linux\": {\"seccomp\": \"x\"}}",
        deep.as_bytes(),
    ];
    let flags: [&[&str]; 3] = [
        &["--host", "tests/fixtures/host.json", "--annotation", "network-enforcement=platform", "--spec"],
        &["--floor"],
        &["--annotation", "network-enforcement=platform", "--host"],
    ];
    for content in inputs {
        fs::write(&file, content).unwrap();
        for flag in flags {
            let output = zerocap(dir.path()).arg("explain").args(flag).arg(&file).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            let shown = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
            // An empty floor file demands nothing, so it may be fine.
            if output.status.success() {
                assert!(content.iter().all(|b| b.is_ascii_whitespace()), "{flag:?} {shown}");
                continue;
            }
            assert!(matches!(output.status.code(), Some(1 | 2)), "{flag:?} {shown}: {:?}", output.status);
            assert!(error.starts_with("error: ZC"), "{flag:?} {shown}: {error}");
            assert_eq!(error.lines().count(), 1, "{flag:?} {shown}: {error}");
        }
    }
}

#[test]
fn a_file_that_never_ends_is_not_read_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let output = zerocap(dir.path()).args(["explain", "--spec", "/dev/zero"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("ZC0913"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

/// The spec is read from stdin, and only the rewritten one comes out, ready for an engine.
#[test]
fn spec_in_spec_out() {
    let dir = tempfile::tempdir().unwrap();
    let spec = fs::read_to_string("tests/fixtures/workload.json").unwrap();
    let output = zerocap(dir.path())
        .args(["explain", "--spec", "-", "--host", "tests/fixtures/host.json", "--output", "spec"])
        .write_stdin(spec.as_str())
        .output()
        .unwrap();
    let rewritten: Value = serde_json::from_slice(&output.stdout).unwrap();
    let empty = json!([]);
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        assert_eq!(rewritten["process"]["capabilities"][set], empty, "{set}");
    }
    assert_eq!(rewritten["process"]["args"][0], "/.zerocap/launcher");
    // Fields that zerocap does not know or need stay as they were.
    let original: Value = serde_json::from_str(&spec).unwrap();
    assert_eq!(rewritten["linux"]["resources"], original["linux"]["resources"]);
    assert_eq!(rewritten["linux"]["cgroupsPath"], original["linux"]["cgroupsPath"]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    use std::process::Command;

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        Command::new(env!("CARGO_BIN_EXE_zerocap")).args(["explain", "--list"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
