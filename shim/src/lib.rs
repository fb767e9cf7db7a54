//! The shim, as a library for its binary and its tests.
//!
//! `containerd-shim-zerocap-v2` replaces `containerd-shim-runc-v2`; the map of its modules stands in
//! ARCHITECTURE.md.

mod aside;
mod bundle;
mod cgroup;
mod confinement;
pub mod decode;
pub mod engine;
pub mod entry;
pub mod events;
mod log;
mod mounts;
pub mod options;
pub mod reaper;
mod rest;
pub mod status;
pub mod stdio;
pub mod sys;
pub mod task;

pub use zerocap_handover as handover;
