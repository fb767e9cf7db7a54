//! Which descriptors may reach a container: stdio, and exactly those that `--preserve-fds` announces.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use libcontainer::syscall::syscall::create_syscall;

/// Variables of systemd's socket activation: libcontainer would hand more descriptors to the container for them.
const ACTIVATION: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Starts this program once more without the variables of socket activation, if there are any.
pub fn scrub_socket_activation() -> anyhow::Result<()> {
    if ACTIVATION.iter().all(|name| std::env::var_os(name).is_none()) {
        return Ok(());
    }
    let mut again = Command::new("/proc/self/exe");
    again.args(std::env::args_os().skip(1));
    for name in ACTIVATION {
        again.env_remove(name);
    }
    // Returns only if it fails.
    Err(again.exec()).context("cannot drop the variables of socket activation")
}

/// Checks that the announced descriptors are open, and marks every other one close-on-exec.
///
/// A number that is too high would hand one of the engine's own descriptors to the container, without an error.
pub fn keep(announced: i32) -> anyhow::Result<()> {
    if !(0..=1024).contains(&announced) {
        bail!("--preserve-fds {announced} is out of range");
    }
    for fd in 3..3 + announced {
        // readlink opens nothing, so it cannot fill the gap that it looks for.
        if Path::new(&format!("/proc/self/fd/{fd}")).read_link().is_err() {
            bail!("--preserve-fds {announced}, but descriptor {fd} is not open");
        }
    }
    create_syscall().close_range(announced).context("cannot mark inherited descriptors close-on-exec")
}
