//! Delete: the end of an exec, or of a container and everything that belongs to it.

use std::sync::Arc;
use std::time::Duration;

use containerd_shim::api::{DeleteRequest, Status};
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::events::task::TaskDelete;

use super::Shim;
use super::container::Container;
use super::control::engine_error;
use super::create::io_error;
use super::process::{Phase, Process};
use super::query::time;
use crate::status::{TaskError, TaskResult};
use crate::{bundle, mounts};

/// How long output that is still held open is waited for.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a created container may take to end when it is deleted.
const END: Duration = Duration::from_secs(10);

impl Shim {
    pub(super) async fn delete(self: Arc<Self>, request: DeleteRequest) -> TaskResult<DeleteResponse> {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let _one_at_a_time = process.deleting.lock().await;
        if process.state().phase == Phase::Deleted {
            return Err(TaskError::not_found("process was deleted: not found"));
        }
        if request.exec_id.is_empty() {
            self.delete_container(&container).await?;
        } else {
            delete_exec(&container, &process).await?;
        }
        let (exit_status, exited_at) = process.ended();
        Ok(DeleteResponse {
            pid: process.wire_pid(),
            exit_status,
            exited_at: time(exited_at),
            ..DeleteResponse::default()
        })
    }

    async fn delete_container(&self, container: &Arc<Container>) -> TaskResult<()> {
        let init = &container.init;
        match (init.status(), init.state().phase) {
            (Status::STOPPED, _) => {}
            (Status::CREATED, Phase::Created) if container.awaits_restore() => {
                // It was never made: nothing of it has an end to wait for.
                return self.remove(container).await;
            }
            // A container that never ran is ended here.
            (Status::CREATED, Phase::Created) => end_created(init).await?,
            (Status::PAUSED, _) => return Err(refused("cannot delete a paused process")),
            _ => return Err(refused("cannot delete a running process")),
        }
        // The exit event goes before the delete event.
        init.when(|state| state.announced).await;
        if let Some(live) = init.live() {
            live.finish(DRAIN).await;
        }
        for exec in container.all_execs() {
            if let Some(live) = exec.live() {
                live.finish(DRAIN).await;
            }
        }
        self.remove(container).await
    }

    /// Removes what there is of a container of which nothing lives.
    async fn remove(&self, container: &Arc<Container>) -> TaskResult<()> {
        let init = &container.init;
        remove_from_engine(container).await?;
        let rootfs = container.bundle.join(bundle::ROOTFS);
        mounts::unmount_all_aside(rootfs).await.map_err(io_error("unmount the rootfs"))?;
        if let Some(confined) = &container.confined {
            confined.forget();
        }
        self.policies.forget(&container.id);
        self.announce_delete(container);
        init.update(|state| state.phase = Phase::Deleted);
        self.forget(&container.id);
        Ok(())
    }

    fn announce_delete(&self, container: &Container) {
        let (exit_status, exited_at) = container.init.ended();
        self.events.publish(&TaskDelete {
            container_id: container.id.clone(),
            pid: container.init.wire_pid(),
            exit_status,
            exited_at: time(exited_at),
            ..TaskDelete::default()
        });
    }
}

/// Without force first: by force, runc sleeps a tenth of a second even where nothing lives.
async fn remove_from_engine(container: &Container) -> TaskResult<()> {
    let (engine, id, bundle) = (&container.engine, &container.id, &container.bundle);
    if engine.delete(id, bundle, false).await.is_ok() {
        return Ok(());
    }
    match engine.delete(id, bundle, true).await {
        Err(error) if !error.is_no_such_container() => Err(engine_error("failed to delete task", &error)),
        _ => Ok(()),
    }
}

async fn end_created(init: &Process) -> TaskResult<()> {
    match init.signal(9) {
        Err(error) if !init.exited() => return Err(error),
        _ => {}
    }
    tokio::time::timeout(END, init.when(|state| state.exit.is_some()))
        .await
        .map_err(|_| TaskError::deadline_exceeded("the created process does not end"))
}

async fn delete_exec(container: &Container, exec: &Process) -> TaskResult<()> {
    match (exec.status(), exec.state().phase) {
        (Status::STOPPED, _) => exec.when(|state| state.announced).await,
        (Status::CREATED, Phase::Created) => {}
        _ => return Err(refused("cannot delete a running process")),
    }
    if let Some(live) = exec.live() {
        live.finish(DRAIN).await;
    }
    exec.update(|state| state.phase = Phase::Deleted);
    container.remove_exec(&exec.exec_id);
    // The bundle goes later; a missing file is fine.
    let _ = std::fs::remove_file(bundle::exec_pid_file(&container.bundle, &exec.exec_id));
    Ok(())
}

fn refused(message: &str) -> TaskError {
    TaskError::unknown(message)
}
