//! What must hold for any bytes: asked by the fuzzers, and of their corpus by tests/corpus.rs.

#[path = "../host/mod.rs"]
mod host;

use host::host;
use serde_json::Value;
use zerocap_annotations::{Floor, PodPolicy, Target, code, confine};

/// Any bytes as a config.json are no JSON, or refused with a known code, or confined without a capability. Returns
/// whether they were confined.
pub fn pod_spec(bytes: &[u8]) -> bool {
    let Ok(spec) = serde_json::from_slice::<Value>(bytes) else { return false };
    let policy = PodPolicy::from_sandbox(&spec, &Floor::builtin_platform()).and_then(|pod| pod.container_of(&spec));
    let confined = policy.and_then(|policy| {
        let null = Value::Null;
        let process = spec.get("process").unwrap_or(&null);
        confine(&spec, Target::Exec { process }, &policy, &host()).map(drop)?;
        confine(&spec, Target::Init, &policy, &host())
    });
    match confined {
        Ok(confined) => {
            for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
                let capabilities = confined.spec.pointer(&format!("/process/capabilities/{set}"));
                assert_eq!(capabilities.and_then(Value::as_array).map(Vec::len), Some(0), "{set}");
            }
            assert_eq!(confined.spec.pointer("/process/noNewPrivileges"), Some(&Value::Bool(true)));
            true
        }
        Err(error) => {
            assert!(code::lookup(error.code.as_str()).is_some(), "{error}");
            false
        }
    }
}

/// Any text is a floor, or refused with words that say so. Returns whether it was a floor.
pub fn floor_file(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Floor::parse(text) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains("floor"), "{error}");
            false
        }
    }
}

/// Any text is a frozen policy that is written as it was read, or refused. Returns whether it was a policy.
pub fn frozen_policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(policy) = PodPolicy::from_json(text) else { return false };
    // What it says may be nonsense, which is told when it is asked.
    let _ = (policy.sandbox().is_ok(), policy.platform().is_ok());
    let written = serde_json::to_string(&policy).expect("plain values");
    assert_eq!(PodPolicy::from_json(&written), Ok(policy));
    true
}
