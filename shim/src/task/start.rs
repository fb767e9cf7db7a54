//! Start: of a container's first process, and of execs.

use std::sync::Arc;

use containerd_shim::api::{StartRequest, StartResponse};
use containerd_shim::protos::events::task::{TaskExecStarted, TaskStart};

use super::Shim;
use super::container::Container;
use super::control::engine_error;
use super::create::{Made, io_error};
use super::exec::Spec;
use super::process::{Phase, Process};
use crate::bundle;
use crate::engine::Spawn;
use crate::status::{TaskError, TaskResult};
use crate::stdio;

impl Shim {
    pub(super) async fn start(self: Arc<Self>, request: StartRequest) -> TaskResult<StartResponse> {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        process.begin_start()?;
        let started = if request.exec_id.is_empty() {
            self.start_init(&container).await
        } else {
            self.start_exec(&container, &process).await
        };
        if let Err(error) = started {
            process.update(|state| {
                if state.phase == Phase::Starting {
                    state.phase = Phase::Created;
                }
            });
            return Err(error);
        }
        Ok(StartResponse { pid: process.wire_pid(), ..StartResponse::default() })
    }

    async fn start_init(&self, container: &Arc<Container>) -> TaskResult<()> {
        container
            .engine
            .start(&container.id, &container.bundle)
            .await
            .map_err(|error| engine_error("OCI runtime start failed", &error))?;
        self.events.publish(&TaskStart {
            container_id: container.id.clone(),
            pid: container.init.wire_pid(),
            ..TaskStart::default()
        });
        // After the event: an exit that happened meanwhile is announced when the phase changes.
        container.init.update(|state| state.phase = Phase::Started);
        Ok(())
    }

    async fn start_exec(self: &Arc<Self>, container: &Arc<Container>, exec: &Arc<Process>) -> TaskResult<()> {
        // From here on the first process's exit waits for this exec; looked at in the same step.
        let busy = container.busy();
        if container.init.exited() {
            return Err(TaskError::failed_precondition(
                "cannot start exec: the container's init process is not running",
            ));
        }
        let made = self.make_exec(container, exec).await?;
        exec.connect(made.live);
        exec.update(|state| state.pid = made.pid);
        self.events.publish(&TaskExecStarted {
            container_id: container.id.clone(),
            exec_id: exec.exec_id.clone(),
            pid: exec.wire_pid(),
            ..TaskExecStarted::default()
        });
        exec.update(|state| state.phase = Phase::Started);
        self.follow_exec(container, exec, made.watch, busy);
        Ok(())
    }

    async fn make_exec(&self, container: &Container, exec: &Process) -> TaskResult<Made> {
        let mut io = stdio::Prepared::open(&exec.stdio, &container.owner, &self.reaper)
            .await
            .map_err(io_error("open the standard streams"))?;
        let spec = Spec::write(&container.bundle, &exec.exec_id, &exec.spec)?;
        let pid_file = bundle::exec_pid_file(&container.bundle, &exec.exec_id);
        let hold = self.reaper.hold();
        let console = io.console.as_ref().map(|socket| socket.path().to_owned());
        let spawn = Spawn {
            bundle: &container.bundle,
            pid_file: &pid_file,
            console_socket: console.as_deref(),
            stdio: io.engine_stdio(),
            fds: Vec::new(),
        };
        container
            .engine
            .exec(&container.id, spec.path(), spawn)
            .await
            .map_err(|error| engine_error("OCI runtime exec failed", &error))?;
        let made = self.claim(&pid_file, io).await;
        drop(hold);
        made
    }
}
