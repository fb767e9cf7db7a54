//! What zerocap knows of the node that it runs on.
//!
//! * [`kernel`]: what this kernel can enforce, found by trying it, remembered until the next boot;
//! * [`state`]: the directory in which the shim keeps a container's policy, report and original spec.
//!
//! Nothing here decides anything: the results go into the pure translation of `zerocap-annotations`.

pub mod error;
mod files;
pub mod kernel;
pub mod state;

pub use error::NodeError;
pub use kernel::{Abilities, probe};
