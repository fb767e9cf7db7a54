//! What the API server refuses by the chart's policies. The judge of a mistake is `zerocap explain`: admission must give its
//! code, and must let through what it lets through.

use std::process::Command;

use serde_json::json;
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, node};

use crate::Suite;
use crate::manifest::{Namespace, annotated, container, restricted};

pub fn add(suite: &mut Suite) {
    suite.add("admission::same_code_as_explain", same_code_as_explain);
    suite.add("admission::container_names", container_names);
    suite.add("admission::annotation_without_our_class", without_class);
    suite.add("admission::workloads_are_warned", workloads);
    suite.add("admission::unreachable_port_is_warned", unreachable_port);
    suite.add("admission::namespace_demands_platform", platform_namespace);
    suite.add("admission::annotations_changed_later", changed_later);
    suite.add("admission::admitted_pods_stay", admitted_stay);
    suite.add("admission::the_floors_port_is_the_nodes_to_judge", floors_port);
    suite.add("admission::host_namespaces", host_namespaces);
    suite.add("admission::without_it_the_shim_refuses", without_it);
}

pub const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

/// Annotations of a pod with one container, `main`.
const CASES: &[&[(&str, &str)]] = &[
    &[],
    &[("example.com/anything", "goes")],
    &[PLATFORM],
    &[("network-enforcement", "cluster")],
    &[("zerocap.io/network-enforcement", "namespace")],
    &[PLATFORM, ("zerocap.io/network-enforcement", "platform")],
    &[PLATFORM, ("zerocap.io/network-enforcement", " platform\n")],
    &[("network-enforcement", " platform "), ("zerocap.io/unix", " any"), ("zerocap.io/proxy-port", "3129 ")],
    &[("network-enforcement", "platform "), ("zerocap.io/proxy-port", " 8888"), ("zerocap.io/listen", "8888")],
    &[PLATFORM, ("zerocap.io/proxy-port", "8888")],
    &[PLATFORM, ("zerocap.io/listen", "80, 8080")],
    &[PLATFORM, ("zerocap.io/listen", "*")],
    &[PLATFORM, ("zerocap.io/listen", "none")],
    &[PLATFORM, ("zerocap.io/filesystem", "read-only")],
    &[PLATFORM, ("zerocap.io/fs-read", "/usr,/etc"), ("zerocap.io/fs-execute", "/usr")],
    &[PLATFORM, ("unix.zerocap.io/main", "any")],
    &[PLATFORM, ("listen.zerocap.io/main", "8080")],
    &[PLATFORM, ("network-enforcement.zerocap.io/main", "cluster")],
    &[PLATFORM, ("zerocap.io/require", "privileges, protocols")],
    &[("network-enforcement", "platfrom")],
    &[("network-enforcement", "Platform")],
    &[("network-enforcement", "")],
    &[("Network-Enforcement", "platform")],
    &[("zerocap.io/network_enforcement", "platform")],
    &[PLATFORM, ("zerocap.io/proxyport", "3128")],
    &[PLATFORM, ("zerocap.io/listne", "80")],
    &[PLATFORM, ("zerocap.io/Listen", "80")],
    &[PLATFORM, ("zerocap.io/banana", "1")],
    &[PLATFORM, ("listn.zerocap.io/main", "80")],
    &[PLATFORM, ("a.b.zerocap.io/main", "80")],
    &[PLATFORM, ("zerocap.io/proxy-port", "0")],
    &[PLATFORM, ("zerocap.io/proxy-port", "three")],
    &[PLATFORM, ("zerocap.io/proxy-port", "99999")],
    &[PLATFORM, ("zerocap.io/listen", "80,,81")],
    &[PLATFORM, ("zerocap.io/listen", "http")],
    &[PLATFORM, ("zerocap.io/filesystem", "readonly")],
    &[PLATFORM, ("zerocap.io/fs-read", "usr")],
    &[PLATFORM, ("zerocap.io/unix", "all")],
    &[PLATFORM, ("zerocap.io/require", "everything")],
    &[PLATFORM, ("zerocap.io/seccomp", "generel")],
    &[PLATFORM, ("zerocap.io/mode", "loose")],
    &[PLATFORM, ("zerocap.io/network-enforcement", "cluster")],
    &[PLATFORM, ("zerocap.io/filesystem", "image"), ("zerocap.io/fs-write", "/data")],
    &[PLATFORM, ("zerocap.io/listen", "80,3128")],
    &[PLATFORM, ("zerocap.io/listen", "8888"), ("zerocap.io/proxy-port", "8888")],
    &[PLATFORM, ("proxy-port.zerocap.io/main", "3129")],
    &[("network-enforcement", "cluster"), ("zerocap.io/listen", "80")],
];

/// What only the shim judges, since it depends on the node's floor or on an order that CEL would have to repeat.
const LEFT_TO_THE_SHIM: &[&[(&str, &str)]] = &[
    &[("unix.zerocap.io/main", "any")],
    &[("zerocap.io/listen", "80")],
    &[PLATFORM, ("unix.zerocap.io/main", "none")],
    &[PLATFORM, ("zerocap.io/policy", "nobody-defined-this")],
];

/// The sentence with which `zerocap explain` refuses an ordinary restricted pod with these annotations: its code first.
pub fn explained(annotations: &[(&str, &str)]) -> std::io::Result<Option<String>> {
    let host = node::repository().join("cli/tests/fixtures/host.json");
    let mut command = Command::new(node::release_folder().join("zerocap"));
    command.args(["explain", "--container", "main", "--output", "diff", "--host"]).arg(host);
    for (key, value) in annotations {
        command.arg("--annotation").arg(format!("{key}={value}"));
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    match (output.status.code(), text.strip_prefix("error: ").and_then(|text| text.get(..6))) {
        (Some(0), _) => Ok(None),
        (Some(1), Some(_)) => Ok(Some(text.trim_start_matches("error: ").trim_end().to_owned())),
        _ => Err(std::io::Error::other(format!("zerocap explain {annotations:?}: {text}"))),
    }
}

/// The code in what the API server says; nothing if it takes the pod.
fn admitted(space: &Namespace<'_>, annotations: &[(&str, &str)]) -> Result<(), String> {
    let pod = annotated(restricted("pod"), annotations);
    space
        .cluster
        .kubectl(&["-n", &space.name, "create", "--dry-run=server", "-f", "-"], &pod.to_string())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn same_code_as_explain(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    for annotations in CASES {
        let (shim, server) = (explained(annotations)?, admitted(&space, annotations));
        match (shim, server) {
            (None, Ok(())) => {}
            // What this version does not enforce yet is the shim's to say: the chart outlives versions.
            (Some(said), Ok(())) if said.starts_with("ZC0109") => {}
            (Some(said), Err(text)) => ensure!(text.contains(&said[..6]), "{annotations:?}: {text}, not {said}"),
            (shim, server) => ensure!(false, "{annotations:?}: explain says {shim:?}, the API server {server:?}"),
        }
    }
    for annotations in LEFT_TO_THE_SHIM {
        let (shim, server) = (explained(annotations)?, admitted(&space, annotations));
        ensure!(shim.is_some(), "{annotations:?}: nobody refuses it");
        ensure!(server.is_ok(), "{annotations:?}: the API server judges it too, move it to the cases: {server:?}");
    }
    let text = admitted(&space, &[PLATFORM, ("zerocap.io/proxyport", "3128")]).err().unwrap_or_default();
    ensure!(text.contains("did you mean zerocap.io/proxy-port?"), "no right spelling: {text}");
    let text = admitted(&space, &[PLATFORM, ("zerocap.io/listne", "80")]).err().unwrap_or_default();
    ensure!(text.contains("did you mean zerocap.io/listen?"), "no right spelling: {text}");
    Ok(())
}

/// The shim never learns a pod's container names; the API server knows them.
fn container_names(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let text = admitted(&space, &[PLATFORM, ("unix.zerocap.io/mian", "any")]).err().unwrap_or_default();
    ensure!(text.contains("ZC0108") && text.contains("main"), "a container that is not there: {text:?}");
    let mut pod = annotated(restricted("pod"), &[PLATFORM, ("unix.zerocap.io/setup", "any")]);
    pod["spec"]["initContainers"] = json!([container("setup", &["true"])]);
    space.create(&pod)?;
    Ok(())
}

fn without_class(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["runtimeClassName"] = json!(null);
    let text = space.create(&pod).err().map(|e| e.to_string()).unwrap_or_default();
    ensure!(text.contains("UNCONFINED") && text.contains("runtimeClassName: zerocap"), "admitted: {text:?}");
    // The control: it is the annotation that is refused.
    space.create(&annotated(pod, &[]))?;
    Ok(())
}

fn workloads(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let pod = annotated(restricted("unused"), &[PLATFORM, ("zerocap.io/proxyport", "3128")]);
    let mut spec = pod["spec"].clone();
    spec["runtimeClassName"] = json!(null);
    let template = json!({ "metadata": { "labels": { "app": "x" }, "annotations": pod["metadata"]["annotations"] }, "spec": spec });
    let job = json!({ "metadata": { "annotations": {} }, "spec": { "template": template, "backoffLimit": 0 } });
    let mut job_pod = job.clone();
    job_pod["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    let selector = json!({ "matchLabels": { "app": "x" } });
    let kinds = [
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "selector": selector, "template": template } }),
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "spec": { "selector": selector, "template": template } }),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "selector": selector, "serviceName": "x", "template": template } }),
        json!({ "apiVersion": "v1", "kind": "ReplicationController", "spec": { "selector": { "app": "x" }, "template": template } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": job_pod["spec"] }),
        json!({ "apiVersion": "batch/v1", "kind": "CronJob", "spec": { "schedule": "0 0 1 1 *", "jobTemplate": job_pod } }),
    ];
    for mut object in kinds {
        object["metadata"] = json!({ "name": "x" });
        let output = cluster
            .exec(&["kubectl", "-n", &space.name, "create", "--dry-run=server", "-f", "-"], &object.to_string())?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {text}", object["kind"]);
        ensure!(text.contains("Warning:") && text.contains("ZC0101"), "{}: no warning: {text:?}", object["kind"]);
        // Schedules have the grammar's warnings only.
        ensure!(object["kind"] == "CronJob" || text.contains("UNCONFINED"), "{}: {text:?}", object["kind"]);
    }
    Ok(())
}

fn unreachable_port(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let warned = |annotations: &[(&str, &str)]| {
        let mut pod = annotated(restricted("pod"), annotations);
        pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 8080 }]);
        let output =
            cluster.exec(&["kubectl", "-n", &space.name, "create", "--dry-run=server", "-f", "-"], &pod.to_string())?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(text.contains("nobody can connect")) } else { Err(std::io::Error::other(text)) }
    };
    ensure!(warned(&[PLATFORM])?, "a port without listen: no warning");
    for silent in [&[PLATFORM, ("zerocap.io/listen", "80, 8080")][..], &[PLATFORM, ("zerocap.io/listen", "*")], &[]] {
        ensure!(!warned(silent)?, "{silent:?}: a warning without a reason");
    }
    Ok(())
}

fn platform_namespace(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    cluster.kubectl(&["label", "namespace", &space.name, "zerocap.io/enforce=platform"], "")?;
    let refused = |pod: &serde_json::Value| {
        let answer =
            space.cluster.kubectl(&["-n", &space.name, "create", "--dry-run=server", "-f", "-"], &pod.to_string());
        answer.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let plain = annotated(restricted("pod"), &[]);
    space.until(std::time::Duration::from_secs(10), "the label taking effect", || {
        Ok(refused(&plain).contains("platform mode only"))
    })?;
    let exception = annotated(restricted("pod"), &[PLATFORM, ("network-enforcement.zerocap.io/main", "cluster")]);
    ensure!(refused(&exception).contains("platform mode only"), "an exception: {:?}", refused(&exception));
    ensure!(refused(&restricted("pod")).is_empty(), "platform mode: {:?}", refused(&restricted("pod")));
    let mut by_class = plain;
    by_class["spec"]["runtimeClassName"] = json!("zerocap-platform");
    ensure!(refused(&by_class).is_empty(), "the class with the floor: {:?}", refused(&by_class));
    Ok(())
}

/// Annotations can be written to a pod that exists. They change nothing there, and a mistake is refused all the same.
fn changed_later(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.create(&restricted("pod"))?;
    let text = space.kubectl(&["annotate", "pod", "pod", "zerocap.io/listne=80"]).err().map(|e| e.to_string());
    ensure!(text.as_ref().is_some_and(|t| t.contains("ZC0101")), "admitted: {text:?}");
    // By way of its status, which others may write.
    let text = by_status(&space, r#"{"zerocap.io/listne": "80"}"#).err().map(|e| e.to_string());
    ensure!(text.as_ref().is_some_and(|t| t.contains("ZC0101")), "admitted as a part of the status: {text:?}");
    Ok(())
}

/// Changes annotations of the pod `pod` by way of its status.
fn by_status(space: &Namespace<'_>, annotations: &str) -> std::io::Result<String> {
    let patch = format!(r#"{{"metadata": {{"annotations": {annotations}}}}}"#);
    space.kubectl(&["patch", "pod", "pod", "--subresource=status", "--dry-run=server", "--type=merge", "-p", &patch])
}

/// A rule that came later holds for later pods: who is there loses finalizers, or it would never end, and Jobs never finish.
fn admitted_stay(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = annotated(restricted("pod"), &[]);
    pod["metadata"]["finalizers"] = json!(["zerocap.test/kept"]);
    space.create(&pod)?;
    cluster.kubectl(&["label", "namespace", &space.name, "zerocap.io/enforce=platform"], "")?;
    space.until(std::time::Duration::from_secs(10), "the label taking effect", || {
        Ok(space.kubectl(&["annotate", "pod", "pod", "zerocap.io/unix=any", "--dry-run=server"]).is_err())
    })?;
    let patch = r#"{"metadata": {"finalizers": null, "labels": {"example.com/x": "1"}}}"#;
    let patched = space.kubectl(&["patch", "pod", "pod", "--type=merge", "-p", patch]);
    ensure!(patched.is_ok(), "an update that changes nothing of ours: {patched:?}");
    // Networks tell by annotations what they gave a pod, by its status or not.
    let told = space.kubectl(&["annotate", "pod", "pod", "example.com/ip=10.0.0.1"]);
    ensure!(told.is_ok(), "an annotation of somebody else: {told:?}");
    let told = by_status(&space, r#"{"example.com/ip": "10.0.0.2"}"#);
    ensure!(told.is_ok(), "the same as a part of the status: {told:?}");
    // An ephemeral container is a new one.
    let debug = ["debug", "pod", "--image=zerocap.test/busybox:1", "--profile=restricted", "--image-pull-policy=Never"];
    let text = space.kubectl(&debug).err().map(|e| e.to_string()).unwrap_or_default();
    ensure!(text.contains("platform mode only"), "an ephemeral container: {text:?}");
    space.kubectl(&["delete", "pod", "pod", "--now"])?;
    Ok(())
}

/// A floor's policy can have another port than the usual one, and only the node knows it.
fn floors_port(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let by_policy = [PLATFORM, ("zerocap.io/policy", "of-the-floor"), ("zerocap.io/listen", "3128")];
    let text = admitted(&space, &by_policy);
    ensure!(text.is_ok(), "the node's to judge: {text:?}");
    let said = [&by_policy[..], &[("zerocap.io/proxy-port", "3128")]].concat();
    let text = admitted(&space, &said).err().unwrap_or_default();
    ensure!(text.contains("ZC0110"), "the pod says the port itself: {text:?}");
    Ok(())
}

fn host_namespaces(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    cluster.kubectl(
        &["label", "--overwrite", "namespace", &space.name, "pod-security.kubernetes.io/enforce=privileged"],
        "",
    )?;
    for (field, code) in [("hostNetwork", "ZC0304"), ("hostPID", "ZC0312")] {
        let mut pod = restricted("pod");
        pod["spec"][field] = json!(true);
        let text = space.create(&pod).err().map(|e| e.to_string()).unwrap_or_default();
        ensure!(text.contains(code), "{field}: {text:?}");
    }
    let mut pod = restricted("pod");
    pod["spec"]["containers"][0]["securityContext"] = json!({ "privileged": true });
    let text = space.create(&pod).err().map(|e| e.to_string()).unwrap_or_default();
    ensure!(text.contains("ZC0305"), "privileged: {text:?}");
    // Excepted from platform mode it is not judged, by the shim neither.
    let excepted = ("network-enforcement.zerocap.io/main", "cluster");
    space.create(&annotated(pod, &[PLATFORM, excepted]))?;
    let debug = ["debug", "pod", "--image=zerocap.test/busybox:1", "--profile=sysadmin", "--image-pull-policy=Never"];
    let text = space.kubectl(&debug).err().map(|e| e.to_string()).unwrap_or_default();
    ensure!(text.contains("ZC0305"), "a privileged ephemeral container: {text:?}");
    Ok(())
}

/// Where no policy looks, the shim refuses the same mistake, and `kubectl describe` shows its sentence.
fn without_it(cluster: &Cluster) -> TestResult {
    let pod = annotated(restricted("mistaken"), &[PLATFORM, ("zerocap.io/listne", "80")]);
    let exempt = Namespace::of(cluster, "kube-system");
    exempt.create(&pod)?;
    let told = exempt.until(std::time::Duration::from_secs(30), "the sentence in kubectl describe", || {
        let story = exempt.story("mistaken");
        Ok(story.contains("ZC0101") && story.contains("did you mean zerocap.io/listen?"))
    });
    exempt.kubectl(&["delete", "pod", "mistaken", "--wait=false"])?;
    Ok(told?)
}
