//! The pods of `examples/`, applied as they are written, in a namespace that enforces the restricted standard.

use std::fs;

use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, node};

use crate::Suite;
use crate::manifest::Namespace;

pub fn add(suite: &mut Suite) {
    suite.add("examples::every_one_becomes_ready", ready);
    suite.add("examples::what_the_pages_say", shown);
}

fn files() -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(node::repository().join("examples"))?;
    let mut files: Vec<String> = entries.flatten().map(|entry| entry.path().display().to_string()).collect();
    files.retain(|file| file.ends_with(".yaml"));
    files.sort();
    Ok(files)
}

fn ready(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let files = files()?;
    ensure!(files.len() >= 3, "only {files:?}");
    for file in files {
        // Warnings of the API server are mistakes of ours.
        let output = cluster.exec(&["kubectl", "-n", &space.name, "apply", "-f", &file], "")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && text.is_empty(), "{file}: {text}");
    }
    space.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "pods", "--all"])?;
    Ok(())
}

fn shown(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    for name in ["agent", "web"] {
        space.kubectl(&[
            "apply",
            "-f",
            &node::repository().join(format!("examples/{name}.yaml")).display().to_string(),
        ])?;
        space.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", &format!("pod/{name}")])?;
    }
    let exec = |pod: &str, line: &str| space.kubectl(&["exec", pod, "--", "sh", "-c", line]);
    ensure!(exec("agent", "wget -q -O - http://example.com/")?.contains("from the proxy"), "the proxy does not answer");
    let direct = exec("agent", "http_proxy= wget -T 3 -q -O - http://10.90.0.1:443/").err().map(|e| e.to_string());
    ensure!(direct.as_ref().is_some_and(|t| t.contains("ermission denied")), "past the proxy: {direct:?}");
    let written = exec("web", "echo x > /tmp/x").err().map(|e| e.to_string());
    ensure!(written.as_ref().is_some_and(|t| t.contains("ead-only") || t.contains("ermission denied")), "{written:?}");
    // From a pod that nothing confines, by the service's name-less address.
    let address = space.kubectl(&["get", "service", "web", "-ojsonpath={.spec.clusterIP}"])?;
    let page = space.kubectl(&[
        "exec",
        "agent",
        "-c",
        "proxy",
        "--",
        "wget",
        "-T",
        "5",
        "-q",
        "-O",
        "-",
        &format!("http://{address}/"),
    ])?;
    ensure!(page.contains("a page"), "the service answers {page:?}");
    Ok(())
}
