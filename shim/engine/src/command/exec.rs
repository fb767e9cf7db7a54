//! `exec`: a further process in a container.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use liboci_cli::Exec;
use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::console;
use crate::state::{self, Record};
use crate::workload::Workload;

/// Runs a process in a container. Detached: 0 as soon as it runs; else its exit status.
pub fn exec(arguments: &Exec, root: &Path) -> anyhow::Result<u8> {
    let container = state::load(root, &arguments.container_id)?;
    match container.status() {
        ContainerStatus::Running => {}
        ContainerStatus::Paused if arguments.ignore_paused => {}
        ContainerStatus::Stopped => bail!("cannot exec in a stopped container"),
        ContainerStatus::Paused => {
            bail!("cannot exec in a paused container (use --ignore-paused to override)")
        }
        other => bail!("cannot exec in a container in the {} state", state::word(other)),
    }
    let spec = spec(&container)?;
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().clone());
    let room = Room::new(&container)?;
    let pid = build(arguments, &room, profile).context("exec failed: unable to start container process")?;
    drop(room);
    console(arguments, &spec, pid)?;
    if arguments.detach {
        return Ok(0);
    }
    wait(pid)
}

/// The container's spec as it was given.
fn spec(container: &Container) -> anyhow::Result<Spec> {
    let record = Record::load(&container.root).context("the engine's record of the container is gone")?;
    Spec::load(record.bundle.join("config.json")).context("cannot load config.json")
}

/// The terminal of a process that was described by a file goes to its user.
fn console(arguments: &Exec, spec: &Spec, pid: i32) -> anyhow::Result<()> {
    let Some(path) = &arguments.process else { return Ok(()) };
    let process: Process = serde_json::from_slice(&fs::read(path)?).context("cannot parse the process")?;
    console::give_to_user(pid, &process, spec)
}

fn build(arguments: &Exec, room: &Room, profile: Option<LinuxSeccomp>) -> anyhow::Result<i32> {
    let (user, group) = arguments.user.map_or((None, None), |(user, group)| (Some(user), group));
    let pid = ContainerBuilder::new(arguments.container_id.clone(), SyscallType::default())
        .with_executor(Workload::new(profile))
        .with_root_path(&room.root)?
        .with_console_socket(arguments.console_socket.as_ref())
        .with_pid_file(arguments.pid_file.as_ref())?
        .with_preserved_fds(arguments.preserve_fds)
        .validate_id()?
        .as_tenant()
        .with_detach(arguments.detach)
        .with_cwd(arguments.cwd.as_ref())
        .with_env(arguments.env.iter().cloned().collect())
        .with_process(arguments.process.as_ref())
        .with_no_new_privs(arguments.no_new_privs)
        .with_container_args(arguments.command.clone())
        .with_additional_gids(arguments.additional_gids.clone())
        .with_user(user)
        .with_group(group)
        .with_capabilities(arguments.cap.clone())
        .with_ignore_paused(arguments.ignore_paused)
        .with_sub_cgroup(arguments.cgroup.clone())
        .with_apparmor(arguments.apparmor.clone())
        .build()?;
    Ok(pid.as_raw())
}

fn wait(pid: i32) -> anyhow::Result<u8> {
    let pid = Pid::from_raw(pid).context("the process has no pid")?;
    let (_, status) = waitpid(Some(pid), WaitOptions::empty())
        .context("cannot wait for the process")?
        .context("the process did not end")?;
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    Ok(u8::try_from(code).unwrap_or(255))
}

/// A state root for this one exec, inside the container's state directory, with nothing but a link to its state.
/// libcontainer leaves a socket per exec in what it takes for the container's directory: they go with the room, and
/// with the container if this process is killed.
struct Room {
    root: PathBuf,
}

impl Room {
    fn new(container: &Container) -> anyhow::Result<Self> {
        let root = container.root.join(format!("exec-{}", std::process::id()));
        // Left by a killed exec that had our pid.
        drop(fs::remove_dir_all(&root));
        let room = Self { root };
        let inside = room.root.join(container.id());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&inside)
            .and_then(|()| symlink(container.root.join("state.json"), inside.join("state.json")))
            .context("cannot prepare the exec")?;
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Best effort: what stays goes with the container.
        drop(fs::remove_dir_all(&self.root));
    }
}
