//! The enforcement reports of a pod, from the daemon of its node through `kubectl port-forward`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use zerocap_annotations::{ZcError, code};
use zerocap_daemon::pod::{Pod, Pods};

use super::Status;
use crate::failure::Failure;

/// The port at which the chart's daemon listens, on its own loopback.
const PORT: u16 = 9464;
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A pod's reports have a few KiB each.
const LIMIT: u64 = 16 << 20;

/// A kubectl that forwards, ended with this value.
struct Forward(Child);

impl Drop for Forward {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the daemon answers for this pod: the pod, and `reports` by container.
pub fn fetch(arguments: &Status, pod: &Pod) -> Result<Value, Failure> {
    let namespace = &arguments.daemon_namespace;
    let node = format!("--field-selector=spec.nodeName={}", pod.spec.node_name);
    let label = "app.kubernetes.io/component=node-daemon";
    let daemons: Pods = arguments.common.ask(&["get", "pods", "-n", namespace, "-l", label, &node, "-o", "json"])?;
    let Some(daemon) = daemons.items.iter().find(|pod| !pod.is_over()) else {
        return Err(none(format!("no node daemon runs on {} in the namespace {namespace}", pod.spec.node_name)));
    };
    let target = format!("pod/{}", daemon.metadata.name);
    let mut child = arguments
        .common
        .kubectl(&["port-forward", "-n", namespace, "--address", "127.0.0.1", &target, &format!(":{PORT}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| none(format!("kubectl port-forward: {error}")))?;
    // kubectl says more while it forwards: it must have somebody to say it to.
    let (mut said, complaint) = (child.stdout.take().map(BufReader::new), child.stderr.take());
    let _forward = Forward(child);
    let mut line = String::new();
    if let Some(said) = &mut said {
        drop(said.read_line(&mut line));
    }
    let Some(port) = port_of(&line) else {
        let mut text = String::new();
        if let Some(complaint) = complaint {
            drop(complaint.take(LIMIT).read_to_string(&mut text));
        }
        return Err(none(format!("kubectl port-forward: {}", text.trim())));
    };
    let path = format!("/pods/{}/{}", pod.metadata.namespace, pod.metadata.name);
    let answer = get(port, &path).map_err(|error| none(error.to_string()))?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).filter(|_| answer.starts_with("HTTP/1.1 200 "));
    let known: Option<Value> = body.and_then(|body| serde_json::from_str(body).ok());
    known
        .filter(|known| Uid::deserialize(known).is_ok_and(|known| known.uid == pod.metadata.uid))
        .ok_or_else(|| none(format!("{} does not know this pod", daemon.metadata.name)))
}

/// Whose reports these are.
#[derive(Deserialize)]
struct Uid {
    uid: String,
}

/// `Forwarding from 127.0.0.1:40513 -> 9464`.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("Forwarding from 127.0.0.1:")?.split(' ').next()?.parse().ok()
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LIMIT).read_to_string(&mut answer)?;
    Ok(answer)
}

fn none(message: String) -> Failure {
    Failure::bad_input(ZcError::new(
        code::cluster::NO_DAEMON,
        message,
        "look at the daemon's pods and your rights there",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_kubectl_chose() {
        assert_eq!(port_of("Forwarding from 127.0.0.1:40513 -> 9464\n"), Some(40513));
        assert_eq!(port_of("error: unable to forward"), None);
    }
}
