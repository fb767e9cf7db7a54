//! A turn: one of a few Leases of the API server, held by one node at a time.
//!
//! Clocks of two nodes may differ, so none is compared with another's: a Lease is free if nobody holds it, or if whoever looks has seen
//! it unchanged for as long as it says that it holds without being renewed. No Lease is created here: that takes a right that
//! cannot be kept to a name.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, ApiError, Patch};
use crate::log::now_in_micros;

/// A holder that does not renew its Lease for this long has lost it.
pub const HELD: Duration = Duration::from_secs(60);
/// A holder renews this often, which gives it several tries.
const RENEWAL: Duration = Duration::from_secs(10);
/// Whoever waits looks this often.
const LOOK: Duration = Duration::from_secs(1);
/// An API server that answers nothing useful for this long is not waited for.
const TROUBLE: Duration = Duration::from_secs(60);
/// Nobody is believed to hold longer than this without renewing, whatever the Lease says.
const LONGEST: Duration = Duration::from_secs(600);

/// Why there is no turn.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The Leases cannot be read or written.
    #[error("the Lease {name}: {source}")]
    Api {
        /// The Lease.
        name: String,
        /// Why.
        source: ApiError,
    },
    /// Others hold them all.
    #[error("after {} s {holders} still held it", waited.as_secs())]
    Others {
        /// How long was waited.
        waited: Duration,
        /// Who they are.
        holders: String,
    },
    /// No thread could be had.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
}

/// The Leases of which one has to be held.
#[derive(Clone, Debug)]
pub struct Leases {
    /// The API server.
    pub api: Api,
    /// Their namespace.
    pub namespace: String,
    /// Their names: so many may be held at once.
    pub names: Vec<String>,
    /// Who holds: this node.
    pub holder: String,
}

#[derive(Debug, Deserialize)]
struct Lease {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    renew_time: Option<String>,
    lease_duration_seconds: Option<u64>,
}

impl Spec {
    fn holder(&self) -> &str {
        self.holder_identity.as_deref().unwrap_or_default()
    }

    /// How long it holds without being renewed.
    fn length(&self) -> Duration {
        self.lease_duration_seconds.map_or(HELD, Duration::from_secs).min(LONGEST)
    }
}

/// Whether `me` may take a Lease that was seen to be so since `since`.
fn may_take(spec: &Spec, since: Instant, now: Instant, me: &str) -> bool {
    let holder = spec.holder();
    holder.is_empty() || holder == me || now.duration_since(since) >= spec.length()
}

impl Leases {
    /// Waits until one of them is held. `told` hears who is waited for, each time that it is somebody else.
    ///
    /// # Errors
    /// [`LeaseError`]; after `patience`, or a minute without a useful answer.
    pub fn take(self, patience: Duration, mut told: impl FnMut(&str)) -> Result<Held, LeaseError> {
        let begun = Instant::now();
        let mut answered = begun;
        let mut seen: HashMap<String, (Spec, Instant)> = HashMap::new();
        let mut before = String::new();
        loop {
            let mut holders = Vec::new();
            for name in &self.names {
                match self.try_to_take(name, &mut seen) {
                    Ok(None) => return Held::new(self.clone(), name.clone()),
                    Ok(Some(holder)) => {
                        answered = Instant::now();
                        holders.push(holder);
                    }
                    Err(source) if answered.elapsed() >= TROUBLE.min(patience) => {
                        return Err(LeaseError::Api { name: name.clone(), source });
                    }
                    Err(_) => {}
                }
            }
            let holders = holders.join(" and ");
            if !holders.is_empty() && holders != before {
                told(&holders);
                before.clone_from(&holders);
            }
            if begun.elapsed() >= patience {
                return Err(LeaseError::Others { waited: patience, holders: before });
            }
            thread::sleep(LOOK);
        }
    }

    /// Takes it if that is possible now; else says who holds it.
    fn try_to_take(&self, name: &str, seen: &mut HashMap<String, (Spec, Instant)>) -> Result<Option<String>, ApiError> {
        let lease: Lease = self.api.get(&self.path(name))?;
        let now = Instant::now();
        let since = match seen.get(name) {
            Some((spec, since)) if *spec == lease.spec => *since,
            _ => {
                seen.insert(name.to_owned(), (lease.spec.clone(), now));
                now
            }
        };
        let holder = lease.spec.holder().to_owned();
        if !may_take(&lease.spec, since, now, &self.holder) {
            return Ok(Some(holder));
        }
        let time = now_in_micros();
        let spec = json!({
            "holderIdentity": self.holder, "leaseDurationSeconds": HELD.as_secs(), "acquireTime": time, "renewTime": time,
        });
        match self.write(name, &lease, &spec) {
            Ok(()) => Ok(None),
            // Somebody was faster.
            Err(error) if error.is_conflict() => {
                Ok(Some(if holder.is_empty() { "another node".to_owned() } else { holder }))
            }
            Err(error) => Err(error),
        }
    }

    /// Renews it. False if it is not ours any more.
    fn renew(&self, name: &str) -> Result<bool, ApiError> {
        let lease: Lease = self.api.get(&self.path(name))?;
        if lease.spec.holder() != self.holder {
            return Ok(false);
        }
        self.write(name, &lease, &json!({ "renewTime": now_in_micros() })).map(|()| true)
    }

    fn give_back(&self, name: &str) -> Result<(), ApiError> {
        let lease: Lease = self.api.get(&self.path(name))?;
        if lease.spec.holder() != self.holder {
            return Ok(());
        }
        self.write(name, &lease, &json!({ "holderIdentity": null, "renewTime": now_in_micros() }))
    }

    /// Changes it, if it is still as it was read.
    fn write(&self, name: &str, read: &Lease, spec: &Value) -> Result<(), ApiError> {
        let patch = json!({ "metadata": { "resourceVersion": read.metadata.resource_version }, "spec": spec });
        self.api.patch(&self.path(name), Patch::Merge, &patch)
    }

    fn path(&self, name: &str) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{name}", self.namespace)
    }
}

/// A Lease that is held, and renewed until this goes.
#[derive(Debug)]
pub struct Held {
    leases: Leases,
    name: String,
    /// Dropped to end the renewals.
    stop: Option<Sender<()>>,
    renewals: Option<JoinHandle<()>>,
}

impl Held {
    fn new(leases: Leases, name: String) -> Result<Self, LeaseError> {
        let (stop, stopped) = channel::<()>();
        let (ours, its) = (leases.clone(), name.clone());
        let renewals = thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                    // What is lost is lost: work under way on a node is not given up in the middle. A failure is tried again.
                    if matches!(ours.renew(&its), Ok(false)) {
                        return;
                    }
                }
            })
            .map_err(LeaseError::Thread)?;
        Ok(Self { leases, name, stop: Some(stop), renewals: Some(renewals) })
    }

    /// Gives it back, for the next one. Without this it is held for as long as a Lease is that nobody renews.
    ///
    /// # Errors
    /// [`LeaseError::Api`]; it then lapses by itself.
    pub fn give_back(mut self) -> Result<(), LeaseError> {
        self.end();
        self.leases.give_back(&self.name).map_err(|source| LeaseError::Api { name: self.name.clone(), source })
    }

    fn end(&mut self) {
        self.stop = None;
        if let Some(renewals) = self.renewals.take() {
            // It does nothing that could panic; and if it had, the Lease lapses.
            drop(renewals.join());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, seconds: Option<u64>) -> Spec {
        Spec { holder_identity: Some(holder.to_owned()), renew_time: None, lease_duration_seconds: seconds }
    }

    #[test]
    fn free_ours_or_lapsed() {
        let since = Instant::now();
        let after = |seconds| since + Duration::from_secs(seconds);
        assert!(may_take(&Spec::default(), since, since, "me"));
        assert!(may_take(&held_by("", None), since, since, "me"));
        assert!(may_take(&held_by("me", Some(60)), since, since, "me"));
        assert!(!may_take(&held_by("you", Some(60)), since, after(59), "me"));
        assert!(may_take(&held_by("you", Some(60)), since, after(60), "me"));
        assert!(!may_take(&held_by("you", None), since, after(59), "me"));
    }

    #[test]
    fn nobody_holds_for_ever() {
        let since = Instant::now();
        assert!(may_take(&held_by("you", Some(u64::MAX)), since, since + LONGEST, "me"));
    }
}
