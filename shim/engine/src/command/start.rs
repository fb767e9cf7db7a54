//! `start`: opens the gate.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use libcontainer::container::{Container, ContainerStatus};
use liboci_cli::Start;

use crate::state;

/// Lets the workload of a created container run.
pub fn start(arguments: &Start, root: &Path) -> anyhow::Result<()> {
    let mut container = state::load(root, &arguments.container_id)?;
    match container.status() {
        ContainerStatus::Created => {
            container.start().context("cannot start the container")?;
            wait_for_program(&container);
            Ok(())
        }
        ContainerStatus::Stopped => bail!("cannot start a container that has stopped"),
        ContainerStatus::Running => bail!("cannot start an already running container"),
        other => bail!("cannot start a container in the {} state", state::word(other)),
    }
}

/// Longer than loading a profile takes on a busy machine; a process that is stopped meanwhile must not hold us.
const LIMIT: Duration = Duration::from_secs(10);

/// Until the process has loaded its profile and become its program, or is gone: whoever looks at it after start sees it
/// as it stays.
fn wait_for_program(container: &Container) {
    let Some(pid) = container.state.pid else { return };
    let file = |path: &str| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let (engine, process) = (file("/proc/self/exe"), format!("/proc/{pid}/exe"));
    let start = Instant::now();
    while start.elapsed() < LIMIT && engine.is_some() && file(&process) == engine {
        sleep(Duration::from_micros(200));
    }
}
