//! What happens when processes end, and in which order containerd hears of it.
//!
//! A process's state changes the moment it is reaped. Its exit is *announced* later: after its start was
//! announced, and for a container's first process after all execs have ended. Wait returns then, and
//! the exit event is queued in the same step, so both agree.

use std::sync::Arc;
use std::time::SystemTime;

use containerd_shim::protos::events::task::{TaskExit, TaskOOM};

use super::Shim;
use super::container::{Busy, Container};
use super::process::{Phase, Process};
use super::query::time;
use crate::bundle::End;
use crate::cgroup::OomWatch;
use crate::reaper::{Exit, ExitWatch};

impl Shim {
    /// Follows a container's first process to its end.
    pub(super) fn follow_init(self: &Arc<Self>, container: &Arc<Container>) {
        let Some(mut watch) = container.init.watch() else { return };
        let (shim, container) = (self.clone(), container.clone());
        tokio::spawn(async move {
            let exit = shim.wait_beside_oom(&container, &mut watch).await;
            tracing::info!(container = container.id, status = exit.status, "ended");
            container.init.update(|state| state.exit = Some(exit));
            if !container.own_pid_namespace {
                // The kernel does this only where the first process is the namespace's init.
                container.cgroup().kill_rest();
            }
            container.init.when(|state| state.phase != Phase::Starting).await;
            container.execs_ended().await;
            if let Some(confined) = &container.confined {
                confined.ended();
            }
            remember_end(&container);
            shim.announce(&container, &container.init);
        });
    }

    /// Waits for the end, and announces out-of-memory kills until then.
    async fn wait_beside_oom(&self, container: &Container, watch: &mut ExitWatch) -> Exit {
        let mut oom = match OomWatch::new(container.cgroup()) {
            Ok(Some(oom)) => oom,
            Ok(None) => return watch.wait().await,
            Err(error) => {
                tracing::warn!(%error, container = container.id, "cannot watch for out-of-memory kills");
                return watch.wait().await;
            }
        };
        loop {
            tokio::select! {
                biased;
                () = oom.killed() => self.announce_oom(container),
                exit = watch.wait() => {
                    // The kill that ended it may be known only now; its event goes before the exit.
                    if oom.killed_now() {
                        self.announce_oom(container);
                    }
                    return exit;
                }
            }
        }
    }

    fn announce_oom(&self, container: &Container) {
        self.events.publish(&TaskOOM { container_id: container.id.clone(), ..TaskOOM::default() });
    }

    /// Follows an exec to its end. `busy` keeps the first process's exit back until then.
    pub(super) fn follow_exec(self: &Arc<Self>, container: &Arc<Container>, exec: &Arc<Process>, busy: Busy) {
        let Some(mut watch) = exec.watch() else { return };
        let (shim, container, exec) = (self.clone(), container.clone(), exec.clone());
        tokio::spawn(async move {
            let exit = watch.wait().await;
            exec.update(|state| state.exit = Some(exit));
            shim.announce(&container, &exec);
            drop(busy);
        });
    }

    fn announce(&self, container: &Container, process: &Process) {
        let (exit_status, exited_at) = process.ended();
        let id = if process.exec_id.is_empty() { &container.id } else { &process.exec_id };
        self.events.publish(&TaskExit {
            container_id: container.id.clone(),
            id: id.clone(),
            pid: process.wire_pid(),
            exit_status,
            exited_at: time(exited_at),
            ..TaskExit::default()
        });
        process.update(|state| state.announced = true);
    }
}

/// Leaves word of a container's end in its bundle: whoever cleans up after this shim tells it as it was.
fn remember_end(container: &Container) {
    let (status, at) = container.init.ended();
    let at = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
    let end = End { pid: container.init.wire_pid(), status, at };
    if let Err(error) = end.write(&container.bundle) {
        tracing::warn!(%error, container = container.id, "a clean-up without this shim will not know the exit status");
    }
}
