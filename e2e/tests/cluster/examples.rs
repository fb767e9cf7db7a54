//! What is in `examples/`, applied as it is written, in a namespace that enforces the restricted standard, and what the pages say of it.

use std::fs;

use serde_json::json;
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, node};

use crate::manifest::Namespace;
use crate::{Suite, console};

pub fn add(suite: &mut Suite) {
    suite.add("examples::what_the_pages_say", shown);
    suite.add_alone("examples::kubernetes_in_five_minutes", five_minutes);
}

/// The files, in the order of their names.
pub fn files() -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(node::repository().join("examples"))?;
    let mut files: Vec<String> = entries.flatten().map(|entry| entry.path().display().to_string()).collect();
    files.retain(|file| file.ends_with(".yaml"));
    files.sort();
    Ok(files)
}

/// The image that they have beside busybox, as `hack/cluster chart` imports it.
pub fn image(cluster: &Cluster) -> std::io::Result<()> {
    cluster.import("python")
}

/// A volume for the StatefulSet, as an administrator makes one where no provisioner is. One claim takes it.
pub fn volume(cluster: &Cluster, name: &str) -> std::io::Result<()> {
    // In memory: the ids of a user namespace can be mapped there.
    let path = format!("/run/{name}");
    cluster.exec(&["mkdir", "-p", &path], "")?;
    let node = cluster.kubectl(&["get", "nodes", "-ojsonpath={.items[0].metadata.name}"], "")?;
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": "1Mi" }, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
    });
    cluster.apply(&volume.to_string())
}

/// Until everything runs that is meant to, and what is meant to end has ended.
pub fn wait(space: &Namespace<'_>) -> TestResult {
    let rollout = space.kubectl(&["rollout", "status", "statefulset/store", "--timeout=90s"]);
    let jobs = space.kubectl(&["wait", "--for=condition=Complete", "--timeout=90s", "jobs", "--all"]);
    let pods = space.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "--timeout=90s",
        "pods",
        "-l",
        "!batch.kubernetes.io/job-name",
    ]);
    let all = [rollout.map(drop), jobs.map(drop), pods.map(drop)].into_iter().collect::<Result<Vec<()>, _>>();
    if let Err(error) = all {
        let story = space.kubectl(&["describe", "pods"]).unwrap_or_default();
        ensure!(false, "{error}\n{story}");
    }
    Ok(())
}

fn shown(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    image(cluster)?;
    volume(cluster, "examples")?;
    let files = files()?;
    ensure!(files.len() >= 7, "only {files:?}");
    for file in files {
        // Warnings of the API server are mistakes of ours.
        let output = cluster.exec(&["kubectl", "-n", &space.name, "apply", "-f", &file], "")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && text.is_empty(), "{file}: {text}");
    }
    wait(&space)?;
    console::run(cluster, "examples/README.md", None, &space.name)
}

fn five_minutes(cluster: &Cluster) -> TestResult {
    console::run(cluster, "README.md", Some("Kubernetes in five minutes"), "default")
}
