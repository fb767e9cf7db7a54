//! `zerocap install node` with a real containerd: a node whose configuration knows no handler of ours gets them, runs a
//! confined pod, and is byte for byte what it was after `uninstall`.

use std::fs;
use std::time::{Duration, Instant};

use zerocap_e2e::{Node, TestResult, ensure, ensure_eq};

use crate::Suite;

pub fn add(suite: &mut Suite) {
    suite.with("install::there_and_back".to_owned(), "zerocap", |_| there_and_back());
}

/// Kills containerd and waits for the next one, as `systemctl restart` does.
const RESTART: &str = "old=$(cat /run/node/containerd.pid); rm -f /run/node/booted; kill -KILL $old; \
                       until [ -e /run/node/booted ]; do sleep 0.05; done";
const PREFIX: &str = "/var/lib/zerocap-programs";

/// The configuration without the handlers that the node was made with.
fn without_ours(text: &str) -> String {
    let ours = |line: &str| {
        [".runtimes.zerocap]", ".runtimes.zerocap-platform]"].iter().any(|end| line.contains(end))
            || [".runtimes.zerocap.options]", ".runtimes.zerocap-platform.options]"]
                .iter()
                .any(|end| line.contains(end))
    };
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if line.trim_start().starts_with('[') {
            inside = ours(line);
        }
        !inside
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn run(node: &Node, verb: &str) -> Result<String, std::io::Error> {
    let config = node.configuration().display().to_string();
    let mut command = vec!["zerocap", verb, "node", "--config", &config, "--prefix", PREFIX, "--restart", RESTART];
    let from = node.program("zerocap").and_then(|program| program.parent().map(|folder| folder.display().to_string()));
    let from = from.unwrap_or_default();
    if verb == "install" {
        command.extend(["--from", &from]);
    }
    let output = node.exec(&command)?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(std::io::Error::other(text)) }
}

fn there_and_back() -> TestResult {
    // A node of its own: containerd is restarted here, under the feet of whoever else uses it.
    let mut node = Node::start()?;
    let config = node.configuration();
    let before = without_ours(&fs::read_to_string(&config)?);
    fs::write(&config, &before)?;
    node.restart_containerd()?;
    ensure!(node.pod("zerocap").platform().start().is_err(), "the handler was there before it was installed");

    run(&node, "install")?;
    ensure!(run(&node, "install")?.contains("is right already"), "the second run changes something");
    let pod = node.pod("zerocap").platform().start()?;
    let main = pod.sleeper("main")?;
    let missing = main.kernel_status()?.unconfined();
    ensure!(missing.is_empty(), "not confined: {missing:?}");
    let by_class = node.pod("zerocap-platform").start()?;
    ensure!(by_class.sleeper("main")?.kernel_status()?.unconfined().is_empty(), "zerocap-platform does not confine");
    drop(by_class);

    // No pod is stranded: while one runs, nothing is removed.
    let with = fs::read_to_string(&config)?;
    let refusal = run(&node, "uninstall").err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refusal.contains("ZC1110"), "not refused while a pod runs: {refusal:?}");
    ensure_eq!(main.exec_apart(&["true"])?.code, 0, "an exec in the pod");
    ensure_eq!(fs::read_to_string(&config)?, with, "the configuration");
    drop(main);
    drop(pod);
    // A shim ends a moment after the last container it had.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(refusal) = run(&node, "uninstall") {
        ensure!(Instant::now() < deadline && refusal.to_string().contains("ZC1110"), "uninstall: {refusal}");
    }
    ensure_eq!(fs::read_to_string(&config)?, before, "the configuration without us");
    ensure!(!node.path(PREFIX).exists(), "programs are left");
    Ok(node.down()?)
}
