//! The node's labels: one for each fence, by what the kernel did when it was tried, and whether confined pods start.
//!
//! The kernel is tried by the shim and the installer, as root on the node. The daemon only reads what they found: tried from
//! inside a container, a kernel shows what that container's filter permits. Before anybody has tried, there is no label.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use serde::Deserialize;
use serde_json::{Value, json};
use zerocap_node::kernel::{self, Abilities, Cgroup};
use zerocap_node::state::Store;

/// The installer's note that a confined container started here; it lies in the state directory.
const NOTE: &str = "installed.json";
/// Whether a confined container was started there.
const READY: &str = "zerocap.io/ready";
/// Its size has a bound, as everything that is read.
const LIMIT: u64 = 64 << 10;

/// What the note says, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Note {
    self_test: String,
}

/// The labels of a node by their keys.
pub fn of(store: &Store) -> BTreeMap<&'static str, String> {
    let mut labels: BTreeMap<_, _> = kernel::remembered(store).iter().flat_map(fences).collect();
    labels.insert(READY, passed(store).to_string());
    labels
}

/// Whether these say that confined containers start on the node.
pub fn are_ready(labels: &BTreeMap<&'static str, String>) -> bool {
    labels.get(READY).is_some_and(|ready| ready == "true")
}

/// A merge patch of the Node that sets them, and takes away those that are not known now.
pub fn patch(labels: &BTreeMap<&'static str, String>) -> Value {
    let keys = KEYS.iter().chain([&READY]);
    let mut all: serde_json::Map<String, Value> = keys.map(|key| ((*key).to_owned(), Value::Null)).collect();
    all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    json!({ "metadata": { "labels": all } })
}

/// Every key of a fence.
const KEYS: [&str; 8] = [
    "zerocap.io/landlock-files",
    "zerocap.io/landlock-tcp",
    "zerocap.io/landlock-scopes",
    "zerocap.io/landlock-unix",
    "zerocap.io/landlock-abi",
    "zerocap.io/packet-fence",
    "zerocap.io/seccomp",
    "zerocap.io/cgroup-v2",
];

fn fences(found: &Abilities) -> [(&'static str, String); KEYS.len()] {
    let landlock = &found.landlock;
    let values = [
        landlock.keeps_files().to_string(),
        landlock.keeps_tcp().to_string(),
        landlock.keeps_scopes().to_string(),
        landlock.keeps_unix().to_string(),
        landlock.abi.to_string(),
        found.packet_fence.works.to_string(),
        found.seccomp.filter.to_string(),
        matches!(found.cgroup, Cgroup::V2 | Cgroup::Hybrid).to_string(),
    ];
    let mut values = values.into_iter();
    KEYS.map(|key| (key, values.next().unwrap_or_default()))
}

fn passed(store: &Store) -> bool {
    let read = || {
        let mut text = String::new();
        File::open(store.root().join(NOTE)).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
        serde_json::from_str::<Note>(&text).ok()
    };
    read().is_some_and(|note| note.self_test == "passed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_tried_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let labels = of(&Store::at(dir.path()));
        assert_eq!(labels, BTreeMap::from([("zerocap.io/ready", "false".to_owned())]));
        // What was said in another boot is taken back.
        assert_eq!(patch(&labels)["metadata"]["labels"]["zerocap.io/packet-fence"], Value::Null);
        assert_eq!(patch(&labels)["metadata"]["labels"]["zerocap.io/ready"], "false");
        assert!(!are_ready(&labels));
        // And in the end all of them.
        let none = patch(&BTreeMap::new());
        assert!(none["metadata"]["labels"].as_object().unwrap().values().all(Value::is_null));
        assert!(none["metadata"]["labels"].as_object().unwrap().contains_key("zerocap.io/ready"));
    }

    #[test]
    fn as_the_kernel_did() {
        let mut found = zerocap_node::kernel::try_now().unwrap();
        found.packet_fence.works = false;
        found.landlock = zerocap_node::kernel::Landlock::default();
        let labels = BTreeMap::from(fences(&found));
        assert_eq!(labels["zerocap.io/packet-fence"], "false");
        assert_eq!(labels["zerocap.io/landlock-files"], "false");
        assert_eq!(labels["zerocap.io/landlock-abi"], "0");
        found.packet_fence.works = true;
        found.landlock.fs = 0xffff;
        found.landlock.net = 0b01;
        let labels = BTreeMap::from(fences(&found));
        assert_eq!(labels["zerocap.io/packet-fence"], "true");
        assert_eq!(labels["zerocap.io/landlock-files"], "true");
        assert_eq!(labels["zerocap.io/landlock-tcp"], "false");
        assert_eq!(labels["zerocap.io/landlock-unix"], "false");
    }

    #[test]
    fn ready_as_the_installer_notes() {
        let dir = tempfile::tempdir().unwrap();
        let ready = |text: &str| {
            std::fs::write(dir.path().join(NOTE), text).unwrap();
            of(&Store::at(dir.path()))["zerocap.io/ready"].clone()
        };
        assert_eq!(ready(r#"{"version":1,"programs":"/opt/zerocap/1","self-test":"passed"}"#), "true");
        for text in ["", "[]", r#"{"self-test":"failed"}"#] {
            assert_eq!(ready(text), "false", "{text}");
        }
    }
}
