//! `zerocap try`: what succeeds without, fails with, and succeeds again where the confinement is taken away.

mod machine;

use std::collections::BTreeMap;

use machine::{Who, each, zerocap};
use serde_json::Value;

/// Attempts that every user may make on every kernel.
const ANYWHERE: [&str; 7] = ["tcp", "udp", "listen", "abstract", "signal", "limits", "descriptor"];
/// What platform mode by itself does not refuse: files are a knob's, and so are sockets with a path before Landlock ABI 9.
const KNOBS: [&str; 3] = ["write", "memfd", "pathname"];

fn answer(who: Who, options: &[&str]) -> BTreeMap<String, (String, String)> {
    let output = zerocap(who).args(["try", "--output", "json"]).args(options).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let attempts = document["attempts"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    attempts.map(|row| (text(&row["attempt"]), (text(&row["without"]), text(&row["with"])))).collect()
}

#[test]
fn what_succeeds_without_fails_with() {
    each(|who| {
        let answer = answer(who, &[]);
        assert!(answer.len() > 20, "{answer:?}");
        for name in ANYWHERE {
            let (without, with) = &answer[name];
            assert_eq!(without, "yes", "{name}");
            assert!(with.starts_with("no, "), "{name}: {with}");
        }
        for (name, (_, with)) in &answer {
            assert!(with != "yes" || KNOBS.contains(&name.as_str()), "{name}: {with}");
        }
    });
}

/// The control: without the fences the same attempts, behind the same launcher, succeed.
#[test]
fn without_the_fences_the_same_attempts_succeed() {
    each(|who| {
        let nothing = ["--annotation", "network-enforcement=cluster", "--annotation", "zerocap.io/seccomp-deny=mkdir"];
        let answer = answer(who, &nothing);
        for name in ["tcp", "udp", "listen", "abstract", "signal", "limits", "write", "memfd"] {
            assert_eq!(answer[name], ("yes".to_owned(), "yes".to_owned()), "{name}");
        }
        // That is the launcher's, whatever the policy.
        assert_eq!(answer["descriptor"].1, "no, EBADF");
    });
}

#[test]
fn knobs_show() {
    let write = answer(Who::Me, &["--annotation", "zerocap.io/fs-write=/dev/null"]);
    assert_eq!(write["write"], ("yes".to_owned(), "no, EACCES".to_owned()));
    let unix = answer(Who::Me, &["--annotation", "zerocap.io/unix=none"]);
    assert_eq!(unix["pathname"], ("yes".to_owned(), "no, EACCES".to_owned()));
    // The attempts' own program is not in the list, so nothing is known of any.
    let execute = answer(Who::Me, &["--annotation", "zerocap.io/fs-execute=/nowhere"]);
    assert!(execute.values().all(|(_, with)| with.starts_with("not tried: ")), "{execute:?}");
}

#[test]
fn the_program_runs_first_and_its_status_counts() {
    let output = zerocap(Who::Me).args(["try", "--", "sh", "-c", "echo mine; exit 3"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text.starts_with("mine\n") && text.contains("network-enforcement: \"platform\""), "{text}");
    let json = zerocap(Who::Me).args(["try", "--output", "json", "--", "echo", "mine"]).output().unwrap();
    assert!(serde_json::from_slice::<Value>(&json.stdout).is_ok());
    assert_eq!(json.stderr, b"mine\n");
}

#[test]
fn nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = zerocap(Who::Me);
    let output = command.args(["try"]).env("TMPDIR", folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
