//! What cannot be had together with platform mode: refused with a sentence, never dropped or weakened silently.

use serde_json::Value;

use super::Target;
use super::facts::{Facts, Namespace};
use super::shape::{array, wrong};
use crate::code::{self, Code};
use crate::error::{ZcError, quote};
use crate::knob::is_beneath;
use crate::policy::Policy;

/// Annotations by which engines let a container's author change what they do.
const ENGINE_ANNOTATIONS: [&str; 3] = ["run.oci.", "krun.", "org.criu."];

/// Everything that platform mode refuses.
pub(super) fn with_platform(
    spec: &Value,
    target: Target<'_>,
    policy: &Policy,
    facts: &Facts<'_>,
) -> Result<(), ZcError> {
    host_network(policy, facts)?;
    host_pid(policy, facts)?;
    engine_annotations(spec)?;
    start_container_hooks(spec)?;
    if target == Target::Sandbox {
        return Ok(());
    }
    privileged(spec, facts)?;
    shared_propagation(spec, facts)?;
    uid_zero(facts)
}

/// The launcher's directory is mounted directly below the root, and nothing of the pod may be at, below or above it.
pub(super) fn over_launcher(facts: &Facts<'_>, target: Target<'_>) -> Result<(), ZcError> {
    let point = zerocap_plan::MOUNT_POINT;
    let covers = |destination: &str| destination == "/" || is_beneath(destination, point);
    match facts.mounts.iter().position(|mount| covers(&mount.destination)) {
        Some(index) if target != Target::Sandbox => Err(ZcError::new(
            code::spec::MOUNT_OVER_LAUNCHER,
            format!("/mounts/{index} has the destination {}", quote(&facts.mounts[index].destination)),
            format!("mount the volume outside {point}"),
        )),
        _ => Ok(()),
    }
}

fn refused(code: Code, what: impl Into<String>, instead: &str) -> ZcError {
    ZcError::new(code, what, format!("{instead}, or network-enforcement: platform"))
}

fn host_network(policy: &Policy, facts: &Facts<'_>) -> Result<(), ZcError> {
    if !facts.network.is_node() && !policy.host_network() {
        return Ok(());
    }
    Err(refused(
        code::spec::HOST_NETWORK,
        "the pod has hostNetwork (no network namespace of its own in /linux/namespaces), which platform mode excludes",
        "remove hostNetwork",
    ))
}

fn host_pid(policy: &Policy, facts: &Facts<'_>) -> Result<(), ZcError> {
    if !facts.pid.is_node() && (!policy.host_pid() || facts.pid == Namespace::Own) {
        return Ok(());
    }
    Err(refused(
        code::spec::HOST_PID,
        "the pod has hostPID (no PID namespace of its own in /linux/namespaces), which platform mode excludes",
        "remove hostPID",
    ))
}

fn engine_annotations(spec: &Value) -> Result<(), ZcError> {
    let annotations = spec.get("annotations").and_then(Value::as_object);
    let key = annotations.and_then(|all| all.keys().find(|key| ENGINE_ANNOTATIONS.iter().any(|p| key.starts_with(p))));
    match key {
        None => Ok(()),
        Some(key) => Err(refused(
            code::spec::ENGINE_ANNOTATION,
            format!("annotation {} would change what the engine does, which platform mode excludes", quote(key)),
            "remove the annotation",
        )),
    }
}

fn start_container_hooks(spec: &Value) -> Result<(), ZcError> {
    let hooks = spec.get("hooks").and_then(|hooks| hooks.get("startContainer"));
    match array(hooks, "/hooks/startContainer")? {
        Some(hooks) if !hooks.is_empty() => Err(refused(
            code::spec::START_CONTAINER_HOOK,
            "/hooks/startContainer would run inside the container before the launcher, which platform mode excludes",
            "remove the hook",
        )),
        _ => Ok(()),
    }
}

/// Capabilities and seccomp are ours whatever the spec says; all devices and a writable /sys are not.
fn privileged(spec: &Value, facts: &Facts<'_>) -> Result<(), ZcError> {
    let sign = if let Some(index) = all_devices(spec)? {
        format!("/linux/resources/devices/{index} allows all devices")
    } else if let Some(index) = facts.mounts.iter().position(|mount| mount.kind == "sysfs" && !mount.read_only) {
        format!("/mounts/{index} is a writable /sys")
    } else {
        return Ok(());
    };
    Err(refused(
        code::spec::PRIVILEGED,
        format!("the container is privileged ({sign}), which platform mode excludes"),
        "remove privileged",
    ))
}

/// A device rule that lets every device of a kind be read or written. Making nodes alone needs a capability.
fn all_devices(spec: &Value) -> Result<Option<usize>, ZcError> {
    let path = "/linux/resources/devices";
    for (index, rule) in array(spec.pointer(path), path)?.into_iter().flatten().enumerate() {
        let allow = match rule.get("allow") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(allow)) => *allow,
            Some(_) => return Err(wrong(&format!("{path}/{index}/allow"), "is neither true nor false")),
        };
        // Where the access is not written, engines differ; the widest counts.
        let access = rule.get("access").and_then(Value::as_str).filter(|access| !access.is_empty()).unwrap_or("rwm");
        let any_major = rule.get("major").and_then(Value::as_i64).is_none_or(|major| major < 0);
        let any_kind = rule.get("type").and_then(Value::as_str).is_some_and(|kind| kind == "a");
        if allow && (any_major || any_kind) && access.contains(['r', 'w']) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn shared_propagation(spec: &Value, facts: &Facts<'_>) -> Result<(), ZcError> {
    let shared = |option: &str| matches!(option, "shared" | "rshared");
    let place = match facts.mounts.iter().position(|mount| mount.options.iter().any(|option| shared(option))) {
        Some(index) => format!("/mounts/{index}/options"),
        None if spec.pointer("/linux/rootfsPropagation").and_then(Value::as_str).is_some_and(shared) => {
            "/linux/rootfsPropagation".to_owned()
        }
        None => return Ok(()),
    };
    Err(refused(
        code::spec::SHARED_PROPAGATION,
        format!("{place} lets mounts travel to the node, which platform mode excludes"),
        "remove mountPropagation: Bidirectional",
    ))
}

fn uid_zero(facts: &Facts<'_>) -> Result<(), ZcError> {
    let root_on_node = match facts.user {
        Namespace::Node => facts.uid == 0,
        // In a user namespace the mapping must show that the uid is not the node's root.
        _ => facts.node_uid.is_none_or(|uid| uid == 0),
    };
    if !root_on_node {
        return Ok(());
    }
    Err(ZcError::new(
        code::spec::UID_ZERO,
        format!("/process/user/uid {} is root on the node or may be, which platform mode excludes", facts.uid),
        "set runAsUser to another uid, or hostUsers: false",
    ))
}
