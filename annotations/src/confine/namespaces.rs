//! Namespaces: an IPC namespace of the container's own.

use serde_json::{Value, json};

use crate::report::Change;

/// System V IPC and POSIX message queues of the pod's other containers are out of reach in a namespace of one's own.
pub(super) fn own_ipc(spec: &mut Value, changes: &mut Vec<Change>) {
    let Some(linux) = spec.get_mut("linux").and_then(Value::as_object_mut) else { return };
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
