//! `kubectl zerocap egress` as a person uses it who may get the pods of one namespace and nothing else.

use std::fs;
use std::io;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, ensure_eq};

use crate::Suite;
use crate::daemon::{Daemon, SERVER, page, plugin_folder};
use crate::manifest::{Namespace, restricted};

pub fn add(suite: &mut Suite) {
    suite.add("egress::who_may_get_the_pod_sees_its_refusals", own_refusals);
}

/// A kubeconfig of an account of that namespace that may get its pods.
fn person(space: &Namespace<'_>) -> io::Result<String> {
    space.kubectl(&["create", "serviceaccount", "person"])?;
    space.kubectl(&["create", "role", "reader", "--verb=get", "--resource=pods"])?;
    let whom = format!("--serviceaccount={}:person", space.name);
    space.kubectl(&["create", "rolebinding", "reader", "--role=reader", &whom])?;
    let token = space.kubectl(&["create", "token", "person"])?;
    let dir = space.cluster.dir();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": SERVER, "certificate-authority": dir.join("keys/ca.crt") } }],
        "users": [{ "name": "u", "user": { "token": token.trim() } }],
    });
    let file = dir.join(format!("{}.kubeconfig", space.name));
    fs::write(&file, config.to_string())?;
    Ok(file.display().to_string())
}

/// A pod that was refused something, at a port that nothing else asks for.
fn refused(space: &Namespace<'_>, port: &str) -> io::Result<()> {
    let mut pod = restricted("pod");
    // Landlock, which knows ports only, lets the proxy's pass to the packet fence.
    pod["metadata"]["annotations"]["zerocap.io/proxy-port"] = json!(port);
    space.run(&pod)?;
    for _ in 0..3 {
        // It fails, which the daemon will tell.
        drop(space.kubectl(&["exec", "pod", "--", "nc", "-w", "1", "10.90.0.1", port]));
    }
    Ok(())
}

fn own_refusals(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    plugin_folder(cluster)?;
    let (own, other) = (Namespace::new(cluster)?, Namespace::new(cluster)?);
    refused(&own, "3201")?;
    refused(&other, "3202")?;
    let config = person(&own)?;
    let ask = |arguments: &[&str]| -> io::Result<Output> {
        cluster.exec(&[&["kubectl", "zerocap", "egress", "pod", "--kubeconfig", &config], arguments].concat(), "")
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    own.until(Duration::from_secs(90), "the refusals", || {
        Ok(text(&ask(&["-n", &own.name])?).contains("tcp://10.90.0.1:3201"))
    })?;
    let told = text(&ask(&["-n", &own.name])?);
    ensure!(told.contains("Refused to main, at least 3 times"), "{told}");
    ensure!(told.contains("zerocap.io/egress: 10.90.0.1:3201"), "what would permit it: {told}");
    ensure!(!told.contains("3202"), "another namespace's: {told}");
    let told: Value = serde_json::from_str(&text(&ask(&["-n", &own.name, "--output", "json"])?))?;
    ensure_eq!(told["blocked"][0]["last"][0]["destination"], json!("tcp://10.90.0.1:3201"), "as JSON");
    // The other's is there, and not for this person: neither by the plugin nor elsewhere.
    other.until(Duration::from_secs(90), "the other's refusals", || {
        Ok(other.kubectl(&["get", "pod", "pod", "-oyaml"])?.contains("10.90.0.1:3202"))
    })?;
    let foreign = ask(&["-n", &other.name])?;
    let said = String::from_utf8_lossy(&foreign.stderr);
    ensure!(foreign.status.code() == Some(2) && said.contains("ZC1404") && said.contains("orbidden"), "{foreign:?}");
    for space in [&own.name, &other.name] {
        let events = cluster.exec(&["kubectl", "--kubeconfig", &config, "get", "events", "-n", space], "")?;
        ensure!(!events.status.success(), "the control: this person reads Events in {space}");
    }
    // The node's numbers have both.
    let numbers = page(cluster, "/metrics")?;
    let row = "zerocap_refusals_total{layer=\"packet-fence\",rule=\"egress\"} ";
    let count: u64 = numbers.lines().find_map(|line| line.strip_prefix(row)?.parse().ok()).unwrap_or_default();
    ensure!(count >= 6, "{count} refusals in the numbers");
    Ok(())
}
