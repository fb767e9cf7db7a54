//! Where a container's packet fence is: what the state directory remembers of it, for those who come later.

use serde::{Deserialize, Serialize};

/// The fence of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FenceState {
    /// The path of its cgroup in the version 2 tree.
    pub group: String,
    /// The group was made for the fence, so every process is moved there, and it is removed with the container. Otherwise it is the
    /// engine's.
    pub made: bool,
    /// The ids of its programs; empty until they are attached.
    pub programs: Vec<u32>,
}
