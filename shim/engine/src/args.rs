//! The command line, which is runc's as far as a shim uses it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use liboci_cli::{Create, Delete, Exec, Features, GlobalOpts, Pause, Ps, Resume, Start, State, Update};

/// Where container state is kept unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/zerocap-engine";

/// An OCI container engine for zerocap: runc's command line over the embedded libcontainer.
///
/// It is driven by containerd-shim-zerocap-v2. Exit status: 0 on success, 1 on failure (the reason is on stderr and in
/// the log file), 2 for a command line that cannot be understood; an attached exec ends with the workload's status.
#[derive(Debug, Parser)]
#[command(name = "zerocap-engine", version)]
pub struct Arguments {
    /// Options before the command.
    #[command(flatten)]
    pub global: GlobalOpts,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// The commands of this engine.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a container; its workload waits for `start`
    Create(Create),
    /// Let the workload of a created container run
    Start(Start),
    /// Print the state of a container as JSON
    State(State),
    /// Send a signal to a container
    Kill(Kill),
    /// Remove a container that has stopped
    Delete(Delete),
    /// Run another process in a container
    Exec(Exec),
    /// List the processes of a container
    Ps(Ps),
    /// Freeze a container
    Pause(Pause),
    /// Let a frozen container go on
    Resume(Resume),
    /// Change the resource limits of a container
    Update(Update),
    /// Print what this engine supports as JSON
    Features(Features),
}

/// Send a signal to a container. As in runc the signal may be left out.
#[derive(Args, Debug)]
pub struct Kill {
    /// Container identifier
    pub container_id: String,
    /// Signal, by name or number
    #[arg(default_value = "TERM")]
    pub signal: String,
    /// Send the signal to all processes of the container
    #[arg(short, long)]
    pub all: bool,
}

impl Arguments {
    /// The directory of all containers' state.
    pub fn root(&self) -> PathBuf {
        self.global.root.clone().unwrap_or_else(|| DEFAULT_ROOT.into())
    }
}

impl Action {
    /// How many descriptors from 3 on the command hands to the container.
    pub fn preserved(&self) -> i32 {
        match self {
            Self::Create(a) => a.preserve_fds,
            Self::Exec(a) => a.preserve_fds,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Command lines as containerd's shims write them.
    #[test]
    fn what_a_shim_writes_is_understood() {
        for line in [
            "--root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p --console-socket /s --preserve-fds 3 ID",
            "--root /r --log /l --log-format json create --bundle /b --no-pivot --no-new-keyring --pid-file /p ID",
            "--root /r start ID",
            "--root /r state ID",
            "--root /r kill ID 9",
            "--root /r kill --all ID SIGKILL",
            "--root /r kill ID",
            "--root /r delete --force ID",
            "--root /r exec --process /p.json --console-socket /s --detach --pid-file /p --preserve-fds 3 ID",
            "--root /r ps --format json ID",
            "--root /r pause ID",
            "--root /r resume ID",
            "--root /r update --resources - ID",
            "features",
        ] {
            let words = std::iter::once("zerocap-engine").chain(line.split(' '));
            Arguments::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn options_that_would_be_ignored_are_errors() {
        for line in ["create", "checkpoint ID", "create --restore x ID", "kill"] {
            let words = std::iter::once("zerocap-engine").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
