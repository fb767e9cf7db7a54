//! Knobs whose values change what a pod may do, each beside its other value.

use zerocap_e2e::attack::table::World;
use zerocap_e2e::attack::{PROGRAM, echo_listeners, run};
use zerocap_e2e::pod::PodBuilder;
use zerocap_e2e::{Container, Node, Outcome, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("knobs::proxy_port", &ENGINES, proxy_port);
    suite.each("knobs::unix_none", &ENGINES, unix_none);
    suite.each("knobs::unix_any", &ENGINES, unix_any);
    suite.each("knobs::an_exception_for_one_container", &ENGINES, exception);
    suite.each("knobs::named_policy", &[ENGINES[1]], named_policy);
}

/// What a Python expression comes to inside the container, or the name of the error.
fn python(container: &Container<'_>, expression: &str) -> Result<String, Outcome> {
    let script =
        format!("import socket\ntry: print({expression})\nexcept OSError as error: print(type(error).__name__)\n");
    let output = container.exec(&["python3", "-c", &script])?;
    ensure!(output.code == 0, "{expression}: {output:?}");
    Ok(output.stdout.trim().to_owned())
}

fn reaches(container: &Container<'_>, port: u16) -> Result<String, Outcome> {
    python(container, &format!("socket.create_connection(('127.0.0.1', {port}), 5) and 'connected'"))
}

fn proxy_port(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/proxy-port", "8888").start()?;
    echo_listeners(&pod.netns()?, &["127.0.0.1:8888", "127.0.0.1:3128"])?;
    let main = pod.python("main")?;
    ensure_eq!(reaches(&main, 8888)?, "connected", "the port that was asked for");
    ensure_eq!(reaches(&main, 3128)?, "PermissionError", "the usual port");
    Ok(())
}

fn unix_none(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/unix", "none").start()?;
    let main = pod.python("main")?;
    for kind in ["STREAM", "DGRAM", "SEQPACKET"] {
        let said = python(&main, &format!("socket.socket(socket.AF_UNIX, socket.SOCK_{kind})"))?;
        ensure_eq!(said, "PermissionError", "a unix socket of type {kind}");
    }
    ensure_eq!(python(&main, "len(socket.socketpair())")?, "2", "a pair");
    Ok(())
}

/// What the attacker says of a neighbour's abstract socket.
fn abstract_socket(node: &Node, pod: PodBuilder<'_>) -> Result<String, Outcome> {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = pod.start()?;
    let _neighbour = run::neighbour(&pod, World::Network)?;
    let attacker = World::Network.container(&pod)?.command(&["sleep", "100000"]).start()?;
    let said = attacker.exec(&["/attacks", "abstract_stream"])?.stdout;
    Ok(said.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn unix_any(node: &Node, handler: &str) -> TestResult {
    let pod = || World::Network.pod(node, handler);
    ensure_eq!(abstract_socket(node, pod().annotate("zerocap.io/unix", "any"))?, "SUCCEEDED", "unix: any");
    ensure_eq!(abstract_socket(node, pod().annotate("zerocap.io/unix", "container"))?, "REFUSED", "unix: container");
    Ok(())
}

fn exception(node: &Node, handler: &str) -> TestResult {
    let pod = |name: &str| World::Network.pod(node, handler).annotate(&format!("unix.zerocap.io/{name}"), "any");
    ensure_eq!(abstract_socket(node, pod("attacker"))?, "SUCCEEDED", "the container that is excepted");
    ensure_eq!(abstract_socket(node, pod("attaker"))?, "REFUSED", "a container whose name is misspelt");
    Ok(())
}

/// A policy of the floor file, which concerns a whole node: on one of its own.
fn named_policy(_: &Node, handler: &str) -> TestResult {
    let mut node = Node::start()?;
    let floor = "version = 1\n[policies.reader]\nnetwork-enforcement = \"platform\"\nfilesystem = \"read-only\"\n";
    std::fs::write(node.path("/etc/zerocap/floor.toml"), floor)?;
    let written = {
        let pod = node.pod(handler).annotate("zerocap.io/policy", "reader").start()?;
        pod.sleeper("main")?.sh("echo x > /tmp/file")?
    };
    node.down()?;
    ensure!(written.code != 0 && written.stderr.contains("Read-only"), "the policy is not in force: {written:?}");
    Ok(())
}
