//! Following a command and everything that it starts.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{MemfdFlags, memfd_create};
use zerocap_seccomp::walk::write_raw;
use zerocap_seccomp::{Action, Insn, interpret};

use super::NOT_STARTED;
use super::refusals::Refusals;
use super::registers::Stopped;

/// What a terminal sends to the command and to this process: this one stays to report.
pub const HELD_BACK: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];

/// 128 plus SIGSYS: as if the kernel had ended the command.
const ENDED_BY_PROFILE: u8 = 159;
const ENOSYS: u16 = 38;

/// Runs a command. `filter` is the profile, `handing` the filter that hands its refusals over. Returns the exit
/// status, and whether the command ran at all.
pub fn trace(
    command: &[OsString],
    filter: &[Insn],
    handing: &[Insn],
    refusals: &mut Refusals,
) -> io::Result<(u8, bool)> {
    let mut file = File::from(memfd_create("zerocap-filter", MemfdFlags::CLOEXEC)?);
    file.write_all(&write_raw(handing))?;
    let mut held_back = SigSet::empty();
    held_back.extend(HELD_BACK);
    held_back.thread_block()?;
    let child = Command::new("/proc/self/exe")
        .args(["seccomp", "test-child", "--filter"])
        .arg(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
        .arg("--")
        .args(command)
        .spawn()?;
    let root = Pid::from_raw(child.id().cast_signed());
    match waitpid(root, None)? {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
        // It has said why.
        WaitStatus::Exited(_, status) => return Ok((status.try_into().unwrap_or(NOT_STARTED), false)),
        other => return Err(io::Error::other(format!("the command's process did not stop: {other:?}"))),
    }
    ptrace::setoptions(
        root,
        Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL,
    )?;
    ptrace::cont(root, None)?;
    Tracer { root, filter, refusals, started: false, ended_by_profile: false }.follow()
}

struct Tracer<'a> {
    root: Pid,
    filter: &'a [Insn],
    refusals: &'a mut Refusals,
    /// The command runs: what came before were calls of this program.
    started: bool,
    ended_by_profile: bool,
}

impl Tracer<'_> {
    fn follow(mut self) -> io::Result<(u8, bool)> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => continue,
                status => status?,
            };
            match status {
                WaitStatus::Exited(pid, status) if pid == self.root => return Ok((status as u8, self.started)),
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    let status = if self.ended_by_profile { ENDED_BY_PROFILE } else { 128 + signal as u8 };
                    return Ok((status, self.started));
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    if event == libc::PTRACE_EVENT_EXEC {
                        self.started = true;
                    } else if event == libc::PTRACE_EVENT_SECCOMP {
                        gone_is_fine(self.judge(pid))?;
                    }
                    gone_is_fine(ptrace::cont(pid, None))?;
                }
                WaitStatus::Stopped(pid, signal) => gone_is_fine(ptrace::cont(pid, delivered(pid, signal)))?,
                WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::Continued(_)
                | WaitStatus::PtraceSyscall(_)
                | WaitStatus::StillAlive => {}
            }
        }
    }

    /// A call that the profile does not permit.
    fn judge(&mut self, pid: Pid) -> Result<(), Errno> {
        if !self.started {
            return Ok(());
        }
        let stopped = Stopped::read(pid)?;
        // The kernel has run the same instructions; a filter that it loads can be interpreted.
        let answer = interpret(self.filter, &stopped.data).map_or(Action::KillProcess, Action::from_ret);
        self.refusals.add(pid, &stopped.data, answer);
        match answer {
            Action::Allow | Action::Log => Ok(()),
            Action::Errno(errno) => stopped.refuse(errno),
            // Nobody listens and nobody else traces.
            Action::Trace(_) | Action::Notify => stopped.refuse(ENOSYS),
            Action::Trap => {
                stopped.refuse(ENOSYS)?;
                kill(pid, Signal::SIGSYS)
            }
            Action::KillThread | Action::KillProcess => {
                self.ended_by_profile |= pid == self.root;
                stopped.refuse(ENOSYS)?;
                kill(pid, Signal::SIGKILL)
            }
        }
    }
}

/// The signal that a stopped thread is to get. A new thread's first stop, and stops of whole groups, are no signals.
fn delivered(pid: Pid, signal: Signal) -> Option<Signal> {
    let stops = matches!(signal, Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU);
    (!stops || (signal != Signal::SIGSTOP && ptrace::getsiginfo(pid).is_ok())).then_some(signal)
}

/// A thread may be killed at any time.
fn gone_is_fine(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
