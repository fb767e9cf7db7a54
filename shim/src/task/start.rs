//! Start: of a container's first process, and of execs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containerd_shim::api::{StartRequest, StartResponse};
use containerd_shim::protos::events::task::{TaskExecStarted, TaskStart};

use super::Shim;
use super::container::Container;
use super::control::engine_error;
use super::create::streams_error;
use super::exec::Spec;
use super::launch::Call;
use super::process::{Phase, Process};
use crate::bundle;
use crate::confinement::{Confined, PreparedExec, Start, refused};
use crate::engine::Spawn;
use crate::status::{TaskError, TaskResult};
use crate::stdio::Owner;
use crate::{reaper, stdio, sys};

const START_FAILED: &str = "OCI runtime start failed";
const EXEC_FAILED: &str = "OCI runtime exec failed";
const SIGKILL: u32 = 9;
/// How long a process whose start failed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

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
                    (state.phase, state.failed) = (Phase::Created, !request.exec_id.is_empty());
                }
            });
            return Err(error);
        }
        Ok(StartResponse { pid: process.wire_pid(), ..StartResponse::default() })
    }

    async fn start_init(self: &Arc<Self>, container: &Arc<Container>) -> TaskResult<()> {
        match (&container.checkpoint, &container.confined) {
            (Some(checkpoint), _) => self.restore_init(container, checkpoint).await?,
            (None, Some(confined)) if confined.has_launcher() => self.launch_init(container, confined).await?,
            (None, confined) => {
                self.let_go(container).await?.result().await?;
                if let Some(confined) = confined {
                    verify_pause(container, confined).await?;
                }
            }
        }
        self.events.publish(&TaskStart {
            container_id: container.id.clone(),
            pid: container.init.wire_pid(),
            ..TaskStart::default()
        });
        // After the event: an exit that happened meanwhile is announced when the phase changes.
        container.init.update(|state| state.phase = Phase::Started);
        Ok(())
    }

    /// Lets the first process of a created container go on: without the engine where that can be.
    async fn let_go(&self, container: &Container) -> TaskResult<Call> {
        if let (false, Some(watch)) = (container.start_hooks, container.init.watch())
            && container.engine.open_gate(&container.id, watch).await
        {
            return Ok(Call::spared());
        }
        let running = container
            .engine
            .begin_start(&container.id, &container.bundle)
            .map_err(|error| engine_error(START_FAILED, &error))?;
        Ok(Call::new(running, START_FAILED))
    }

    /// Starts a container whose first program is the launcher: it parks, is verified, and goes on.
    async fn launch_init(&self, container: &Container, confined: &Confined) -> TaskResult<()> {
        let init = &container.init;
        let (Some(mut start), Some(watch)) = (confined.init(), init.watch()) else {
            return Err(TaskError::failed_precondition("the container was started before, and in vain"));
        };
        start.beside(self.sandbox_pid(confined));
        let pid = init.pid();
        let may_go = match confined.names_ready(pid).await {
            Ok(()) => confined.in_place(pid),
            refused => refused,
        };
        if let Err(error) = may_go {
            end(init).await;
            return Err(refused(error));
        }
        let mut engine = self.let_go(container).await?;
        let launched = async {
            let ready = engine.parked(&mut start, Some(watch.clone())).await?;
            let cleared = confined.clear(start, ready, pid).map_err(refused)?;
            confined.go(cleared, pid, watch).await.map_err(refused)?;
            engine.result().await
        }
        .await;
        if launched.is_err() {
            engine.abort();
            end(init).await;
        }
        launched
    }

    /// The pod's pause process, whose namespaces a container must not share unless it is meant to.
    fn sandbox_pid(&self, confined: &Confined) -> Option<i32> {
        let sandbox = self.container(confined.sandbox()?).ok()?;
        Some(sandbox.init.pid()).filter(|_| !sandbox.init.exited())
    }

    async fn start_exec(self: &Arc<Self>, container: &Arc<Container>, exec: &Arc<Process>) -> TaskResult<()> {
        // From here on the first process's exit waits for this exec; looked at in the same step.
        let busy = container.busy();
        if container.init.exited() {
            let message = format!("container {} init process is not running: failed precondition", container.id);
            return Err(TaskError::failed_precondition(message));
        }
        self.make_exec(container, exec).await?;
        self.events.publish(&TaskExecStarted {
            container_id: container.id.clone(),
            exec_id: exec.exec_id.clone(),
            pid: exec.wire_pid(),
            ..TaskExecStarted::default()
        });
        exec.update(|state| state.phase = Phase::Started);
        self.follow_exec(container, exec, busy);
        Ok(())
    }

    async fn make_exec(&self, container: &Container, exec: &Process) -> TaskResult<()> {
        let PreparedExec { process, fds, no_core, start } = match &container.confined {
            Some(confined) => {
                confined.in_place(container.init.pid()).map_err(refused)?;
                let mut prepared = confined.exec(&exec.spec).map_err(refused)?;
                if let Some(start) = &mut prepared.start {
                    start.beside(self.sandbox_pid(confined));
                }
                prepared
            }
            None => PreparedExec::plain(&exec.spec),
        };
        let spec = Spec::write(&container.bundle, &exec.exec_id, &process)?;
        let owner = Owner { container: exec.exec_id.clone(), ..container.owner.clone() };
        let mut io = stdio::Prepared::open(&exec.stdio, &owner, &self.reaper).await.map_err(streams_error)?;
        let pid_file = bundle::exec_pid_file(&container.bundle, &exec.exec_id);
        let _hold = self.reaper.hold();
        let console = io.console.as_ref().map(|socket| socket.path().to_owned());
        let spawn = Spawn {
            bundle: &container.bundle,
            pid_file: &pid_file,
            console_socket: console.as_deref(),
            stdio: io.engine_stdio(),
            fds,
            no_core,
        };
        let running = container
            .engine
            .begin_exec(&container.id, spec.path(), spawn)
            .map_err(|error| engine_error(EXEC_FAILED, &error))?;
        let mut engine = Call::new(running, EXEC_FAILED);
        let marks = start.as_ref().map(Start::marks).unwrap_or_default();
        let launched = async {
            let parked = match start {
                Some(mut start) => Some((engine.parked(&mut start, None).await?, start)),
                None => None,
            };
            engine.result().await?;
            exec.made(self.claim(&pid_file, io).await?);
            match (parked, &container.confined, exec.watch()) {
                (Some((ready, start)), Some(confined), Some(watch)) => {
                    let cleared = confined.clear(start, ready, exec.pid()).map_err(refused)?;
                    confined.go(cleared, exec.pid(), watch).await.map_err(refused)
                }
                _ => Ok(()),
            }
        }
        .await;
        if launched.is_err() {
            engine.end(GONE).await;
            self.end_unclaimed(exec, &pid_file);
            reaper::kill_marked(&marks);
            end(exec).await;
        }
        launched
    }

    /// Ends an exec whose engine had told its pid, and was cut off before anybody claimed it.
    fn end_unclaimed(&self, exec: &Process, pid_file: &Path) {
        if exec.watch().is_none()
            && let Ok(pid) = bundle::read_pid(pid_file)
            && self.reaper.adopt(pid).now().is_none()
        {
            // A child that is not reaped: the number is its own.
            let _ = sys::signal::send(pid, SIGKILL);
        }
    }
}

/// Looks at a sandbox's first process, and ends it if it is not as it must be.
async fn verify_pause(container: &Container, confined: &Confined) -> TaskResult<()> {
    let init = &container.init;
    let Some(watch) = init.watch() else { return Ok(()) };
    let verified = confined.verify_pause(init.pid(), &watch).await;
    if verified.is_err() {
        end(init).await;
    }
    verified.map_err(refused)
}

/// Ends a process whose start failed, and waits until it is gone.
async fn end(process: &Process) {
    // It may be gone already, or never have been.
    if process.signal(SIGKILL).is_ok()
        && let Some(mut watch) = process.watch()
        && tokio::time::timeout(GONE, watch.wait()).await.is_err()
    {
        tracing::error!(pid = process.pid(), "a process whose start failed does not end");
    }
}
