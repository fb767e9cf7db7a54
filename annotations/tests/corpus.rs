//! The fuzzers' corpus, replayed: what a fuzzer found once stays found.
//!
//! The seeds are written by `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-annotations --test corpus`.

mod judge;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

fn seed(target: &str, name: &str, text: &str) {
    let path = corpus(target).join(name);
    if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(target)).expect("writable");
        fs::write(&path, text).expect("writable");
    }
    assert_eq!(fs::read_to_string(&path).expect("a seed"), text, "{name} is stale");
}

/// Judges everything in the corpus; so many of them have to be good ones.
fn replay(target: &str, judge: fn(&[u8]) -> bool, good: usize) {
    let entries: Vec<_> =
        fs::read_dir(corpus(target)).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    let taken = entries.iter().filter(|path| judge(&fs::read(path).expect("a file"))).count();
    assert!(taken >= good && taken < entries.len(), "{target}: {taken} of {} are taken", entries.len());
}

#[test]
fn specs() {
    let plain = json!({
        "process": {
            "args": ["sh"], "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": true,
            "user": { "uid": 65532, "gid": 65532 }, "capabilities": {},
        },
        "root": { "path": "rootfs" },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "annotations": { "zerocap.io/listen": "80,443" },
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "mount" }, { "type": "network" }, { "type": "uts" }],
            "seccomp": { "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read", "execve"], "action": "SCMP_ACT_ALLOW" }] },
        },
    });
    let with = |pointer: &str, key: &str, value: Value| {
        let mut spec = plain.clone();
        spec.pointer_mut(pointer).expect("a place")[key] = value;
        spec.to_string()
    };
    let whole = plain.to_string();
    seed("pod_spec", "plain", &whole);
    seed("pod_spec", "cut", &whole[..whole.len() / 2]);
    seed("pod_spec", "other-case", &with("/process", "Capabilities", json!({ "bounding": ["CAP_SYS_ADMIN"] })));
    seed("pod_spec", "lists", &with("/annotations", "zerocap.io/fs-read", json!("/usr,/lib")));
    seed("pod_spec", "unknown-knob", &with("/annotations", "zerocap.io/listne", json!("80")));
    seed("pod_spec", "annotation-no-text", &with("/annotations", "zerocap.io/listen", json!(80)));
    seed("pod_spec", "as-root", &with("/process", "user", json!({ "uid": 0, "gid": 0 })));
    seed("pod_spec", "over-the-launcher", &with("/mounts/0", "destination", json!("/.zerocap/x")));
    seed(
        "pod_spec",
        "argument-conditions",
        &with(
            "/linux/seccomp",
            "syscalls",
            json!([
                { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": u64::MAX, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 8 }] },
            ]),
        ),
    );
    replay("pod_spec", judge::pod_spec, 1);
}

#[test]
fn floors() {
    let some = "version = 1\n[defaults]\nnetwork-enforcement = \"platform\"\n[policies.web]\nlisten = [8080]\n\
                [[section]]\nnamespaces = [\"batch-*\"]\nforbidden = [\"listen\"]\n";
    seed("floor_file", "some", some);
    seed("floor_file", "empty", "version = 1\n");
    seed("floor_file", "no-version", "[defaults]\nunix = \"none\"\n");
    seed("floor_file", "unknown-key", "version = 1\n[defaults]\nlistne = \"80\"\n");
    seed("floor_file", "nested", &format!("version = 1\nx = {}", "[".repeat(500)));
    replay("floor_file", judge::floor_file, 2);
}

#[test]
fn frozen_policies() {
    // As a version wrote it that knew no names: an upgrade must not strand the pods that run.
    let whole =
        r#"{"version":1,"namespace":"","annotations":{"network-enforcement":"platform","zerocap.io/listen":"80"},"#
            .to_owned()
            + r#""demands":{"defaults":{},"ceilings":[],"forbidden":[],"modes":["enforce"],"policies":{}},"#
            + r#""host-network":false,"host-pid":false}"#;
    seed("frozen_policy", "whole", &whole);
    seed("frozen_policy", "cut", &whole[..whole.len() - 4]);
    seed("frozen_policy", "version-2", &whole.replace("\"version\":1", "\"version\":2"));
    seed("frozen_policy", "nonsense-in-it", &whole.replace("\"80\"", "\"eighty\""));
    seed("frozen_policy", "unknown-field", &whole.replacen('{', "{\"new\":1,", 1));
    replay("frozen_policy", judge::frozen_policy, 2);
}
