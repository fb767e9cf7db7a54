//! The command line of `zerocap install` and `zerocap uninstall`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::driver::Wish;
use super::turn;

const INSTALL: &str = "\
What it does, in this order:
  1. copies the three programs to PREFIX/VERSION-HASH/; versions that pods run on stay where they are
  2. appends a block between two marker lines to containerd's configuration (or writes a drop-in where the configuration \
imports a folder), which names the shim by its full path; every other byte stays
  3. asks containerd whether it accepts the result (`containerd config dump`), before anything is replaced
  4. restarts containerd, if something changed, and waits until it answers
  5. starts a container in platform mode through containerd, which looks at itself (the self-test), and notes that in \
/run/zerocap/installed.json, from which the node gets its label
If containerd does not come back, or the container is not confined, the former configuration is put back and containerd restarted \
with it. A run that was killed is made good by the next one. Run twice, it changes nothing.

With --lease it waits, before step 2's change, until it holds a Lease of the cluster, and gives that back when it is done: so no more nodes than \
there are Leases restart containerd at once. A node that fails keeps it for a minute, and one that dies loses it after a minute.

Examples:
  zerocap install node --dry-run
  zerocap install node --restart 'systemctl restart containerd'
  zerocap install node --config /var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl --restart 'systemctl restart k3s' --ctr 'k3s ctr'

Exit status:
  0  installed, or already so
  1  refused or undone: the node is as it was
  2  the command line or a file cannot be understood: nothing was touched";

const UNINSTALL: &str = "\
Takes the block (or the drop-in) out of containerd's configuration, which is then byte for byte what it was, restarts containerd and \
removes the programs, the floor file that `install` wrote, and what zerocap remembers in /run/zerocap. Refused while pods run on \
the programs: containerd refuses execs and exec probes in a pod whose handler it no longer knows. Delete or drain those pods first. \
The note of the self-test goes in any case, so that a labelled node gets no new ones.";

/// `zerocap install`.
#[derive(Debug, Args)]
pub struct Install {
    /// What to install.
    #[command(subcommand)]
    pub what: What,
}

/// What can be installed.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, parsed at the start")]
pub enum What {
    /// The shim, its engine and containerd's handlers, on this node
    #[command(after_long_help = INSTALL)]
    Node(Node),
    #[command(hide = true)]
    Stay,
}

/// `zerocap install node`.
#[derive(Debug, Args)]
pub struct Node {
    #[command(flatten)]
    pub place: Place,

    /// The folder with the programs to install; without it, the one that this program lies in
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,

    /// The engine of both handlers: auto, embedded, or a path to runc, crun or youki
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub engine: String,

    /// Who manages the cgroups of both handlers' containers: it must be what the kubelet uses
    #[arg(long, value_enum, value_name = "DRIVER", default_value_t = Wish::Auto)]
    pub cgroup_driver: Wish,

    /// The floor file to put at /etc/zerocap/floor.toml; without it, one that an earlier run put there is removed
    #[arg(long, value_name = "FILE")]
    pub floor: Option<PathBuf>,

    /// Do not start a container to see that it is confined; the node then gets no label
    #[arg(long)]
    pub no_self_test: bool,

    /// Show what would change as a unified diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `zerocap uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// What to uninstall.
    #[command(subcommand)]
    pub what: WhatToRemove,
}

/// What can be uninstalled.
#[derive(Debug, Subcommand)]
pub enum WhatToRemove {
    /// Everything that `zerocap install node` put on this node
    #[command(after_long_help = UNINSTALL)]
    Node(RemoveNode),
}

/// `zerocap uninstall node`.
#[derive(Debug, Args)]
pub struct RemoveNode {
    #[command(flatten)]
    pub place: Place,

    /// Succeed if nothing is installed
    #[arg(long)]
    pub if_installed: bool,
}

/// Where things lie on the node.
#[derive(Debug, Args)]
pub struct Place {
    /// containerd's configuration, or the template from which a distribution makes it
    #[arg(long, value_name = "FILE", default_value = "/etc/containerd/config.toml")]
    pub config: PathBuf,

    /// The folder for the programs; it must be executable and survive a reboot
    #[arg(long, value_name = "DIR", default_value = "/opt/zerocap")]
    pub prefix: PathBuf,

    /// containerd itself, to check the configuration with
    #[arg(long, value_name = "PROGRAM", default_value = "containerd")]
    pub containerd: String,

    /// The shell line that restarts containerd
    #[arg(long, value_name = "COMMAND", default_value = "systemctl restart containerd")]
    pub restart: String,

    /// containerd's own client, as the beginning of a shell line
    #[arg(long, value_name = "COMMAND", default_value = "ctr")]
    pub ctr: String,

    /// The shell line that succeeds as soon as containerd answers; without it, `version` of containerd's own client
    #[arg(long, value_name = "COMMAND")]
    pub healthy: Option<String>,

    /// Seconds that containerd may take to answer after a restart
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u64,

    /// Work in the mount and control group namespaces of this process: 1 from a pod with hostPID
    #[arg(long, value_name = "PID")]
    pub enter: Option<u32>,

    #[command(flatten)]
    pub turn: turn::Arguments,

    /// How to say what was done
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

impl Place {
    /// The shell line that succeeds as soon as containerd answers.
    pub fn healthy(&self) -> String {
        self.healthy.clone().unwrap_or_else(|| format!("{} version", self.ctr))
    }
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One line for each step that changed something
    Text,
    /// The same as one JSON object
    Json,
}
