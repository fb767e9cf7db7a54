//! `start`: find the pod's shim or make one, answer with its address.
//!
//! The listening socket is bound here and inherited by the new shim: containerd can connect at once,
//! and `start` need not wait for the shim to be ready. Whatever fails before the answer leaves no
//! process and no socket behind.

use std::env;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use containerd_shim::cgroup::set_cgroup_and_oom_score;
use containerd_shim::{Flags, StartOpts};

use super::params::Params;
use super::serve::{LISTENER_FD, VERB};
use super::socket::{self, Group};
use crate::options::Options;
use crate::{bundle, sys};

pub(super) fn run(flags: &Flags) -> Result<Vec<u8>> {
    sys::descriptors::close_on_exec_from(3).context("cannot protect inherited descriptors")?;
    let params = Params::read(flags, env::var("TTRPC_ADDRESS").ok())?;
    let options = Options::from_any(params.options())?;
    let directory = super::bundle(flags)?;
    let group = bundle::group(&directory, &flags.id)?;
    let address = params.opts.socket_address(&group);
    match socket::join_or_take(&address)? {
        Group::Alive => {}
        Group::Ours(listener) => {
            let started = spawn(&params.opts, &group, &address, &directory, listener)
                .and_then(|child| settle(child, &options.shim_cgroup));
            if let Err(error) = started {
                // The socket is ours and nobody serves it.
                let _ = fs::remove_file(socket::path_of(&address));
                return Err(error);
            }
        }
    }
    fs::write(directory.join(bundle::ADDRESS), &address).context("cannot write the address file")?;
    params.answer(&address)
}

fn spawn(opts: &StartOpts, group: &str, address: &str, directory: &Path, listener: UnixListener) -> Result<Child> {
    if env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
        sys::sched::own_core_cookie().context("cannot enable core scheduling")?;
    }
    let mut command = Command::new(own_program()?);
    command
        .arg(VERB)
        .args(["-namespace", &opts.namespace])
        .args(["-id", group])
        .args(["-address", &opts.address])
        .args(["-socket", address])
        .env("TTRPC_ADDRESS", &opts.ttrpc_address)
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if opts.debug {
        command.arg("-debug");
    }
    command
        .fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(listener), child_fd: LISTENER_FD }])
        .map_err(io::Error::other)?;
    command.spawn().context("cannot start the shim")
}

/// Our own program, wherever it lies and whatever its name; also when the file was replaced.
fn own_program() -> Result<PathBuf> {
    let path = env::current_exe().context("cannot tell our own program")?;
    Ok(if path.exists() { path } else { "/proc/self/exe".into() })
}

/// Puts the new shim where it belongs; a shim that cannot be put there does not stay.
fn settle(mut child: Child, shim_cgroup: &str) -> Result<()> {
    let settled = set_cgroup_and_oom_score(child.id(), shim_cgroup).context("cannot move the shim to its cgroup");
    if settled.is_err() {
        // Gone already is as good; and we are its parent until we end.
        let _ = child.kill();
        let _ = child.wait();
    }
    settled
}
