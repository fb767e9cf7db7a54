//! One process of a container: its first one, or one that was exec'd.
//!
//! Its state is a value that is replaced at once and never locked over a wait; whoever needs to wait for
//! a change watches it.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use containerd_shim::protos::api::Status;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::reaper::{Exit, ExitWatch};
use crate::status::{self, TaskError, TaskResult};
use crate::stdio::{Live, Request};
use crate::sys;

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It can be started.
    Created,
    /// A start is under way.
    Starting,
    /// It was started.
    Started,
    /// It was started and its container is frozen.
    Paused,
    /// It was deleted.
    Deleted,
}

/// The state of a process at one moment.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Zero before it is known.
    pub(crate) pid: i32,
    /// How it ended, as soon as it was reaped.
    pub(crate) exit: Option<Exit>,
    /// Whether the exit event went out; only then does Wait return.
    pub(crate) announced: bool,
    /// Whether it is an exec that could not be started: nobody waits for the end of what never was.
    pub(crate) failed: bool,
}

/// A process that the engine has made.
pub(crate) struct Made {
    pub(crate) pid: i32,
    pub(crate) watch: ExitWatch,
    pub(crate) live: Live,
}

/// A process and its streams.
pub(crate) struct Process {
    /// Empty for a container's first process.
    pub(crate) exec_id: String,
    pub(crate) stdio: Request,
    /// What an exec runs, as containerd described it; null for a container's first process.
    pub(crate) spec: Value,
    state: watch::Sender<State>,
    live: OnceLock<Arc<Live>>,
    /// Tells of the end; known once the engine has made the process.
    watch: OnceLock<ExitWatch>,
    /// Serialises Delete calls.
    pub(crate) deleting: Mutex<()>,
}

impl Process {
    /// A container's first process; unless it is restored, the engine has made it already.
    pub(crate) fn init(stdio: Request, made: Option<Made>) -> Self {
        let process = Self::new("", stdio, Value::Null);
        if let Some(made) = made {
            process.made(made);
        }
        process
    }

    /// An exec, of which nothing exists yet.
    pub(crate) fn exec(exec_id: &str, stdio: Request, spec: Value) -> Self {
        Self::new(exec_id, stdio, spec)
    }

    fn new(exec_id: &str, stdio: Request, spec: Value) -> Self {
        Self {
            exec_id: exec_id.to_owned(),
            stdio,
            spec,
            state: watch::Sender::new(State {
                phase: Phase::Created,
                pid: 0,
                exit: None,
                announced: false,
                failed: false,
            }),
            live: OnceLock::new(),
            watch: OnceLock::new(),
            deleting: Mutex::new(()),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.state.borrow().pid
    }

    pub(crate) fn exited(&self) -> bool {
        self.state.borrow().exit.is_some()
    }

    /// The pid as the task API wants it.
    pub(crate) fn wire_pid(&self) -> u32 {
        u32::try_from(self.pid()).unwrap_or(0)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Waits until the state fulfils `condition`.
    pub(crate) async fn when(&self, condition: impl FnMut(&State) -> bool) {
        let mut watch = self.state.subscribe();
        // An error would mean that the sender is gone, and it is in `self`.
        let _ = watch.wait_for(condition).await;
    }

    /// Begins a start: `Created` becomes `Starting`, once.
    pub(crate) fn begin_start(&self) -> TaskResult<()> {
        let mut result = Ok(());
        self.state.send_modify(|state| match (state.phase, &state.exit) {
            (_, Some(_)) => result = Err(TaskError::unknown("cannot start a stopped process")),
            (Phase::Created, None) => (state.phase, state.failed) = (Phase::Starting, false),
            (Phase::Paused, None) if self.exec_id.is_empty() => {
                result = Err(TaskError::unknown("cannot start a paused process"));
            }
            (Phase::Starting | Phase::Started | Phase::Paused, None) => {
                result = Err(TaskError::unknown("cannot start a running process"));
            }
            (Phase::Deleted, None) => result = Err(TaskError::unknown("cannot start a deleted process")),
        });
        result
    }

    /// The state in the words of the task API.
    pub(crate) fn status(&self) -> Status {
        let state = self.state.borrow();
        match (&state.exit, state.phase) {
            (Some(_), _) => Status::STOPPED,
            (None, Phase::Created | Phase::Starting) => Status::CREATED,
            (None, Phase::Started) => Status::RUNNING,
            (None, Phase::Paused) => Status::PAUSED,
            (None, Phase::Deleted) => Status::STOPPED,
        }
    }

    /// Exit status and time; zero and none while it lives.
    pub(crate) fn ended(&self) -> (u32, Option<SystemTime>) {
        let state = self.state.borrow();
        match &state.exit {
            Some(exit) => (exit.status, Some(exit.at)),
            None => (0, None),
        }
    }

    /// Takes what the engine has made: the process and its streams. Once.
    pub(crate) fn made(&self, made: Made) {
        // A second value would be dropped, which closes the streams.
        let _ = self.live.set(Arc::new(made.live));
        let _ = self.watch.set(made.watch);
        self.update(|state| state.pid = made.pid);
    }

    /// What tells of the end, once the process is made.
    pub(crate) fn watch(&self) -> Option<ExitWatch> {
        self.watch.get().cloned()
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.get().cloned()
    }

    /// Sends a signal by pid. The pid is that of a child which we have not reaped, or nothing is sent.
    pub(crate) fn signal(&self, signal: u32) -> TaskResult<()> {
        let state = self.state.borrow();
        // The watch knows in the very step in which the process is reaped; its number may be another one's afterwards.
        let reaped = self.watch.get().is_some_and(|watch| watch.now().is_some());
        if state.exit.is_some() || reaped {
            return Err(TaskError::not_found("process already finished: not found"));
        }
        if state.pid == 0 {
            return Err(TaskError::failed_precondition("process not created: failed precondition"));
        }
        sys::signal::send(state.pid, signal).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => TaskError::not_found("process already finished: not found"),
            _ => {
                let whose = if self.exec_id.is_empty() { "" } else { "exec kill error: " };
                TaskError::unknown(format!("{whose}unknown error after kill: {}", status::words(&error)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: u32) -> Exit {
        Exit { pid: 1, status, comm: Vec::new(), at: SystemTime::now() }
    }

    #[test]
    fn a_process_is_started_once_and_not_after_its_end() {
        let process = Process::exec("e", Request::default(), Value::Null);
        process.begin_start().unwrap();
        assert_eq!(process.status(), Status::CREATED, "starting is not running");
        assert!(process.begin_start().is_err());
        process.update(|state| state.phase = Phase::Started);
        assert_eq!(process.status(), Status::RUNNING);
        assert!(process.begin_start().is_err());

        let dead = Process::exec("e", Request::default(), Value::Null);
        dead.update(|state| state.exit = Some(exit(3)));
        assert!(dead.begin_start().is_err());
        assert_eq!((dead.status(), dead.ended().0), (Status::STOPPED, 3));
    }

    #[test]
    fn signals_never_go_to_a_process_that_ended_or_never_was() {
        use containerd_shim::protos::ttrpc::Code;
        let process = Process::exec("e", Request::default(), Value::Null);
        assert_eq!(process.signal(9).unwrap_err().code, Code::FAILED_PRECONDITION);
        process.update(|state| state.exit = Some(exit(0)));
        assert_eq!(process.signal(9).unwrap_err().code, Code::NOT_FOUND);
    }
}
