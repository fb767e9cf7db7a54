//! `delete`: removes cgroups and state.

use std::path::Path;

use anyhow::{Context, bail};
use libcontainer::container::ContainerStatus;
use liboci_cli::Delete;

use crate::{bundle, state};

/// Removes a container that has stopped (or was never started); with `--force` any, and none at all is fine then.
pub fn delete(arguments: &Delete, root: &Path) -> anyhow::Result<()> {
    let directory = state::directory(root, &arguments.container_id)?;
    if arguments.force && !directory.exists() {
        bundle::remove(root, &arguments.container_id);
        return Ok(());
    }
    let mut container = match state::load(root, &arguments.container_id) {
        // A create that was killed half-way leaves a directory without a readable state.
        Err(_) if arguments.force => {
            bundle::remove(root, &arguments.container_id);
            return std::fs::remove_dir_all(&directory).context("cannot remove the container's state");
        }
        other => other?,
    };
    let status = container.status();
    if !arguments.force && !matches!(status, ContainerStatus::Stopped | ContainerStatus::Created) {
        bail!("cannot delete container {} that is not stopped: {}", arguments.container_id, state::word(status));
    }
    // Removing the cgroup kills what is in it: refuse one that is not the container's own.
    if let Ok(config) = container.spec() {
        state::check_cgroup_path(&config.cgroup_path)?;
    }
    container.delete(arguments.force).context("cannot delete the container")?;
    bundle::remove(root, &arguments.container_id);
    Ok(())
}
