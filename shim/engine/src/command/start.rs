//! `start`: opens the gate.

use std::path::Path;

use anyhow::{Context, bail};
use libcontainer::container::ContainerStatus;
use liboci_cli::Start;

use crate::state;

/// Lets the workload of a created container run.
pub fn start(arguments: &Start, root: &Path) -> anyhow::Result<()> {
    let mut container = state::load(root, &arguments.container_id)?;
    match container.status() {
        ContainerStatus::Created => container.start().context("cannot start the container"),
        ContainerStatus::Stopped => bail!("cannot start a container that has stopped"),
        ContainerStatus::Running => bail!("cannot start an already running container"),
        other => bail!("cannot start a container in the {} state", state::word(other)),
    }
}
