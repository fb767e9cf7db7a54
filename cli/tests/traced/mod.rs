//! Runs a program and stops it before each of its own calls that changes a file of a folder: to end it there, to let the call fail, or
//! to do something in between. Programs that it starts are not followed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A file is made, or opened for writing.
    Open(PathBuf),
    /// A file gets bytes, a mode or an owner.
    Write(PathBuf),
    Rename(PathBuf, PathBuf),
    /// A file or folder is removed.
    Remove(PathBuf),
    Mkdir(PathBuf),
    Sync(PathBuf),
    Lock(PathBuf),
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Go,
    /// The program ends before the call.
    Kill(Signal),
    /// The call is not made and fails so.
    Fail(Errno),
}

/// What became of the program.
#[derive(Debug)]
pub struct Ended {
    /// Nothing, if a signal ended it.
    pub code: Option<i32>,
    pub errors: String,
}

/// Runs a command; `decide` is asked about each call that changes something below `folder`.
#[expect(clippy::zombie_processes, reason = "whoever traces it waits for it")]
pub fn run(command: &Command, folder: &Path, decide: &mut dyn FnMut(&Call) -> Act) -> Ended {
    // A shell that waits until it is traced and becomes the program then.
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r go; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    let piped = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    ptrace::attach(pid).unwrap();
    // It may still be on its way out of its own exec.
    while wait(pid) != WaitStatus::Stopped(pid, Signal::SIGSTOP) {
        ptrace::cont(pid, None).unwrap();
    }
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    ptrace::cont(pid, None).unwrap();
    let code = follow(pid, folder, decide);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    Ended { code, errors }
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}

fn follow(pid: Pid, folder: &Path, decide: &mut dyn FnMut(&Call) -> Act) -> Option<i32> {
    // After the exec comes its own return.
    let (mut running, mut inside, mut failing) = (false, true, None);
    loop {
        let mut signal = None;
        match wait(pid) {
            WaitStatus::Exited(_, code) => return Some(code),
            WaitStatus::Signaled(..) => return None,
            WaitStatus::PtraceEvent(..) => running = true,
            WaitStatus::PtraceSyscall(_) => {
                inside = !inside;
                let mut registers = ptrace::getregs(pid).unwrap();
                if inside {
                    match call(pid, folder, &registers).map_or(Act::Go, |call| decide(&call)) {
                        Act::Go => {}
                        Act::Kill(with) => {
                            // Whatever the call would have done, it is not done.
                            registers.orig_rax = u64::MAX;
                            ptrace::setregs(pid, registers).unwrap();
                            kill(pid, with).unwrap();
                        }
                        Act::Fail(error) => {
                            failing = Some(error);
                            registers.orig_rax = u64::MAX;
                            ptrace::setregs(pid, registers).unwrap();
                        }
                    }
                } else if let Some(error) = failing.take() {
                    registers.rax = (-i64::from(error as i32)).cast_unsigned();
                    ptrace::setregs(pid, registers).unwrap();
                }
            }
            WaitStatus::Stopped(_, with) => signal = Some(with),
            other => panic!("{other:?}"),
        }
        match if running { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) } {
            // Killed where it stood.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The call, if it changes something below the folder.
fn call(pid: Pid, folder: &Path, registers: &libc::user_regs_struct) -> Option<Call> {
    let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
    let number = |index: usize| arguments[index] as i32;
    let of = |index: usize| fs::read_link(format!("/proc/{pid}/fd/{}", number(index))).unwrap_or_default();
    let path = |index: usize| text(pid, arguments[index]);
    // A relative path is one of the folder that the argument before it opened.
    let at = |index: usize| if path(index).is_absolute() { path(index) } else { of(index - 1).join(path(index)) };
    let writes = |flags: i32| flags & (libc::O_CREAT | libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC) != 0;
    let call = match registers.orig_rax as i64 {
        libc::SYS_open if writes(number(1)) => Call::Open(path(0)),
        libc::SYS_openat if writes(number(2)) => Call::Open(at(1)),
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_sendfile | libc::SYS_ftruncate => Call::Write(of(0)),
        libc::SYS_fchmod | libc::SYS_fchown => Call::Write(of(0)),
        libc::SYS_copy_file_range => Call::Write(of(2)),
        libc::SYS_chmod | libc::SYS_chown => Call::Write(path(0)),
        libc::SYS_rename => Call::Rename(path(0), path(1)),
        libc::SYS_renameat | libc::SYS_renameat2 => Call::Rename(at(1), at(3)),
        libc::SYS_unlink | libc::SYS_rmdir => Call::Remove(path(0)),
        libc::SYS_unlinkat => Call::Remove(at(1)),
        libc::SYS_mkdir => Call::Mkdir(path(0)),
        libc::SYS_mkdirat => Call::Mkdir(at(1)),
        libc::SYS_fsync | libc::SYS_fdatasync => Call::Sync(of(0)),
        libc::SYS_flock => Call::Lock(of(0)),
        _ => return None,
    };
    let (Call::Open(path)
    | Call::Write(path)
    | Call::Rename(_, path)
    | Call::Remove(path)
    | Call::Mkdir(path)
    | Call::Sync(path)
    | Call::Lock(path)) = &call;
    path.starts_with(folder).then_some(call)
}

/// A path in the program's memory.
fn text(pid: Pid, address: u64) -> PathBuf {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut bytes = vec![0; 4096];
    let room = 4096 - address as usize % 4096;
    let mut length = memory.read_at(&mut bytes[..room], address).unwrap_or_default();
    if !bytes[..length].contains(&0) {
        length += memory.read_at(&mut bytes[length..], address + length as u64).unwrap_or_default();
    }
    let end = bytes[..length].iter().position(|&byte| byte == 0).unwrap_or(length);
    PathBuf::from(String::from_utf8_lossy(&bytes[..end]).into_owned())
}
