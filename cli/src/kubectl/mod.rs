//! `kubectl zerocap`: the plugin, which is this program under the name `kubectl-zerocap`.
//!
//! It asks through kubectl itself: the same context, credentials and rights as everything else that the person types. So there
//! is no second reader of kubeconfig files, and nothing that a person may see here and not there.

mod ask;
mod decide;
mod egress;
mod events;
mod explain;
mod report;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::args::Output;
use crate::failure::Failure;

/// The name under which kubectl finds it.
const PLUGIN: &str = "kubectl-zerocap";

const AFTER: &str = "\
As a plugin of kubectl it is this program under another name, in a folder of PATH:
    ln -s \"$(command -v zerocap)\" /usr/local/bin/kubectl-zerocap
    kubectl zerocap status -A

It asks through kubectl, with your own rights: `get pods` for status, explain and egress, `list events` beside it for the status of one \
pod, and `create pods/portforward` in the daemon's namespace for --report.

Exit status:
  0  the answer is yes: the pod is confined, its annotations can be used; a list always
  1  the answer is no
  2  there is no answer";

/// The plugin by itself.
#[derive(Debug, Parser)]
#[command(name = "kubectl zerocap", bin_name = "kubectl zerocap", version)]
struct Plugin {
    #[command(flatten)]
    arguments: Arguments,
}

/// `zerocap kubectl`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which pods are confined, as the node daemons tell; with a POD, everything that is known of it
    Status(Status),
    /// Show what a pod's annotations ask for, container by container, or the page of an error code
    Explain(Explain),
    /// Show what a pod may reach, who may reach it, and what was refused
    Egress(One),
}

/// Whom to ask, and how to answer.
#[derive(Debug, Args)]
struct Common {
    /// The pod's namespace; without it, the context's
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// kubectl's context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// kubectl's configuration
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Read what `kubectl get pods -o json` printed instead of asking; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["context", "kubeconfig"])]
    from: Option<PathBuf>,

    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// `kubectl zerocap status`.
#[derive(Debug, Args)]
struct Status {
    /// A pod's name; without it, one line for each pod that concerns zerocap
    pod: Option<String>,

    #[command(flatten)]
    common: Common,

    /// The pods of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "pod"])]
    all_namespaces: bool,

    /// Fetch the enforcement report of each container from the node's daemon
    #[arg(long, requires = "pod", conflicts_with = "from")]
    report: bool,

    /// Where the node daemons run
    #[arg(long, value_name = "NAME", default_value = "zerocap")]
    daemon_namespace: String,
}

/// `kubectl zerocap explain`.
#[derive(Debug, Args)]
struct Explain {
    /// A pod's name, or an error code such as ZC0102
    subject: String,

    #[command(flatten)]
    common: Common,
}

/// `kubectl zerocap egress`.
#[derive(Debug, Args)]
struct One {
    /// The pod's name
    pod: String,

    #[command(flatten)]
    common: Common,
}

/// Whether kubectl has started this program as its plugin.
pub fn is_plugin() -> bool {
    std::env::args_os().next().is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == PLUGIN))
}

/// The program as kubectl starts it.
pub fn main() -> ExitCode {
    run(&Plugin::parse().arguments).unwrap_or_else(Failure::tell)
}

/// Runs one of its commands.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Status(arguments) => status::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Egress(arguments) => egress::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Plugin::command().debug_assert();
    }
}
