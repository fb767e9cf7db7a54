//! One container: its engine, its first process, its execs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use containerd_shim::protos::api::Status;
use tokio::sync::watch;

use super::process::{Phase, Process};
use super::restore::Checkpoint;
use crate::cgroup::Cgroup;
use crate::confinement::Confined;
use crate::engine::Engine;
use crate::status::{TaskError, TaskResult};
use crate::stdio::Owner;

/// A container that exists in the engine.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) init: Arc<Process>,
    cgroup: OnceLock<Cgroup>,
    /// Where it comes from, if it was not made anew.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Whether the kernel ends all its processes with the first one.
    pub(crate) own_pid_namespace: bool,
    /// Whether the engine has hooks to run when it is started.
    pub(crate) start_hooks: bool,
    pub(crate) owner: Owner,
    /// What confines it; none in a container without any zerocap knob.
    pub(crate) confined: Option<Arc<Confined>>,
    execs: Mutex<HashMap<String, Arc<Process>>>,
    /// Execs that are being started or live, and calls whose event goes before the first process's exit.
    busy: watch::Sender<usize>,
}

/// Counts as one busy exec while it lives: the first process's exit is not announced before.
pub(crate) struct Busy {
    container: Arc<Container>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.container.busy.send_modify(|count| *count -= 1);
    }
}

/// What a container is made of.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) init: Process,
    /// None where nothing is made yet.
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) own_pid_namespace: bool,
    pub(crate) start_hooks: bool,
    pub(crate) owner: Owner,
    pub(crate) confined: Option<Arc<Confined>>,
}

impl Container {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            bundle: parts.bundle,
            engine: parts.engine,
            init: Arc::new(parts.init),
            cgroup: parts.cgroup.map(OnceLock::from).unwrap_or_default(),
            checkpoint: parts.checkpoint,
            own_pid_namespace: parts.own_pid_namespace,
            start_hooks: parts.start_hooks,
            owner: parts.owner,
            confined: parts.confined,
            execs: Mutex::new(HashMap::new()),
            busy: watch::Sender::new(0),
        }
    }

    /// Its cgroups; none where nothing is made yet.
    pub(crate) fn cgroup(&self) -> &Cgroup {
        static NONE: Cgroup = Cgroup::none();
        self.cgroup.get().unwrap_or(&NONE)
    }

    /// Takes the cgroups of a container that was made after it was announced. Once.
    pub(crate) fn is_in(&self, cgroup: Cgroup) {
        // A second value would be another container's.
        let _ = self.cgroup.set(cgroup);
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Process>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process that a request names: an exec, or the first process for an empty exec id.
    pub(crate) fn process(&self, exec_id: &str) -> TaskResult<Arc<Process>> {
        if exec_id.is_empty() {
            return Ok(self.init.clone());
        }
        self.execs()
            .get(exec_id)
            .cloned()
            .ok_or_else(|| TaskError::not_found(format!("process does not exist {exec_id}: not found")))
    }

    /// All execs that were not deleted.
    pub(crate) fn all_execs(&self) -> Vec<Arc<Process>> {
        self.execs().values().cloned().collect()
    }

    /// Adds an exec that is not started yet.
    pub(crate) fn add_exec(&self, exec: Process) -> TaskResult<()> {
        let mut execs = self.execs();
        if execs.contains_key(&exec.exec_id) {
            return Err(TaskError::already_exists(format!("id {}: already exists", exec.exec_id)));
        }
        match self.init.status() {
            Status::CREATED if self.awaits_restore() => {
                return Err(TaskError::unknown("cannot exec in a created state"));
            }
            Status::RUNNING | Status::CREATED => {}
            Status::PAUSED => return Err(TaskError::unknown("cannot exec in a paused state")),
            _ => return Err(TaskError::unknown("cannot exec in a stopped state")),
        }
        execs.insert(exec.exec_id.clone(), Arc::new(exec));
        Ok(())
    }

    /// Forgets an exec.
    pub(crate) fn remove_exec(&self, exec_id: &str) {
        self.execs().remove(exec_id);
    }

    /// Marks one more exec as busy.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|count| *count += 1);
        Busy { container: self.clone() }
    }

    /// Waits until no exec is being started or lives.
    pub(crate) async fn execs_ended(&self) {
        let mut watch = self.busy.subscribe();
        // The sender is in `self`: this cannot fail.
        let _ = watch.wait_for(|count| *count == 0).await;
    }

    /// Marks the first process and all execs as frozen or running.
    pub(crate) fn set_paused(&self, paused: bool) {
        let (from, to) = if paused { (Phase::Started, Phase::Paused) } else { (Phase::Paused, Phase::Started) };
        let execs = self.all_execs();
        for process in execs.iter().chain([&self.init]) {
            process.update(|state| {
                if state.phase == from {
                    state.phase = to;
                }
            });
        }
    }
}
