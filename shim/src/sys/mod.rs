//! The kernel edge: every unsafe block of the shim, one file per kernel feature.

pub mod addresses;
pub mod descriptors;
pub mod folder;
pub mod idmap;
pub mod limits;
pub mod memory;
pub mod ready;
pub mod sched;
pub mod signal;
pub mod wait;
