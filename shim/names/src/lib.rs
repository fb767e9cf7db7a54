//! Names in `egress`: resolved on the node, inside the pod's network namespace, outside the pod's processes.
//!
//! * [`Rules`] are the names of a policy, [`Guard`] says what no name may resolve to;
//! * [`Responder::bind`] takes a loopback address of the pod: the container's only nameserver;
//! * [`Names::start`] resolves the pinned names, opens the [`Gate`] (the packet fence) for their addresses, and answers.
//!
//! No bit of a message of the workload leaves: servers are asked for listed names in one spelling, and for names below a listed wildcard
//! within a budget of bits. `docs/egress.md` says what is promised.
//!
//! The client is our own: each question needs a socket made in another network namespace, and nothing else of a resolver is wanted.

#![forbid(unsafe_code)]

mod budget;
mod core;
mod embedded;
mod error;
mod gate;
mod guard;
mod limits;
mod name;
mod names;
mod netns;
mod pace;
mod permits;
#[cfg(test)]
#[path = "../tests/faults/policy.rs"]
mod policy;
mod refresh;
mod resolv_conf;
mod responder;
mod rules;
mod snapshot;
mod table;
mod unlisted;
mod upstream;
pub mod wire;

pub use error::StartError;
pub use gate::{BootTime, Gate};
pub use guard::{Guard, Network, Surroundings};
pub use limits::{Limits, MAX_NAMES, MAX_PERMITS};
pub use name::HostName;
pub use names::{DNS_PORT, Names, Setup};
pub use netns::Netns;
pub use resolv_conf::{ResolvConf, resolv_conf};
pub use responder::Responder;
pub use rules::Rules;
pub use snapshot::{AddressState, Blocked, Counters, NameState, Snapshot, Standing, Unlisted};
