//! What zerocap knows of the node that it runs on.
//!
//! * [`kernel`]: what this kernel can enforce, found by trying it, remembered until the next boot;
//! * [`state`]: the directory in which the shim keeps a container's policy, report and original spec;
//! * [`fence`]: where a packet fence is;
//! * [`refusals`]: what a packet fence refused;
//! * [`floor`]: the administrator's floor file;
//! * [`engine`]: in what the engines differ.
//!
//! Nothing here decides anything: the results go into the pure translation of `zerocap-annotations`.

pub mod engine;
pub mod error;
pub mod fence;
mod files;
pub mod floor;
pub mod kernel;
pub mod refusals;
pub mod state;

pub use error::NodeError;
pub use kernel::{Abilities, probe};
