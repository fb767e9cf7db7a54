//! Namespaces: an IPC namespace of the container's own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::report::Change;

/// System V IPC and POSIX message queues of the pod's other containers are out of reach in a namespace of one's own. What the pod wanted
/// of its namespace holds there, too.
pub(super) fn own_ipc(spec: &mut Value, sysctls: &BTreeMap<String, String>, changes: &mut Vec<Change>) {
    let Some(linux) = spec.get_mut("linux").and_then(Value::as_object_mut) else { return };
    if !sysctls.is_empty()
        && let Some(all) = linux.entry("sysctl").or_insert_with(|| json!({})).as_object_mut()
    {
        for (key, value) in sysctls {
            all.entry(key).or_insert_with(|| value.clone().into());
        }
        changes.push(Change::new("/linux/sysctl", "the pod's sysctls of IPC, for the namespace of its own"));
    }
    let own = json!({ "type": "ipc" });
    let listed = match linux.get_mut("namespaces") {
        Some(Value::Array(listed)) => listed,
        _ => {
            linux.insert("namespaces".into(), Value::Array(vec![own]));
            return changes.push(Change::new("/linux/namespaces", "an IPC namespace of its own"));
        }
    };
    let ipc = listed.iter_mut().find(|namespace| namespace.get("type").and_then(Value::as_str) == Some("ipc"));
    match ipc {
        Some(ipc) if *ipc == own => return,
        Some(ipc) => *ipc = own,
        None => listed.push(own),
    }
    changes.push(Change::new("/linux/namespaces", "an IPC namespace of its own instead of the pod's"));
}
