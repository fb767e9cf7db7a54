//! Which control group hierarchies are mounted.

use serde::{Deserialize, Serialize};

/// The control group hierarchies of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroup {
    /// Version 2 only.
    V2,
    /// Version 1 controllers with a version 2 tree beside them.
    Hybrid,
    /// Version 1 only.
    V1,
    /// None is mounted.
    None,
}

/// Reads the mounts of this process.
pub(super) fn mounted() -> Cgroup {
    classify(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// In mountinfo the file system's type is the first word after the separator " - ".
fn classify(mountinfo: &str) -> Cgroup {
    let has = |wanted: &str| {
        mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next()).any(|kind| kind == wanted)
    };
    match (has("cgroup"), has("cgroup2")) {
        (false, true) => Cgroup::V2,
        (true, true) => Cgroup::Hybrid,
        (true, false) => Cgroup::V1,
        (false, false) => Cgroup::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "31 25 0:27 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids\n";
    const V2: &str = "32 25 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn tells_the_hierarchies_apart() {
        assert_eq!(classify(V1), Cgroup::V1);
        assert_eq!(classify(V2), Cgroup::V2);
        assert_eq!(classify(&[V1, V2].concat()), Cgroup::Hybrid);
        assert_eq!(classify(""), Cgroup::None);
    }

    #[test]
    fn a_mount_point_named_cgroup2_is_not_a_hierarchy() {
        assert_eq!(classify("1 2 0:3 / /cgroup2 rw - tmpfs cgroup2 rw\n"), Cgroup::None);
    }
}
