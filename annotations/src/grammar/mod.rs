//! From annotations to typed settings: keys, spellings, bounds. Nothing here knows the floor.

mod collect;
mod key;
mod suggest;

pub use collect::{MAX_ANNOTATIONS, MAX_VALUE};
pub(crate) use collect::{Written, collect, exception_key};
pub use key::is_ours;
pub(crate) use suggest::did_you_mean;

/// The prefix of our annotations.
pub const PREFIX: &str = "zerocap.io";
/// The pod-wide spelling of `network-enforcement` without our prefix.
pub const BARE: &str = "network-enforcement";
