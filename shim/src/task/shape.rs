//! JSON from outside that an engine will read later: whether it has the shape that the OCI specification gives it.
//!
//! The words of a mistake reach the client with the call that made it, not with a later one.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use crate::status::{TaskError, TaskResult};

/// `process` of the runtime specification: the kinds of its fields. Null counts as absent, as in Go.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)] // Only read into.
struct Process {
    terminal: Option<bool>,
    user: Option<User>,
    args: Option<Vec<String>>,
    env: Option<Vec<String>>,
    cwd: Option<String>,
    capabilities: Option<Map<String, Value>>,
    rlimits: Option<Vec<Map<String, Value>>>,
    no_new_privileges: Option<bool>,
    apparmor_profile: Option<String>,
    oom_score_adj: Option<i64>,
    selinux_label: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct User {
    uid: Option<u32>,
    gid: Option<u32>,
    umask: Option<u32>,
    additional_gids: Option<Vec<u32>>,
    username: Option<String>,
}

/// `linux.resources`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Resources {
    memory: Option<Memory>,
    cpu: Option<Cpu>,
    pids: Option<Pids>,
    devices: Option<Vec<Map<String, Value>>>,
    hugepage_limits: Option<Vec<Map<String, Value>>>,
    unified: Option<std::collections::BTreeMap<String, String>>,
    #[serde(rename = "blockIO")]
    block_io: Option<Map<String, Value>>,
    network: Option<Map<String, Value>>,
    rdma: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Memory {
    limit: Option<i64>,
    reservation: Option<i64>,
    swap: Option<i64>,
    kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    kernel_tcp: Option<i64>,
    swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    disable_oom_killer: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Cpu {
    shares: Option<u64>,
    quota: Option<i64>,
    period: Option<u64>,
    burst: Option<u64>,
    realtime_runtime: Option<i64>,
    realtime_period: Option<u64>,
    cpus: Option<String>,
    mems: Option<String>,
    idle: Option<i64>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Pids {
    limit: Option<i64>,
}

/// Reads a process to exec.
pub(super) fn process(bytes: &[u8]) -> TaskResult<Map<String, Value>> {
    object(bytes)?;
    read::<Process>("process to exec", bytes)?;
    read("process to exec", bytes)
}

/// Looks at resources; they go to the engine as they came.
pub(super) fn resources(bytes: &[u8]) -> TaskResult<()> {
    object(bytes)?;
    read::<Resources>("resources", bytes).map(drop)
}

/// Whether bytes are a process to exec.
pub(crate) fn is_process(bytes: &[u8]) -> bool {
    process(bytes).is_ok()
}

/// Whether bytes are resources.
pub(crate) fn are_resources(bytes: &[u8]) -> bool {
    resources(bytes).is_ok()
}

/// Only an object: the decoder would take an array for a list of fields.
fn object(bytes: &[u8]) -> TaskResult<()> {
    read::<Map<String, Value>>("not an object", bytes).map(drop)
}

fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> TaskResult<T> {
    if bytes.is_empty() || serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(|error| error.is_eof()) {
        return Err(TaskError::unknown("unexpected end of JSON input"));
    }
    serde_json::from_slice(bytes).map_err(|error| TaskError::unknown(format!("json: {what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_specification_allows_passes_with_unknown_fields() {
        let spec = process(br#"{"args":["a"],"user":{"uid":1},"capabilities":{},"rlimits":null,"new":[1]}"#).unwrap();
        assert!(spec.contains_key("new"), "nothing is dropped");
        resources(br#"{"memory":{"limit":-1},"unified":{"a":"b"},"new":{}}"#).unwrap();
        resources(b"{}").unwrap();
    }

    #[test]
    fn other_shapes_are_told_at_once() {
        for bad in [r#"{"args":"true"}"#, r#"{"user":{"uid":-1}}"#, "[]", "1", "null", r#"{"cwd":1}"#] {
            assert!(process(bad.as_bytes()).unwrap_err().message.starts_with("json: "), "{bad}");
        }
        for bad in [r#"{"memory":{"limit":"much"}}"#, "[]", r#"{"pids":[]}"#, r#"{"devices":{}}"#] {
            assert!(resources(bad.as_bytes()).is_err(), "{bad}");
        }
        for short in ["", "{", r#"{"args":["#] {
            assert_eq!(process(short.as_bytes()).unwrap_err().message, "unexpected end of JSON input");
        }
    }
}
