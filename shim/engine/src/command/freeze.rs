//! `pause` and `resume`.

use std::path::Path;

use anyhow::{Context, bail};
use liboci_cli::{Pause, Resume};

use crate::state;

/// Freezes every process of a running container.
pub fn pause(arguments: &Pause, root: &Path) -> anyhow::Result<()> {
    let mut container = state::load(root, &arguments.container_id)?;
    if !container.can_pause() {
        bail!("container not running or created: {}", state::word(container.status()));
    }
    container.pause().context("cannot pause the container")
}

/// Lets a frozen container go on.
pub fn resume(arguments: &Resume, root: &Path) -> anyhow::Result<()> {
    let mut container = state::load(root, &arguments.container_id)?;
    if !container.can_resume() {
        bail!("container not paused");
    }
    container.resume().context("cannot resume the container")
}
