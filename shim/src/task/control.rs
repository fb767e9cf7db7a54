//! Calls that act on a living container: kill, pause, resume, update, resize, close.

use std::sync::Arc;

use containerd_shim::api::{
    CloseIORequest, Empty, KillRequest, PauseRequest, ResizePtyRequest, ResumeRequest, Status, UpdateTaskRequest,
};
use containerd_shim::protos::events::task::{TaskPaused, TaskResumed};

use zerocap_annotations::{ZcError, code};

use super::Shim;
use super::container::Container;
use super::shape;
use crate::engine::EngineError;
use crate::status::{TaskError, TaskResult};

/// The signal that also ends a frozen container.
const SIGKILL: u32 = 9;

impl Shim {
    pub(super) async fn kill(self: Arc<Self>, request: KillRequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        if container.awaits_restore() {
            return Err(TaskError::not_found("no such container: not found"));
        }
        if !request.exec_id.is_empty() {
            process.signal(request.signal)?;
            return Ok(Empty::default());
        }
        // A frozen container of cgroup v1 dies only when it is thawed: the engine knows how.
        let frozen = process.status() == Status::PAUSED && request.signal == SIGKILL;
        if request.all {
            self.kill_all(&container, request.signal).await?;
        } else if frozen {
            container.engine.kill(&container.id, &container.bundle, request.signal, false).await.map_err(kill_error)?;
        } else {
            process.signal(request.signal)?;
        }
        Ok(Empty::default())
    }

    async fn kill_all(&self, container: &Container, signal: u32) -> TaskResult<()> {
        if container.init.exited() && container.own_pid_namespace {
            // Nothing is left to signal, and that is no error: engines say so too.
            return Ok(());
        }
        if container.init.status() != Status::PAUSED && container.cgroup().signal_all(signal) {
            return Ok(());
        }
        container.engine.kill(&container.id, &container.bundle, signal, true).await.map_err(kill_error)
    }

    pub(super) async fn pause(self: Arc<Self>, request: PauseRequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        // An exit meanwhile is announced after this call's event.
        let _busy = container.busy();
        let status = container.init.status();
        if status != Status::RUNNING {
            return Err(TaskError::unknown(match status {
                Status::CREATED => "cannot pause task in created state",
                Status::PAUSED => "cannot pause a paused container",
                _ => "cannot pause a stopped container",
            }));
        }
        container
            .engine
            .pause(&container.id, &container.bundle)
            .await
            .map_err(|error| engine_error("OCI runtime pause failed", &error))?;
        container.set_paused(true);
        self.events.publish(&TaskPaused { container_id: container.id.clone(), ..TaskPaused::default() });
        Ok(Empty::default())
    }

    pub(super) async fn resume(self: Arc<Self>, request: ResumeRequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        // A container that was killed while it was frozen ends in here: its exit is announced afterwards.
        let _busy = container.busy();
        let status = container.init.status();
        if status != Status::PAUSED {
            return Err(TaskError::unknown(match status {
                Status::CREATED => "cannot resume task in created state",
                Status::RUNNING => "cannot resume a running process",
                _ => "cannot resume a stopped container",
            }));
        }
        container
            .engine
            .resume(&container.id, &container.bundle)
            .await
            .map_err(|error| engine_error("OCI runtime resume failed", &error))?;
        container.set_paused(false);
        self.events.publish(&TaskResumed { container_id: container.id.clone(), ..TaskResumed::default() });
        Ok(Empty::default())
    }

    pub(super) async fn update_resources(self: Arc<Self>, request: UpdateTaskRequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        if container.init.exited() {
            return Err(TaskError::unknown("cannot update a stopped container"));
        }
        let resources = request.resources.into_option().unwrap_or_default();
        shape::resources(&resources.value)?;
        container
            .engine
            .update(&container.id, &container.bundle, &resources.value)
            .await
            .map_err(|error| unsuccessful("update", &container, error, "\n"))?;
        Ok(Empty::default())
    }

    pub(super) fn resize(&self, request: &ResizePtyRequest) -> TaskResult<Empty> {
        let process = self.container(&request.id)?.process(&request.exec_id)?;
        let side = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
        if let Some(live) = process.live() {
            live.resize(side(request.width), side(request.height))
                .map_err(|error| TaskError::unknown(format!("resize: {error}")))?;
        }
        Ok(Empty::default())
    }

    pub(super) fn close_io(&self, request: &CloseIORequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        // The other shims give this one call's error no code.
        let process = container.process(&request.exec_id).map_err(|error| TaskError::unknown(error.message))?;
        if request.stdin
            && let Some(live) = process.live()
        {
            live.close_input();
        }
        Ok(Empty::default())
    }
}

fn kill_error(error: EngineError) -> TaskError {
    if error.is_no_such_container() {
        TaskError::not_found("process already finished: not found")
    } else {
        engine_error("OCI runtime kill failed", &error)
    }
}

/// An engine that failed where the other shims have no words of their own: they add `rest` to its last ones.
pub(super) fn unsuccessful(verb: &str, container: &Container, error: EngineError, rest: &str) -> TaskError {
    let EngineError::Failed(words) = error else {
        return engine_error(&format!("OCI runtime {verb} failed"), &error);
    };
    let program = container.engine.program().display();
    TaskError::unknown(format!("{program} did not terminate successfully: exit status 1: {words}{rest}"))
}

/// An engine's error in the words that clients know from the other shims; with a code of ours where it is not the
/// engine that speaks.
pub(super) fn engine_error(prefix: &str, error: &EngineError) -> TaskError {
    let message = format!("{prefix}: {error}");
    let coded = |code, hint: &str| ZcError::new(code, message.clone(), hint).to_string();
    match error {
        EngineError::Missing(_) => TaskError::unknown(coded(
            code::engine::NOT_FOUND,
            "install it, or correct BinaryName or the option engine of the handler",
        )),
        EngineError::CannotRun { .. } => {
            TaskError::unknown(coded(code::engine::NOT_EXECUTABLE, "correct the program that the handler names"))
        }
        EngineError::TimedOut { .. } => {
            TaskError::deadline_exceeded(coded(code::engine::HUNG, "look at the node's load and retry"))
        }
        EngineError::Failed(_) | EngineError::Killed { .. } => TaskError::unknown(message),
    }
}
