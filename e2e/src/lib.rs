//! Tests against a real containerd over CRI, and the attack corpus.
//!
//! The programs under test are driven from outside only: a private node (`hack/node`), CRI calls, and what the kernel
//! says in `/proc`. `tests/node.rs` is the one test program; it starts one node and shares it among its tests.

pub mod attack;
pub mod cluster;
pub mod cri;
pub mod internet;
pub mod layout;
pub mod leak;
pub mod netns;
pub mod node;
pub mod pod;
pub mod process;
pub mod stream;
mod supervised;
pub mod task;
pub mod verdict;

pub use node::Node;
pub use pod::{Container, Output, Pod, Profile};
pub use verdict::{Outcome, Skip, TestResult};
