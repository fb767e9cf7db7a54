//! One run of an engine: streams, descriptors, time limit, result.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio as ProcessStdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::errors::{LogMark, shorten};
use super::{Engine, EngineError, Running, SHORT};
use crate::reaper::ExitWatch;
use crate::sys::limits;

/// How much an engine may write to its captured output.
const MAX_OUTPUT: u64 = 64 * 1024;
/// The highest signal number of Linux.
const MAX_SIGNAL: u32 = 64;
/// How long a killed engine may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// Variables that would make an engine pass on more descriptors, or speak to our service manager.
const SCRUBBED: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/// Standard streams of an engine call.
pub enum Stdio {
    /// No input; output is kept for the error message.
    Captured,
    /// As [`Stdio::Captured`], with input.
    Input(File),
    /// The streams become those of the container's process; `None` is `/dev/null`.
    Container {
        /// Standard input.
        stdin: Option<OwnedFd>,
        /// Standard output.
        stdout: Option<OwnedFd>,
        /// Standard error.
        stderr: Option<OwnedFd>,
    },
}

impl Stdio {
    /// Captured output and `bytes` as input.
    pub(super) fn input(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self::Input(file))
    }
}

/// A call to be made.
pub(super) struct Call<'a> {
    pub(super) bundle: &'a Path,
    /// Verb and arguments.
    pub(super) args: Vec<OsString>,
    pub(super) stdio: Stdio,
    pub(super) fds: Vec<FdMapping>,
    /// The engine and all that it starts leave no cores.
    pub(super) no_core: bool,
    pub(super) limit: Duration,
}

impl<'a> Call<'a> {
    /// A call with captured output and the short limit.
    pub(super) fn short(bundle: &'a Path, args: Vec<OsString>) -> Self {
        Self { bundle, args, stdio: Stdio::Captured, fds: Vec::new(), no_core: false, limit: SHORT }
    }
}

/// What is needed to tell the result of a call once the engine has ended.
pub(crate) struct Finish {
    pid: i32,
    verb: String,
    limit: Duration,
    log: LogMark,
    output: Option<File>,
}

impl Engine {
    pub(super) fn cannot_run(&self, error: io::Error) -> EngineError {
        EngineError::CannotRun { program: self.program.clone(), reason: error.to_string() }
    }

    pub(super) async fn call(&self, call: Call<'_>) -> Result<String, EngineError> {
        self.begin(call)?.complete().await
    }

    /// Starts the engine. Everything given to it is closed on our side when this returns, so that
    /// an end of file is seen as soon as the container's own copies are gone.
    pub(super) fn begin(&self, call: Call<'_>) -> Result<Running, EngineError> {
        let verb = call.args.first().map(|verb| verb.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.args(self.global_arguments(call.bundle)).args(&call.args).current_dir(call.bundle);
        scrub(&mut command);
        if call.no_core {
            limits::no_core_in(&mut command);
        }
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let output = connect(&mut command, call.stdio).map_err(|error| self.cannot_run(error))?;
        if !call.fds.is_empty() {
            command.fd_mappings(call.fds).map_err(|error| self.cannot_run(io::Error::other(error)))?;
        }
        let log = LogMark::now(call.bundle);
        let (child, exit) = self.reaper.spawn(&mut command).map_err(|error| self.cannot_run(error))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        tracing::debug!(verb, pid, "engine started");
        Ok(Running { exit, finish: Finish { pid, verb, limit: call.limit, log, output } })
    }
}

impl Running {
    /// Waits for the engine, kills it when its time is over, and tells the result with its output.
    ///
    /// # Errors
    /// The engine's own words, or that it hung.
    pub async fn complete(mut self) -> Result<String, EngineError> {
        let finish = self.finish;
        if let Ok(exit) = tokio::time::timeout(finish.limit, self.exit.wait()).await {
            return finish.result(exit.status);
        }
        kill(finish.pid);
        // Not reaped within the bound either: the reaper will do it whenever the kernel lets go.
        let _ = tokio::time::timeout(AFTER_KILL, self.exit.wait()).await;
        Err(EngineError::TimedOut { verb: finish.verb, seconds: finish.limit.as_secs() })
    }

    /// A handle that can kill the engine while somebody else waits for it.
    #[must_use]
    pub fn aborter(&self) -> Aborter {
        Aborter { exit: self.exit.clone(), pid: self.finish.pid }
    }
}

/// Kills an engine that is not wanted any more.
pub struct Aborter {
    exit: ExitWatch,
    pid: i32,
}

impl Aborter {
    /// Kills the engine if it still runs.
    pub fn abort(&self) {
        if self.exit.now().is_none() {
            kill(self.pid);
        }
    }
}

impl Finish {
    fn result(mut self, status: u32) -> Result<String, EngineError> {
        let output = self.output.as_mut().map(read_output).unwrap_or_default();
        if status == 0 {
            return Ok(output);
        }
        // No signal has a number above 64; 255 is runc's own status for a failed exec.
        if (129..=128 + MAX_SIGNAL).contains(&status) {
            return Err(EngineError::Killed { verb: self.verb, signal: status - 128 });
        }
        let words = self.log.last_error().or_else(|| Some(shorten(output.trim())).filter(|text| !text.is_empty()));
        Err(EngineError::Failed(
            words.unwrap_or_else(|| {
                format!("the engine ended with status {status} in {:?} and gave no reason", self.verb)
            }),
        ))
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may be gone already; that is what we want.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn scrub(command: &mut Command) {
    for name in SCRUBBED {
        command.env_remove(name);
    }
}

fn connect(command: &mut Command, stdio: Stdio) -> io::Result<Option<File>> {
    let stream = |end: Option<OwnedFd>| end.map_or_else(ProcessStdio::null, ProcessStdio::from);
    let input = match stdio {
        Stdio::Container { stdin, stdout, stderr } => {
            command.stdin(stream(stdin)).stdout(stream(stdout)).stderr(stream(stderr));
            return Ok(None);
        }
        Stdio::Captured => None,
        Stdio::Input(file) => Some(OwnedFd::from(file)),
    };
    // A memory file of fixed size instead of a pipe: nobody has to read it while the engine runs, a
    // descendant that keeps it open delays nothing, and an engine that prints for ever hits its end.
    let file = File::from(rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(MAX_OUTPUT)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW)?;
    command.stdin(stream(input)).stdout(file.try_clone()?).stderr(file.try_clone()?);
    Ok(Some(file))
}

fn read_output(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAX_OUTPUT).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::warn!(%error, "cannot read what the engine printed");
    }
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::reaper::Reaper;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    /// Runs scripts as engines, all with the one reaper that a process has.
    struct Rig {
        directory: tempfile::TempDir,
        reaper: Reaper,
    }

    impl Rig {
        fn new() -> Self {
            let reaper = Reaper::new();
            reaper.run().unwrap();
            Self { directory: tempfile::tempdir().unwrap(), reaper }
        }

        async fn run(&self, script: &str, limit: Duration) -> Result<String, EngineError> {
            let place = self.directory.path();
            self.call(script, Call { limit, ..Call::short(place, vec!["verb".into()]) }).await
        }

        async fn call(&self, script: &str, call: Call<'_>) -> Result<String, EngineError> {
            let program: PathBuf = self.directory.path().join("engine");
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let options = Options { binary_name: program.to_str().unwrap().to_owned(), ..Options::default() };
            let engine = Engine::new(&options, "ns", self.reaper.clone()).unwrap();
            engine.call(call).await
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn words_come_from_the_log_then_from_the_output() {
        let _turn = crate::reaper::CHILDREN.lock().await;
        let rig = Rig::new();
        let log = r#"echo noise; while [ "$1" != --log ]; do shift; done
echo '{"level":"error","msg":"from the log"}' > "$2"; exit 1"#;
        assert_eq!(rig.run(log, SHORT).await, Err(EngineError::Failed("from the log".into())));
        let loud = "echo from stderr >&2; exit 1";
        assert_eq!(rig.run(loud, SHORT).await, Err(EngineError::Failed("from stderr".into())));
        let error = rig.run("exit 3", SHORT).await.unwrap_err();
        assert!(error.to_string().contains("status 3"), "{error}");
        assert_eq!(rig.run("echo fine", SHORT).await.unwrap(), "fine\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_engine_that_hangs_dies_or_prints_for_ever_is_bounded() {
        let _turn = crate::reaper::CHILDREN.lock().await;
        let rig = Rig::new();
        let error = rig.run("exec sleep 60", Duration::from_millis(100)).await;
        assert!(matches!(error, Err(EngineError::TimedOut { .. })), "{error:?}");
        let error = rig.run("kill -9 $$", SHORT).await.unwrap_err();
        assert!(error.may_leave_something(), "{error:?}");
        let printed = rig.run("yes 2>/dev/null; exit 0", SHORT).await.unwrap();
        assert_eq!(printed.len() as u64, MAX_OUTPUT);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_leaves_no_core_cannot_begin_to() {
        let _turn = crate::reaper::CHILDREN.lock().await;
        let rig = Rig::new();
        let limits = "exec sed -n 's/^Max core file size *//p' /proc/self/limits";
        let call = |no_core| Call { no_core, ..Call::short(rig.directory.path(), vec!["verb".into()]) };
        let of_the_call = rig.call(limits, call(true)).await.unwrap();
        assert_eq!(of_the_call.split_ascii_whitespace().collect::<Vec<_>>(), ["1", "1", "bytes"]);
        let ours = rig.call(limits, call(false)).await.unwrap();
        assert_ne!(ours, of_the_call);
    }

    #[test]
    fn dangerous_variables_do_not_reach_the_engine() {
        let mut command = Command::new("engine");
        command.envs(SCRUBBED.map(|name| (name, "1")));
        scrub(&mut command);
        assert_eq!(command.get_envs().filter(|(_, value)| value.is_some()).count(), 0);
    }
}
