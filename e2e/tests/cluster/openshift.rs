//! OpenShift's restricted-v2 and restricted-v3, enforced by policies of the same content (`e2e/openshift/`): our examples are admitted with
//! the ids that OpenShift would give them, and run; what the constraints forbid is refused.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::Suite;
use crate::examples;
use crate::manifest::{Namespace, annotated, restricted};

pub fn add(suite: &mut Suite) {
    for scc in ["restricted-v2", "restricted-v3"] {
        suite.add(&format!("openshift::{scc}::admits_the_examples"), move |cluster| admitted(cluster, scc));
        suite.add(&format!("openshift::{scc}::refuses_the_rest"), move |cluster| refused(cluster, scc));
    }
}

/// Far from any id of an image, as a project's are.
const UID: u64 = 1_000_620_000;

/// A project: a namespace with the ids that OpenShift hands out.
fn project<'c>(cluster: &'c Cluster, scc: &str, standard: &str) -> std::io::Result<Namespace<'c>> {
    for file in ["fill", "restricted-v2", "restricted-v3"] {
        cluster.apply(&fs::read_to_string(node::repository().join(format!("e2e/openshift/{file}.yaml")))?)?;
    }
    let space = Namespace::with(
        cluster,
        json!({ "scc.test/enforce": scc, "pod-security.kubernetes.io/enforce": standard }),
        json!({
            "openshift.io/sa.scc.uid-range": format!("{UID}/10000"),
            "openshift.io/sa.scc.supplemental-groups": format!("{UID}/10000"),
            "openshift.io/sa.scc.mcs": "s0:c25,c20",
        }),
    )?;
    // Policies take a moment to bite.
    let mut forbidden = restricted("pod");
    forbidden["spec"]["securityContext"]["runAsUser"] = json!(5);
    space.until(Duration::from_secs(30), "the policies", || {
        let arguments = ["-n", &space.name, "create", "--dry-run=server", "-f", "-"];
        Ok(cluster.kubectl(&arguments, &forbidden.to_string()).is_err_and(|error| error.to_string().contains(scc)))
    })?;
    Ok(space)
}

/// What an author leaves to OpenShift.
fn without_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for id in ["runAsUser", "runAsGroup", "fsGroup"] {
                fields.remove(id);
            }
            fields.values_mut().for_each(without_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(without_ids),
        _ => {}
    }
}

fn admitted(cluster: &Cluster, scc: &str) -> TestResult {
    let space = project(cluster, scc, "restricted")?;
    examples::image(cluster)?;
    examples::volume(cluster, &format!("examples-{scc}"))?;
    for file in examples::files()? {
        let object = ["-n", &space.name, "create", "--dry-run=client", "-ojson", "-f", &file];
        let text = cluster.kubectl(&object, "")?;
        // Several documents come one after the other.
        for object in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let mut object = object.map_err(std::io::Error::other)?;
            without_ids(&mut object);
            space.create(&object)?;
        }
    }
    examples::wait(&space)?;
    let id = |pod: &str| space.kubectl(&["exec", pod, "--", "id", "-u"]);
    let uid = if scc == "restricted-v3" { 1000 } else { UID };
    ensure_eq!(id("restricted")?.trim(), uid.to_string(), "the uid");
    let confined =
        space.kubectl(&["exec", "store-0", "--", "grep", "CapBnd:.*0000000000000000", "/proc/self/status"])?;
    ensure!(!confined.is_empty(), "not confined");
    let groups = space.kubectl(&["exec", "store-0", "--", "id", "-G"])?;
    ensure!(groups.split_whitespace().any(|group| group == uid.to_string()), "fsGroup is not among {groups}");
    let mapped = space.kubectl(&["exec", "restricted", "--", "cat", "/proc/self/uid_map"])?;
    let host = mapped.split_whitespace().nth(1) == Some("0");
    ensure_eq!(host, scc == "restricted-v2", "whether ids are the node's: {mapped}");
    Ok(())
}

/// What the constraints forbid, and the field of theirs that says so. The standard of the namespace is none, so that nobody else refuses.
fn forbidden(scc: &str) -> Vec<(&'static str, Value, &'static str)> {
    let mut cases = vec![
        ("/spec/hostNetwork", json!(true), "allowHostNetwork"),
        ("/spec/hostPID", json!(true), "allowHostPID"),
        ("/spec/hostIPC", json!(true), "allowHostIPC"),
        ("/spec/containers/0/ports", json!([{ "containerPort": 80, "hostPort": 80 }]), "allowHostPorts"),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation"),
        (
            "/spec/containers/0/securityContext",
            json!({ "privileged": true, "capabilities": { "drop": ["ALL"] } }),
            "allowPrivilegedContainer",
        ),
        ("/spec/containers/0/securityContext/capabilities", json!({ "drop": ["NET_RAW"] }), "requiredDropCapabilities"),
        (
            "/spec/containers/0/securityContext/capabilities",
            json!({ "drop": ["ALL"], "add": ["SYS_ADMIN"] }),
            "allowedCapabilities",
        ),
        ("/spec/containers/0/securityContext/seccompProfile", json!({ "type": "Unconfined" }), "seccompProfiles"),
        (
            "/spec/containers/0/securityContext/seccompProfile",
            json!({ "type": "Localhost", "localhostProfile": "x.json" }),
            "seccompProfiles",
        ),
        ("/spec/volumes", json!([{ "name": "v", "hostPath": { "path": "/" } }]), "volumes"),
        ("/spec/volumes", json!([{ "name": "v", "nfs": { "server": "10.0.0.1", "path": "/" } }]), "volumes"),
        ("/spec/securityContext/sysctls", json!([{ "name": "kernel.msgmax", "value": "1" }]), "no unsafe sysctls"),
        ("/spec/securityContext/runAsUser", json!(65535), "runAsUser"),
        ("/spec/containers/0/securityContext/runAsUser", json!(999), "runAsUser"),
        ("/spec/securityContext/fsGroup", json!(5), "fsGroup"),
        ("/spec/securityContext/seLinuxOptions", json!({ "level": "s0:c1,c2" }), "seLinuxContext"),
        ("/spec/containers/0/securityContext/seLinuxOptions", json!({ "type": "container_init_t" }), "seLinuxContext"),
    ];
    if scc == "restricted-v3" {
        cases.push(("/spec/hostUsers", json!(true), "userNamespaceLevel"));
    }
    cases
}

fn refused(cluster: &Cluster, scc: &str) -> TestResult {
    let space = project(cluster, scc, "privileged")?;
    let answer = |pod: &Value| {
        let arguments = ["-n", &space.name, "create", "--dry-run=server", "-f", "-"];
        cluster.kubectl(&arguments, &pod.to_string()).map(drop).map_err(|error| error.to_string())
    };
    // Without our annotation and class: only the constraints judge.
    let mut pod = annotated(restricted("pod"), &[]);
    without_ids(&mut pod);
    pod["spec"]["runtimeClassName"] = json!(null);
    if let Err(error) = answer(&pod) {
        ensure!(false, "without a fault: {error}");
    }
    for (place, value, field) in forbidden(scc) {
        let mut pod = with(&pod, place, value.clone());
        // With users of its own the API server itself forbids the host's namespaces.
        if place.starts_with("/spec/host") {
            pod["spec"]["hostUsers"] = json!(true);
        }
        let verdict = answer(&pod);
        let wanted = format!("{scc}: {field}");
        ensure!(
            verdict.as_ref().is_err_and(|said| said.contains(&wanted)),
            "{place} {value}: {verdict:?}, not {wanted}"
        );
    }
    Ok(())
}

/// The pod with another value at a place, whose parents are there.
fn with(pod: &Value, place: &str, value: Value) -> Value {
    let mut pod = pod.clone();
    if let Some((parent, name)) = place.rsplit_once('/')
        && let Some(parent) = pod.pointer_mut(parent)
    {
        parent[name] = value;
    }
    pod
}
