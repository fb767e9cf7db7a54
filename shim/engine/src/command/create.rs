//! `create`: everything up to the start gate.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use liboci_cli::Create;
use oci_spec::runtime::Spec;

use crate::bundle::{self, Prepared};
use crate::console;
use crate::state::{self, Identity, Record};
use crate::workload::Workload;

/// Makes a container from a bundle. Nothing stays behind if it fails.
pub fn create(arguments: &Create, root: &Path, systemd: bool) -> anyhow::Result<()> {
    let directory = state::directory(root, &arguments.container_id)?;
    if directory.exists() {
        bail!("container with given ID already exists");
    }
    let spec = Spec::load(arguments.bundle.join("config.json")).context("cannot load config.json")?;
    check(&spec)?;

    let result = bundle::prepare(&arguments.bundle, &spec, root, &arguments.container_id)
        .and_then(|prepared| build(arguments, prepared, root, systemd))
        .and_then(|pid| {
            let init = Identity::of(pid).context("the container's init is gone")?;
            let bundle = fs::canonicalize(&arguments.bundle)?;
            Record { init, bundle }.save(&directory)?;
            if let Some(process) = spec.process() {
                console::give_to_user(pid, process, &spec)?;
            }
            confirm_pid_file(arguments.pid_file.as_deref(), pid)
        });
    if result.is_err() {
        undo(arguments, root);
    }
    result.context("unable to start container process")
}

/// What libcontainer would accept, and what must not be.
fn check(spec: &Spec) -> anyhow::Result<()> {
    let process = spec.process().as_ref().context("config.json has no process")?;
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        bail!("process.args must not be empty");
    }
    let linux = spec.linux().as_ref().context("config.json has no linux section")?;
    match linux.cgroups_path() {
        Some(path) => state::check_cgroup_path(path),
        None => Ok(()),
    }
}

fn build(arguments: &Create, prepared: Prepared, root: &Path, systemd: bool) -> anyhow::Result<i32> {
    let container = ContainerBuilder::new(arguments.container_id.clone(), SyscallType::default())
        .with_executor(Workload::new(prepared.profile))
        .with_root_path(root)?
        .with_console_socket(arguments.console_socket.as_ref())
        .with_pid_file(arguments.pid_file.as_ref())?
        .with_preserved_fds(arguments.preserve_fds)
        .validate_id()?
        .as_init(prepared.bundle)
        .with_systemd(systemd)
        .with_no_pivot(arguments.no_pivot)
        .with_detach(true)
        .build()?;
    container.state.pid.context("the container has no pid")
}

/// libcontainer only warns if it cannot write the file.
fn confirm_pid_file(path: Option<&Path>, pid: i32) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let written = fs::read_to_string(path).with_context(|| format!("cannot read the pid file {}", path.display()))?;
    if written.trim() != pid.to_string() {
        bail!("the pid file {} holds {written:?}, not {pid}", path.display());
    }
    Ok(())
}

/// Best effort: the error that brought us here is the one to tell.
fn undo(arguments: &Create, root: &Path) {
    if let Ok(mut container) = state::load(root, &arguments.container_id) {
        drop(container.delete(true));
    }
    if let Ok(directory) = state::directory(root, &arguments.container_id) {
        drop(fs::remove_dir_all(directory));
    }
    bundle::remove(root, &arguments.container_id);
    if let Some(path) = &arguments.pid_file {
        drop(fs::remove_file(path));
    }
}
