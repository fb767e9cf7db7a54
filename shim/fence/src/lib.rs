//! The packet fence of one container: BPF programs on its cgroup, which judge what the workload asks for and every packet.
//!
//! * [`Loaded::new`] loads programs and maps for a set of rules; this takes a few milliseconds and can run beside an engine;
//! * [`Group`] is the cgroup: the engine's own, or one that is made for the purpose;
//! * [`Loaded::attach`] puts the programs there. From then on they live and die with the cgroup: nothing is pinned, and nothing
//!   depends on this process;
//! * [`probe`] tries all of it on a scratch cgroup and a child.
//!
//! The programs are C (`bpf/`), compiled when the crate is built. `ARCHITECTURE.md` says why they decide as they do.

mod attached;
mod entries;
mod error;
mod group;
mod loaded;
mod maps;
mod permits;
mod prefix;
mod probe;
mod programs;
mod refusal;
mod sys;

pub use attached::{Attached, Counters, Destination, Lease};
pub use error::FenceError;
pub use group::{Group, Tree};
pub use loaded::Loaded;
pub use permits::Permits;
pub use probe::probe;
pub use refusal::{Hook, Reader, Refusal};
