//! Where a container's packet fence is: what the state directory remembers of it, for those who come later.

use serde::{Deserialize, Serialize};

/// The fence of one container. A field that a newer version adds is passed over: after a step back, the older `delete` still has to find
/// and remove the group. What it could not pass over has another layout of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FenceState {
    /// The path of its cgroup in the version 2 tree.
    pub group: String,
    /// The group was made for the fence, so every process is moved there, and it is removed with the container. Otherwise it is the
    /// engine's.
    pub made: bool,
    /// The ids of its programs; empty until they are attached.
    pub programs: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_field_hides_nothing() {
        let newer = r#"{"group": "/g", "made": true, "programs": [7], "since": "2"}"#;
        let known = FenceState { group: "/g".into(), made: true, programs: vec![7] };
        assert_eq!(serde_json::from_str::<FenceState>(newer).unwrap(), known);
    }
}
