//! The packet fence of a container, from the rules to its removal.
//!
//! Programs are loaded by a thread while the engine creates the container. Between create and start they are attached to the cgroup in
//! which its first process waits; where that group is not the container's own (engines that ignore the version 2 tree beside version 1
//! leave it in the root), to one that is made below it, and every process is moved there while it is parked: a socket belongs to
//! the group in which it was made.

use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use zerocap_annotations::report::Verified as Row;
use zerocap_annotations::{PacketRules, ZcError, code};
use zerocap_fence::{Attached, FenceError, Loaded, Permits, Reader, Tree};
use zerocap_node::fence::FenceState;
use zerocap_node::state::{Document, StateDir};

use crate::sys;

const SIGKILL: u32 = 9;

/// A fence that is being loaded.
pub(super) struct Loading(JoinHandle<Result<Loaded, FenceError>>);

impl Loading {
    /// `tell`: who waits for the table of addresses, where names are to be written there.
    pub(super) fn begin(rules: PacketRules, tell: Option<oneshot::Sender<Permits>>) -> Result<Self, ZcError> {
        let load = move || {
            let loaded = Loaded::new(&rules)?;
            if let Some(tell) = tell {
                // Nobody waits any more where the container was given up.
                let _ = tell.send(loaded.permits(&rules)?);
            }
            Ok(loaded)
        };
        let thread = thread::Builder::new().name("packet fence".to_owned()).spawn(load);
        let thread = thread.map_err(|error| refused(FenceError::NotInForce(format!("no thread: {error}"))))?;
        Ok(Self(thread))
    }

    /// Puts the fence around the first process, which waits at the engine's gate. What it refuses can be read.
    pub(super) fn around(self, pid: i32, name: &str, state: &StateDir) -> Result<(Fence, Reader), ZcError> {
        let loaded =
            self.0.join().unwrap_or_else(|_| Err(FenceError::NotInForce("the loading thread panicked".to_owned())));
        let loaded = loaded.map_err(refused)?;
        let tree = Tree::open().map_err(refused)?;
        let path = tree.path_of(pid).map_err(refused)?;
        let group = tree.group(&path).map_err(refused)?;
        let made = !tree.is_own(&group, pid).map_err(refused)?;
        let place = if made { format!("{}/zerocap-{name}", path.trim_end_matches('/')) } else { path };
        let mut fence = FenceState { group: place, made, programs: Vec::new() };
        // Before it is made: whoever comes after a crash knows what to remove.
        state.write_json(Document::Fence, &fence)?;
        let group = if made { tree.make(&fence.group).map_err(refused)? } else { group };
        fence.programs = loaded.attach(&tree, &group).map_err(refused)?;
        if made {
            group.enter(pid).map_err(refused)?;
        }
        state.write_json(Document::Fence, &fence)?;
        Ok((Fence(fence), loaded.reader().map_err(refused)?))
    }
}

/// A fence that is in force.
pub(super) struct Fence(FenceState);

impl Fence {
    /// Moves a parked process into the fence, if the engine does not put it there.
    pub(super) fn take_in(&self, pid: i32) -> Result<(), ZcError> {
        if !self.0.made {
            return Ok(());
        }
        let enter = || Tree::open()?.group(&self.0.group)?.enter(pid);
        enter().map_err(refused)
    }

    /// Asks the kernel whether a parked process is inside, and every program in its place.
    pub(super) fn holds(&self, pid: i32) -> Result<Row, ZcError> {
        let holds = || {
            let tree = Tree::open()?;
            let group = tree.group(&self.0.group)?;
            Attached::new(group, self.0.programs.clone())?.holds(&tree, pid)?;
            tree.path_of(pid)
        };
        let seen = holds().map_err(outside)?;
        let programs = self.0.programs.len();
        Ok(Row {
            step: "packet fence".to_owned(),
            expected: format!("{} or below, {programs} programs", self.0.group),
            seen: format!("{seen}, {programs} programs"),
            holds: true,
        })
    }
}

/// What is said where a container that must have a fence has none.
pub(super) fn missing() -> ZcError {
    outside(FenceError::NotInForce("the container has no packet fence".to_owned()))
}

/// Removes the group that was made for a container's fence; the programs go with it. What still lives in it is ended.
pub(crate) fn remove(state: &StateDir) {
    let fence = match state.read_json::<FenceState>(Document::Fence) {
        Ok(Some(fence)) if fence.made => fence,
        Ok(_) => return,
        Err(error) => return tracing::warn!(%error, "cannot tell where the packet fence is"),
    };
    let gone = || {
        let tree = Tree::open()?;
        if let Ok(group) = tree.group(&fence.group) {
            for pid in group.processes()? {
                // It may be gone already.
                let _ = sys::signal::send(pid, SIGKILL);
            }
        }
        tree.remove(&fence.group)
    };
    if let Err(error) = gone() {
        tracing::warn!(%error, "the packet fence's group stays");
    }
}

fn outside(error: FenceError) -> ZcError {
    ZcError::new(
        code::verify::PACKET_FENCE,
        error.to_string(),
        "report the engine, its version and the node's cgroup set-up",
    )
}

fn refused(error: FenceError) -> ZcError {
    let (code, hint) = match &error {
        FenceError::TooLarge { .. } => {
            (code::fence::TOO_LARGE, "write fewer networks in egress, or wider ranges of ports")
        }
        FenceError::Parent { .. } => {
            (code::fence::PARENT, "let its owner attach it with BPF_F_ALLOW_MULTI, or run the pod on another node")
        }
        FenceError::Map { .. } | FenceError::Program { .. } | FenceError::Entry { .. } => {
            (code::fence::NOT_LOADED, "look at the error; zerocap check tries the same")
        }
        _ => (code::fence::GROUP, "look at the error and at the node's cgroup set-up"),
    };
    ZcError::new(code, error.to_string(), hint)
}
