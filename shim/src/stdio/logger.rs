//! `binary://`: a program of the administrator's that reads a container's output.
//!
//! It gets stdout and stderr as descriptors 3 and 4 and closes descriptor 5 when it is ready. Under `binary-v2://` it
//! writes a byte there first, so that one that dies does not look like one that is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::sink::Program;
use super::{Owner, nonblocking, pipe};
use crate::reaper::{ExitWatch, Reaper};

/// How long a logger may take to get ready.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to end once its input has ended, and again after SIGTERM.
const END: Duration = Duration::from_secs(6);

/// A running logger.
pub(super) struct Logger {
    pid: i32,
    exit: ExitWatch,
}

impl Logger {
    pub(super) async fn start(
        logger: &Program,
        owner: &Owner,
        stdout: OwnedFd,
        stderr: OwnedFd,
        reaper: &Reaper,
    ) -> io::Result<Self> {
        let Some((program, arguments)) = logger.command.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let (ready, signal) = pipe()?;
        let mut process = Command::new(program);
        // Nothing of containerd's environment is meant for it: no socket to listen on, no service manager to tell.
        process
            .args(arguments)
            .env_clear()
            .env("CONTAINER_ID", &owner.container)
            .env("CONTAINER_NAMESPACE", &owner.namespace)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let fds = [stdout, stderr, signal];
        let mappings = (3..).zip(fds).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        process.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        let (child, exit) = reaper.spawn(&mut process).map_err(|error| {
            let reason = crate::status::words(&error);
            io::Error::other(format!("failed to start binary process: fork/exec {program}: {reason}"))
        })?;
        drop(process);
        let tells = logger.tells;
        let logger = Self { pid: i32::try_from(child.id()).map_err(io::Error::other)?, exit };
        match logger.ready(nonblocking(ready, Interest::READABLE)?, tells).await {
            Ok(()) => Ok(logger),
            Err(error) => {
                logger.signal(Signal::KILL);
                Err(error)
            }
        }
    }

    async fn ready(&self, ready: AsyncFd<OwnedFd>, tells: bool) -> io::Result<()> {
        if tokio::time::timeout(READY, ready.readable()).await.is_err() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the logging binary did not get ready"));
        }
        // Where only its end is a sign, that of a logger that dies is taken for it: whether its death were known by now
        // would be chance.
        if tells && rustix::io::read(ready.get_ref(), &mut [0]).unwrap_or(0) == 0 {
            let message = "logging binary did not call ready (it may have crashed or exited prematurely)";
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    /// Lets the logger read its input to the end; ends it if it stays.
    pub(super) async fn finish(mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if tokio::time::timeout(END, self.exit.wait()).await.is_ok() {
                return;
            }
            self.signal(signal);
        }
    }

    fn signal(&self, signal: Signal) {
        if self.exit.now().is_none()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // Gone already is as good.
            let _ = kill_process(pid, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started(tells: bool, script: &str) -> io::Result<Logger> {
        let reaper = Reaper::new();
        reaper.run().unwrap();
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let (out, err) = (pipe()?, pipe()?);
        Logger::start(&Program { command, tells }, &Owner::default(), out.0, err.0, &reaper).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_has_to_tell_and_dies_is_none() {
        let _turn = crate::reaper::CHILDREN.lock().await;
        for (tells, script, ready) in
            [(true, "printf x >&5", true), (true, "exit 0", false), (true, "exec 5>&-", false), (false, "exit 0", true)]
        {
            let logger = started(tells, script).await;
            assert_eq!(logger.is_ok(), ready, "{script}");
            match logger {
                Ok(logger) => logger.finish().await,
                Err(error) => assert!(error.to_string().starts_with("logging binary did not call ready"), "{error}"),
            }
        }
    }
}
