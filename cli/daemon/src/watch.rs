//! The pods of one node, as the API server tells of them: all of them first, then each change.

use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use crate::api::{Api, ApiError, Change};
use crate::pod::{Pod, Pods};

/// The wait after a first failure, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is seen.
#[derive(Debug)]
pub enum Seen {
    /// All pods of the node, and no others.
    All(Vec<Pod>),
    /// One is new, or has changed.
    Is(Box<Pod>),
    /// One is gone: its uid.
    Gone(String),
    /// The API server cannot be asked for now.
    Trouble(ApiError),
}

/// Watches until the receiver is gone.
pub fn run(api: &Api, node: &str, to: &SyncSender<Seen>) {
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
    let mut wait = WAITS.0;
    loop {
        let mut heard = false;
        if let Err(error) = follow(api, &path, to, &mut heard) {
            // A version that is too old is no trouble: all is listed again.
            if !error.is_gone() && to.send(Seen::Trouble(error)).is_err() {
                return;
            }
            wait = if heard { WAITS.0 } else { (wait * 2).min(WAITS.1) };
            thread::sleep(wait);
        } else {
            return;
        }
    }
}

/// Lists, then watches, as long as nothing goes wrong. Ends well only if nobody listens any more.
fn follow(api: &Api, path: &str, to: &SyncSender<Seen>, heard: &mut bool) -> Result<(), ApiError> {
    let all: Pods = api.get(path)?;
    let mut version = all.metadata.resource_version;
    *heard = true;
    let mut deaf = to.send(Seen::All(all.items)).is_err();
    while !deaf {
        api.watch(path, &version.clone(), |change: Change<Pod>| {
            let seen = match change {
                Change::Version(newer) => {
                    version = newer;
                    return;
                }
                Change::Is(pod) => {
                    version.clone_from(&pod.metadata.resource_version);
                    Seen::Is(Box::new(pod))
                }
                Change::Gone(pod) => {
                    version.clone_from(&pod.metadata.resource_version);
                    Seen::Gone(pod.metadata.uid)
                }
            };
            deaf |= to.send(seen).is_err();
        })?;
    }
    Ok(())
}
