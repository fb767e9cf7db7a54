//! `zerocap node watch`: the node daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use zerocap_annotations::{ZcError, code, quote};
use zerocap_daemon::daemon::{self, DaemonError, Settings};
use zerocap_daemon::scrape;
use zerocap_daemon::taint::StartupTaint;
use zerocap_node::state::Store;

use crate::failure::Failure;
use crate::server::Server;

const WATCH: &str = "\
It sets the condition zerocap.io/Enforced of every pod of its node that has an annotation or a RuntimeClass of zerocap, or waits \
for that condition: True if each container that runs is confined, and the kernel showed it before the workload ran. As a \
readiness gate it keeps an unconfined pod from becoming Ready:
    spec: { readinessGates: [{ conditionType: zerocap.io/Enforced }] }

Refused starts become Events, one per pod, container and code, at most 25 at once and one more each 10 seconds. The node gets a \
label for each fence, by what the kernel did when the shim or the installer tried it. With --startup-taint it loses that taint as soon \
as it is labelled zerocap.io/ready=true: a node may be registered with it, so that no pod comes too early.

At --listen it serves /metrics (Prometheus), /pods and /pods/NAMESPACE/NAME (with enforcement reports). Only a loopback address is \
taken: nobody is asked there who they are. At --metrics-listen it serves /metrics alone, over HTTPS and to the network: a caller shows a \
bearer token, the API server says whose it is and whether its owner may `get` the path /metrics. That takes the right to create \
TokenReviews and SubjectAccessReviews.

It reads the state directory, as root without any capability, and writes nothing on the node. Its log is one JSON object a line, on \
standard output. The chart runs it (daemon.enabled); docs/node-daemon.md has what it may do and why.

Exit status:
  2  it could not begin; otherwise it runs until it is ended";

/// `zerocap node`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set conditions, Events and labels for the pods of this node, and serve numbers
    #[command(after_long_help = WATCH)]
    Watch(Watch),
}

/// `zerocap node watch`.
#[derive(Debug, Args)]
struct Watch {
    /// This node's name in Kubernetes
    #[arg(long, value_name = "NAME")]
    node: String,

    /// The state directory; without it /run/zerocap, or what ZEROCAP_STATE names
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// A loopback address to serve numbers and reports at; without it they are not served
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// An address to serve /metrics at over HTTPS, to callers whom Kubernetes lets `get` that path; without it, to nobody
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,

    /// The certificates for --metrics-listen, as PEM, read again when they change; without it a self-made one
    #[arg(long, value_name = "FILE", requires_all = ["metrics_listen", "metrics_key"])]
    metrics_certificate: Option<PathBuf>,

    /// The key of that certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "metrics_certificate")]
    metrics_key: Option<PathBuf>,

    /// A RuntimeClass whose pods zerocap starts; may be given several times
    #[arg(long, value_name = "NAME", default_values_t = ["zerocap".to_owned(), "zerocap-platform".to_owned()])]
    runtime_class: Vec<String>,

    /// Leave the node's labels alone, and its taints
    #[arg(long, conflicts_with = "startup_taint")]
    no_labels: bool,

    /// Take the taint of this key off the node once it is ready
    #[arg(long, value_name = "KEY")]
    startup_taint: Option<String>,

    /// Take off the labels, and the taint whether or not the node is ready: zerocap is being uninstalled
    #[arg(long)]
    leave: bool,

    #[command(flatten)]
    server: Server,
}

/// Runs the daemon.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Command::Watch(watch) = &arguments.command;
    let place = watch.server.place().map_err(|error| failure(&error.into()))?;
    let node = node_name(&watch.node)?;
    let scrape = watch.metrics_listen.map(|listen| scrape::Settings {
        listen,
        certificate: watch.metrics_certificate.clone().zip(watch.metrics_key.clone()),
        name: node.clone(),
    });
    let settings = Settings {
        place,
        node,
        scrape,
        classes: watch.runtime_class.clone(),
        store: watch.state.as_ref().map_or_else(Store::of_node, Store::at),
        listen: watch.listen,
        labels: !watch.no_labels,
        startup_taint: watch.startup_taint.clone().map(StartupTaint),
        leaving: watch.leave,
    };
    daemon::run(settings).map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The name goes into addresses of the API, so it must be one.
fn node_name(name: &str) -> Result<String, Failure> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if !name.is_empty() && name.len() <= 253 && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    let message = format!("{} is no name of a node", quote(name));
    Err(Failure::bad_input(ZcError::new(code::cluster::NODE_NAME, message, "write it as `kubectl get nodes` shows it")))
}

fn failure(error: &DaemonError) -> Failure {
    let (code, hint) = match error {
        DaemonError::Api(_) => {
            (code::cluster::API_SERVER, "run it in a pod, or give --server, --certificate-authority and --token-file")
        }
        DaemonError::Listen { .. } => (
            code::cluster::LISTEN_ADDRESS,
            "write a free port, with --listen 127.0.0.1:PORT or --metrics-listen ADDRESS:PORT",
        ),
        DaemonError::Certificate(_) => {
            (code::cluster::CERTIFICATE, "give a certificate and its key as PEM, or neither for a self-made one")
        }
        DaemonError::Thread(_) => (code::node::RUN_START, "look at the limits on processes and memory"),
    };
    Failure::bad_input(ZcError::new(code, error.to_string(), hint))
}
