//! What the tests share: real specs, a host as this project's kernel 6.18, pods from annotations.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod generate;
#[path = "../host/mod.rs"]
mod host;
pub mod meaning;
pub mod snapshot;

use std::collections::BTreeMap;

use serde_json::Value;
use zerocap_annotations::{EngineTraits, Floor, Host, PodPolicy};

pub use host::host;

/// The config.json of a restricted pod's container, as containerd 2.1 wrote it.
pub fn workload_spec() -> Value {
    serde_json::from_str(include_str!("../data/workload.json")).expect("JSON")
}

/// The config.json of the same pod's pause container.
pub fn sandbox_spec() -> Value {
    serde_json::from_str(include_str!("../data/sandbox.json")).expect("JSON")
}

/// The process of an exec, as containerd derives it from its own copy of the spec.
pub fn exec_process(spec: &Value, args: &[&str]) -> Value {
    let mut process = spec["process"].clone();
    process["args"] = args.into();
    process
}

/// Calls that an engine makes under `linux.seccomp`: two that platform mode refuses, and two that it does not.
pub const ENGINE_CALLS: [&str; 4] = ["accept4", "accept", "recvfrom", "sendmsg"];

/// Their numbers on x86-64.
pub const ENGINE_NUMBERS: [u32; 4] = [288, 43, 45, 46];

/// The same, with an engine that is still at work when it has loaded the profile, and loads none on an exec.
pub fn host_with_calls() -> Host {
    let calls_after_seccomp = ENGINE_CALLS.map(str::to_owned).to_vec();
    Host { engine: EngineTraits { name: "youki".into(), seccomp_on_exec: false, calls_after_seccomp }, ..host() }
}

/// Annotations as a map.
pub fn map(annotations: &[(&str, &str)]) -> BTreeMap<String, String> {
    annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A pod in platform mode, with further annotations.
pub fn pod(annotations: &[(&str, &str)]) -> PodPolicy {
    let mut all = map(annotations);
    all.insert("network-enforcement".into(), "platform".into());
    PodPolicy::new(&all, &Floor::none()).expect("a pod policy")
}

/// A pod with these annotations and no others.
pub fn pod_with(annotations: &[(&str, &str)]) -> PodPolicy {
    PodPolicy::new(&map(annotations), &Floor::none()).expect("a pod policy")
}
