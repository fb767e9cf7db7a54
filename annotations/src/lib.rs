//! From annotations to a confined container, without any I/O.
//!
//! ```text
//! annotations ─┐
//! floor       ─┴─► PodPolicy ──► Policy ──► confine(spec, target, policy, host) ──► spec' + plan + report
//! ```
//!
//! * [`knob`] and [`grammar`]: what a pod author may write, and how it is read;
//! * [`floor`]: what the node's administrator demands;
//! * [`policy`]: the two together, frozen for the pod and resolved for one container;
//! * [`confine()`]: the policy compiled for one OCI spec;
//! * [`report`]: what is enforced, promise by promise;
//! * [`code`]: every error that a user can meet, in any room.
//!
//! Everything here is a function of its arguments: no file, clock, environment or kernel is asked.

#![forbid(unsafe_code)]

pub mod code;
mod confine;
mod error;
pub mod floor;
pub mod grammar;
mod host;
pub mod knob;
pub mod policy;
mod promise;
pub mod report;
mod verdict;

pub use confine::{
    Allow, By, CORE_LIMIT, Confinement, Expect, Names, PacketRules, Reach, Target, confine, one_destination, reach,
};
pub use error::{ZcError, quote};
pub use floor::Floor;
pub use host::{EngineTraits, Host, HostArch, LandlockAbilities, PacketFence};
pub use policy::{PodPolicy, Policy};
pub use promise::Promise;
pub use report::Report;
pub use verdict::Verdict;
