//! `kill`: signals without a race for the pid.

use std::path::Path;

use anyhow::{Context, bail};
use libcgroups::common::{CgroupManager, FreezerState};
use libcontainer::container::{Container, ContainerStatus};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::args::Kill;
use crate::{state, sys};

/// Sends a signal to the init, or to every process of the container. The recorded status stays as it is: whether the
/// process ends is up to it.
pub fn kill(arguments: &Kill, root: &Path) -> anyhow::Result<()> {
    let signal = sys::signal(&arguments.signal).with_context(|| format!("unknown signal {:?}", arguments.signal))?;
    let container = state::load(root, &arguments.container_id)?;
    if arguments.all {
        return kill_all(&container, signal);
    }
    match container.status() {
        ContainerStatus::Stopped | ContainerStatus::Creating => bail!("container not running"),
        _ => {}
    }
    kill_init(root, &container, signal)?;
    // A frozen process does not die: version 1 cgroups keep even SIGKILL waiting.
    if container.status() == ContainerStatus::Paused && signal == Signal::KILL {
        state::cgroups(&container)?.freeze(FreezerState::Thawed)?;
    }
    Ok(())
}

fn kill_init(root: &Path, container: &Container, signal: Signal) -> anyhow::Result<()> {
    let gone = "container not running";
    let pid = container.state.pid.and_then(Pid::from_raw).context(gone)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).context(gone)?;
    // The descriptor pins whoever has the pid now; only then does the comparison with the record mean something.
    if state::load(root, container.id())?.state.pid.is_none() {
        bail!(gone);
    }
    match pidfd_send_signal(process, signal) {
        Err(Errno::SRCH) => bail!(gone),
        other => other.context("cannot send the signal"),
    }
}

/// Every process in the container's cgroup; frozen meanwhile, so that none escapes by forking.
fn kill_all(container: &Container, signal: Signal) -> anyhow::Result<()> {
    let cgroups = state::cgroups(container)?;
    // Not every hierarchy has a freezer.
    let frozen = cgroups.freeze(FreezerState::Frozen).is_ok();
    let result = signal_all(&cgroups, signal);
    if frozen && container.status() != ContainerStatus::Paused || signal == Signal::KILL {
        drop(cgroups.freeze(FreezerState::Thawed));
    }
    result
}

fn signal_all(cgroups: &impl CgroupManager, signal: Signal) -> anyhow::Result<()> {
    // No cgroup (any more): nobody to signal.
    let Ok(pids) = cgroups.get_all_pids() else {
        return Ok(());
    };
    for pid in pids.into_iter().filter_map(|pid| Pid::from_raw(pid.as_raw())) {
        match kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => return Err(e).context("cannot send the signal"),
        }
    }
    Ok(())
}
