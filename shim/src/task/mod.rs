//! The task API: containers and processes as containerd sees them.

mod checkpoint;
mod container;
mod control;
mod create;
mod delete;
mod exec;
mod exit;
mod launch;
mod process;
mod query;
mod restore;
mod service;
mod shape;
mod start;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use container::Container;
pub use service::services;
pub(crate) use shape::{are_resources, is_process};

use crate::events::Publisher;
use crate::reaper::Reaper;
use crate::status::{TaskError, TaskResult};

/// A name in the table: taken while the container is being created, then the container.
enum Slot {
    Reserved,
    Taken(Arc<Container>),
}

/// Everything this process serves: the containers of one pod.
pub struct Shim {
    namespace: String,
    reaper: Reaper,
    events: Publisher,
    containers: Mutex<HashMap<String, Slot>>,
    policies: crate::confinement::Policies,
    end: Notify,
    given_up: AtomicBool,
}

/// A name that is reserved for a container being created; given back when dropped.
struct Reservation {
    shim: Arc<Shim>,
    id: String,
    taken: bool,
}

impl Shim {
    /// A shim without containers.
    #[must_use]
    pub fn new(namespace: String, reaper: Reaper, events: Publisher) -> Self {
        Self {
            policies: crate::confinement::Policies::new(&namespace),
            namespace,
            reaper,
            events,
            containers: Mutex::new(HashMap::new()),
            end: Notify::new(),
            given_up: AtomicBool::new(false),
        }
    }

    /// Waits until containerd has told the shim to end and no container is left.
    pub async fn ended(&self) {
        self.end.notified().await;
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, id: &str) -> TaskResult<Arc<Container>> {
        match self.table().get(id) {
            Some(Slot::Taken(container)) => Ok(container.clone()),
            _ => Err(TaskError::not_found("container not created: not found")),
        }
    }

    /// Reserves `id`, so that two creations of one name cannot meet.
    fn reserve(self: &Arc<Self>, id: &str) -> TaskResult<Reservation> {
        let mut table = self.table();
        if table.contains_key(id) {
            return Err(TaskError::already_exists(format!("container {id}: already exists")));
        }
        table.insert(id.to_owned(), Slot::Reserved);
        Ok(Reservation { shim: self.clone(), id: id.to_owned(), taken: false })
    }

    fn forget(&self, id: &str) {
        self.table().remove(id);
    }

    /// Ends the shim if no container is left.
    ///
    /// A container that is still being created when containerd says this is one that it has given up: it ends with its
    /// creation, and the shim with it.
    pub fn shutdown(&self) {
        let table = self.table();
        if table.is_empty() {
            self.end.notify_one();
        } else if table.values().all(|slot| matches!(slot, Slot::Reserved)) {
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    /// Whether containerd has given up what is being created.
    fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

impl Reservation {
    fn take(mut self, container: Container) -> Arc<Container> {
        let container = Arc::new(container);
        self.taken = true;
        self.shim.table().insert(self.id.clone(), Slot::Taken(container.clone()));
        container
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.taken {
            self.shim.forget(&self.id);
            if self.shim.given_up() {
                self.shim.shutdown();
            }
        }
    }
}
