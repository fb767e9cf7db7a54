//! The launch plan and the hand-over records: everything that crosses between the shim and the launcher.
//!
//! The shim compiles a [`LaunchPlan`] and [encodes](LaunchPlan::encode) it once; the launcher looks at the bytes through a
//! [`PlanView`] and executes them in order, so nothing is parsed inside the container. Both sides of the [`record`]s that the
//! launcher sends back live here too, so the format has one home.
//!
//! The decoder has no allocator, no panics and no unsafe code; it is built without `std` into the launcher.

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod header;
mod insn;
mod layout;
mod reader;
pub mod record;
mod view;

#[cfg(feature = "std")]
mod encode;
#[cfg(feature = "std")]
mod model;

#[cfg(feature = "std")]
pub use encode::PlanError;
pub use insn::{CookieSite, Insn, Missing, PortRule, Role};
pub use layout::{
    COOKIE_BYTES, COOKIE_WORDS, MAX_COOKIE_SITES, MAX_FILTERS, MAX_INSNS, MAX_PATH_BYTES, MAX_PATHS, MAX_PLAN,
    MAX_PORTS, VERSION,
};
#[cfg(feature = "std")]
pub use model::{Filter, Landlock, LaunchPlan, PathRule};
pub use view::{DecodeError, FilterView, Filters, LandlockView, PathRuleView, Paths, PlanView, Ports};

/// The directory below the container's root at which the launcher's directory is mounted.
pub const MOUNT_POINT: &str = "/.zerocap";
/// The launcher's file name in that directory.
pub const FILE_NAME: &str = "launcher";
/// `process.args[0]` of a rewritten spec; the workload's own arguments follow it.
pub const PROGRAM: &str = "/.zerocap/launcher";

/// Descriptor of the sealed plan.
pub const PLAN_FD: i32 = 3;
/// Descriptor on which the launcher writes its records.
pub const RECORD_FD: i32 = 4;
/// Descriptor on which the launcher waits for GO.
pub const GO_FD: i32 = 5;
/// How many descriptors the engine hands over (`--preserve-fds`).
pub const HANDED_OVER: u32 = 3;
/// The byte that lets a parked launcher execute the workload.
pub const GO: u8 = b'G';
