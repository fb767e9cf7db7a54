//! The program as a process: made behind the launcher, waited for, told apart from the launcher when it ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use command_fds::CommandFdExt;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::sync::watch;
use tokio::time::Instant;
use zerocap_annotations::report::Report;
use zerocap_annotations::{ZcError, code};
use zerocap_handover::{Death, Handover, rows};

use super::decide::Decision;
use super::launcher::Launcher;
use super::privileges;
use super::signals::Mask;

/// How long a launcher may take to park, and to execute the program.
const LIMIT: Duration = Duration::from_secs(30);
/// What a service manager tells a program about descriptors that are closed here.
const DESCRIPTOR_VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// What the program shares with this process.
pub struct Shared {
    pub input: Stdio,
    pub output: Stdio,
    pub error: Stdio,
    /// The signals that it blocks.
    pub mask: Mask,
    /// Whether this process stops when the program does, and lets it go on when it does itself.
    pub follow_stops: bool,
}

/// A process that runs, confined.
pub struct Child {
    death: watch::Receiver<Option<Death>>,
}

impl Child {
    /// Starts `command` as decided. `parked` gets the report when the kernel has shown that it is true, before the program
    /// runs.
    pub fn start(
        decision: &Decision,
        command: &[OsString],
        shared: Shared,
        parked: impl FnOnce(Report, &OwnedFd) -> Result<(), ZcError>,
    ) -> Result<Self, ZcError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(not_started)?;
        runtime.block_on(Self::started(decision, command, shared, parked))
    }

    /// Exit status, or 128 plus the signal.
    pub fn wait(mut self) -> io::Result<u32> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let death = runtime.block_on(self.death.wait_for(Option::is_some)).map_err(io::Error::other)?;
        Ok(death.as_ref().map_or(255, |death| death.status))
    }

    async fn started(
        decision: &Decision,
        command: &[OsString],
        shared: Shared,
        parked: impl FnOnce(Report, &OwnedFd) -> Result<(), ZcError>,
    ) -> Result<Self, ZcError> {
        let confinement = &decision.confinement;
        let Some(plan) = &confinement.plan else { return Err(not_started(io::Error::other("there is no plan"))) };
        let name = command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (handover, fds) = Handover::new(plan, &name)?;
        let mut handover = handover.with_sight(decision.sight);
        let launcher = Launcher::new().map_err(not_started)?;
        let identity = launcher.identity().map_err(not_started)?;

        let mut start = Command::new(launcher.path());
        start.args(command).stdin(shared.input).stdout(shared.output).stderr(shared.error);
        for variable in DESCRIPTOR_VARIABLES {
            start.env_remove(variable);
        }
        start.fd_mappings(fds.into_mappings()).map_err(|error| not_started(io::Error::other(error)))?;
        let pid = spawn(decision, start, shared.mask).map_err(not_started)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| not_started(error.into()))?;
        let death = wait_for(pid, shared.follow_stops)?;
        let died = || {
            let mut death = death.clone();
            async move {
                match death.wait_for(Option::is_some).await.as_deref() {
                    Ok(Some(death)) => death.clone(),
                    // The thread that waits is gone: nothing is known, and the deadline counts.
                    _ => std::future::pending().await,
                }
            }
        };

        let number = pid.as_raw_nonzero().get();
        let ready = handover.parked(Instant::now() + LIMIT, died()).await?;
        let verified = handover.verify(number, &ready, &confinement.expect, identity)?;
        let mut report = confinement.report.clone();
        report.verified = rows(&verified, &confinement.expect);
        if verified.descriptors.is_none() {
            report.notes.push(
                "executable and descriptors of the parked launcher are visible to root only: the launcher's own word counts"
                    .to_owned(),
            );
        }
        parked(report, &handle)?;
        handover.go(number, &ready, identity, Instant::now() + LIMIT, died()).await?;
        Ok(Self { death })
    }
}

/// Makes the child in a thread that has given up what the program must not have.
fn spawn(decision: &Decision, mut command: Command, mask: Mask) -> io::Result<Pid> {
    if decision.platform() {
        privileges::no_core_dumps()?;
    }
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            privileges::give_up(decision)?;
            mask.restore()?;
            let child = command.spawn()?;
            Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("a child without number"))
        });
        maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes the child ended")))
    })
}

/// Waits in a thread of its own.
fn wait_for(pid: Pid, follow_stops: bool) -> Result<watch::Receiver<Option<Death>>, ZcError> {
    let (told, death) = watch::channel(None);
    let wait = move || {
        if let Ok(end) = until_dead(pid, follow_stops) {
            // Whoever started it may have given up.
            let _ = told.send(Some(end));
        }
    };
    thread::Builder::new().name("wait".into()).spawn(wait).map_err(not_started)?;
    Ok(death)
}

fn until_dead(pid: Pid, follow_stops: bool) -> io::Result<Death> {
    let id = WaitId::Pid(pid);
    let look = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    loop {
        let Some(state) = retried(|| waitid(id.clone(), look))? else { continue };
        if state.stopped() {
            // Seen once.
            let _ = retried(|| waitid(id.clone(), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG))?;
            if follow_stops {
                kill_process(getpid(), Signal::STOP)?;
                // Here this process was continued.
                kill_process(pid, Signal::CONT)?;
            }
            continue;
        }
        // A zombie still has its name.
        let comm = std::fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        let Some(end) = retried(|| waitid(id.clone(), WaitIdOptions::EXITED))? else { continue };
        let status = end.exit_status().or_else(|| end.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255);
        return Ok(Death { status: status.unsigned_abs(), comm: comm.trim_ascii_end().to_vec() });
    }
}

fn retried<T>(call: impl Fn() -> rustix::io::Result<T>) -> io::Result<T> {
    Ok(rustix::io::retry_on_intr(call)?)
}

/// Sends a signal to a child that may be gone.
pub fn signal(child: &OwnedFd, signal: Signal) {
    let _ = pidfd_send_signal(child, signal);
}

fn not_started(error: io::Error) -> ZcError {
    ZcError::new(
        code::node::RUN_START,
        format!("the launcher cannot be started: {error}"),
        "look at the limits on processes, memory and open files, and whether /proc is mounted",
    )
}
