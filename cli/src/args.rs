//! The command line. The long help is the manual page, so it says what the exit status means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT: &str = "\
Exit status:
  0  the answer is yes: it would start, it is confined, every promise can be kept
  1  the answer is no: refused, not confined, a promise that this kernel cannot keep
  2  there is no answer: a command line, file or code that cannot be understood

Errors are one line with a stable code; `zerocap explain CODE` prints its page.";

const EXPLAIN: &str = "\
Examples:
  What would this annotation do to an ordinary restricted pod on this machine?
    zerocap explain --annotation network-enforcement=platform

  What would happen to a container of a node, with its floor, decided on a laptop?
    zerocap explain --spec config.json --floor floor.toml --host host.json

  What would kubectl exec run under?
    zerocap explain --spec config.json --exec

  May it connect there, and by which entry?
    zerocap explain --annotation network-enforcement=platform --annotation zerocap.io/egress=10.0.0.0/8:443 --dest 10.1.2.3:443

  What does this error mean?
    zerocap explain ZC0102

The decision is a pure function of spec, annotations, floor and host: the shim takes the same one. A host file is the \
JSON that `zerocap check --output host` prints on a node (TOML works too).";

const STATUS: &str = "\
Without an ID: one line for every container that zerocap started on this node. With an ID (or the beginning of one, as \
`crictl ps` shows it): its enforcement report, promise by promise, and what the kernel showed before the workload ran; \
exit status 1 if it is not confined.

A container without a report was not started by zerocap and is NOT confined, whatever its annotations say. The usual \
reason is a pod without runtimeClassName, or a handler in containerd's configuration that does not pass the annotations:
    pod_annotations = [\"network-enforcement\", \"zerocap.io/*\", \"*.zerocap.io/*\"]

Reports are kept in /run/zerocap/NAMESPACE/ID/, readable by root; ZEROCAP_STATE names another directory.";

const EGRESS: &str = "\
Without an ID: one line for every container of this node that has a packet fence. With an ID (or the beginning of one, as `crictl ps` \
shows it): its policy, what was approved and refused by destination, addresses that are permitted for a time, and the last \
distinct refusals with process, reason, and the annotation that would permit each.

Examples:
  Follow a container while you try its program
    zerocap egress 0123456789abc --watch
  Under zerocap.io/mode: audit, what would the annotation have to be?
    zerocap egress 0123456789abc --suggest
  All containers of the node, for a node exporter's textfile collector
    zerocap egress --output prometheus

Exit status 1 if the container has no fence, 2 if nothing can be told (not root, no such container). A process's name is its own word for \
itself. docs/egress-tools.md describes every field and metric.";

const CHECK: &str = "\
Every ability is tried, not looked up: an operation is done once without and once with the right handled, in a thread \
that is thrown away. So a vendor kernel that reports a version and lacks a part is seen. The result is remembered until \
the next boot, in /run/zerocap/host.json, where root may write it; nothing else on the machine changes.

A promise that is \"partly\" kept satisfies platform mode unless it is egress or inbound, and never an explicit zerocap.io/require. Exit status 1 if a pod \
in platform mode would be refused here.";

/// Confines containers by annotation: zero capabilities and a kernel-enforced sandbox for ordinary pods.
///
/// zerocap shows what the containerd shim `containerd-shim-zerocap-v2` would do (explain), what it did (status), and
/// what the kernel of this machine can enforce (check). Only install and uninstall change anything. It also runs programs of
/// this machine confined, without a container (run).
#[derive(Debug, Parser)]
#[command(name = "zerocap", version, after_long_help = EXIT)]
pub struct Arguments {
    /// What to show.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would be enforced for a spec and annotations, or the page of an error code
    ///
    /// Reads an OCI config.json as containerd writes it (without --spec: that of an ordinary restricted pod), adds the
    /// annotations and the floor, and shows the policy, the promises with the fences that keep them, every change of
    /// the spec, and what the launcher will do. Needs neither root nor a node.
    #[command(after_long_help = EXPLAIN)]
    Explain(Explain),
    /// Show what is enforced for the containers of this node
    #[command(after_long_help = STATUS)]
    Status(Status),
    /// Show what a container's packet fence let through and refused, and what would permit that
    #[command(after_long_help = EGRESS)]
    Egress(Egress),
    /// Show what the kernel of this machine can enforce, and what is missing
    #[command(after_long_help = CHECK)]
    Check(Check),
    /// Write, read and compare system call filters, and run programs under them
    ///
    /// A profile is a preset, a list in TOML, an OCI profile in JSON, or a compiled filter; every command takes any.
    Seccomp(crate::seccomp::Arguments),
    /// Install zerocap on this node: programs and containerd's handlers
    Install(crate::install::args::Install),
    /// Remove what `zerocap install` put there
    Uninstall(crate::install::args::Uninstall),
    /// Tell Kubernetes what is enforced on this node
    Node(crate::node::Arguments),
    /// Show what is enforced for the pods of a cluster, through kubectl
    Kubectl(crate::kubectl::Arguments),
    /// Run a program of this machine confined, without a container and without root
    ///
    /// The program gets what a confined container's gets from the launcher: no privileges to gain, a seccomp filter, a
    /// Landlock domain, no descriptors but standard ones; by the same annotations and the same decision. What takes a
    /// container is said to be missing (--output table), and refuses the start where zerocap.io/require asks for it.
    Run(crate::run::Arguments),
    /// Show what an attacker inside a program could do, without and with zerocap
    Try(crate::attempt::Arguments),
    /// Look at this process, and say whether it is confined
    #[command(hide = true)]
    SelfTest,
    #[command(hide = true)]
    Probe(crate::attempt::args::Probe),
    /// Print a completion script for a shell
    ///
    /// For bash: zerocap completion bash > /etc/bash_completion.d/zerocap
    Completion(Completion),
}

/// `zerocap explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// An error code such as ZC0102: print its page and nothing else
    #[arg(conflicts_with_all = ["spec", "annotation", "floor", "host", "exec", "list"])]
    pub code: Option<String>,

    /// Print every error code with its title
    #[arg(long)]
    pub list: bool,

    /// Only whether this destination may be reached, and by which entry: HOST:PORT, tcp:// or udp:// before it
    ///
    /// Exit status: 0 it may, 1 it may not, 2 the question cannot be understood, 3 it is a name that egress does not have, so
    /// that its addresses decide at run time.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["code", "list", "exec"])]
    pub dest: Option<String>,

    /// The container's config.json as containerd wrote it; - is stdin
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,

    /// An annotation of the pod, over those in the spec; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub annotation: Vec<(String, String)>,

    /// The container's name in its pod, for exceptions such as unix.zerocap.io/NAME
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,

    /// The pod's Kubernetes namespace, for the sections of the floor
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// The node's floor file; without it there is no floor
    #[arg(long, value_name = "FILE")]
    pub floor: Option<PathBuf>,

    /// The node: a file (JSON or TOML), or `this` machine
    #[arg(long, value_name = "FILE|this", default_value = "this")]
    pub host: PathBuf,

    /// The engine that runs the container, with --host this
    #[arg(long, value_name = "NAME", default_value = "runc")]
    pub engine: String,

    /// Explain a process executed into the container: a process.json, or the spec's own process
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub exec: Option<Option<PathBuf>>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = ExplainOutput::Table)]
    pub output: ExplainOutput,
}

/// Forms of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainOutput {
    /// For people: policy, promises, changes, launch plan
    Table,
    /// For programs: the policy, the enforcement report, the rewritten spec
    Json,
    /// Only the changes of the spec, as a unified diff
    Diff,
    /// Only the rewritten spec (or process)
    Spec,
}

/// `zerocap status`.
#[derive(Debug, Args)]
pub struct Status {
    /// A container's ID, or its beginning
    pub id: Option<String>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `zerocap egress`.
#[derive(Debug, Args)]
pub struct Egress {
    /// A container's ID, or its beginning
    pub id: Option<String>,

    /// Print what is allowed and refused from now on, line by line, until the container ends
    #[arg(long, requires = "id", conflicts_with = "suggest")]
    pub watch: bool,

    /// Print the annotations that would have permitted what was refused
    #[arg(long, requires = "id", conflicts_with = "output")]
    pub suggest: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = EgressOutput::Table)]
    pub output: EgressOutput,
}

/// Forms of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EgressOutput {
    /// For people
    Table,
    /// For programs, as docs/egress.schema.json describes it; with --watch one object a line
    Json,
    /// Prometheus text (not with --watch)
    Prometheus,
}

/// `zerocap check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The engine to check for
    #[arg(long, value_name = "NAME", default_value = "runc")]
    pub engine: String,

    /// How to show it
    #[arg(long, value_enum, default_value_t = CheckOutput::Table)]
    pub output: CheckOutput,
}

/// `zerocap completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Forms of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Forms of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people
    Table,
    /// For programs: abilities and promises
    Json,
    /// A host file for `zerocap explain --host`
    Host,
}

/// `KEY=VALUE` of --annotation.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in network-enforcement=platform".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
