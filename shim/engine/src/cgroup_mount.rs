//! The container's view of version 1 cgroups.
//!
//! libcontainer mounts them writable whatever was asked for, a hierarchy again for each place that the node has it at,
//! and a named hierarchy such as systemd's from its root, where the groups of all containers are. In a shared PID
//! namespace it takes the container for somebody else, or nobody. So the mounts are written out for it: a directory of
//! mount points, and on each the container's own group.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use libcgroups::common::{CgroupSetup, DEFAULT_CGROUP_ROOT as ROOT, get_cgroup_setup};
use libcgroups::v1::util::list_subsystem_mount_points;
use libcontainer::utils::get_cgroup_path;
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use serde_json::{Value, json};

/// What takes the place of the mounts of type cgroup.
pub struct View {
    /// The container's group, from the root of each hierarchy.
    group: PathBuf,
    /// Where the node has the hierarchies that the group is in: each place once, in order.
    hierarchies: BTreeSet<PathBuf>,
    /// The container has a user namespace.
    user_namespace: bool,
}

/// The view for a container; `None` where it has none, or cgroups are of version 2.
pub fn view(spec: &Spec, id: &str) -> anyhow::Result<Option<View>> {
    if !spec.mounts().iter().flatten().any(|mount| mount.typ().as_deref() == Some("cgroup")) {
        return Ok(None);
    }
    if matches!(get_cgroup_setup().context("cannot tell the version of cgroups")?, CgroupSetup::Unified) {
        return Ok(None);
    }
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_ref());
    let hierarchies = list_subsystem_mount_points().context("cannot list the cgroup hierarchies")?;
    Ok(Some(View {
        group: get_cgroup_path(&linux.and_then(|linux| linux.cgroups_path().clone()), id),
        hierarchies: hierarchies.into_iter().filter(|path| has_group(path)).collect(),
        user_namespace: namespaces.into_iter().flatten().any(|n| n.typ() == LinuxNamespaceType::User),
    }))
}

/// Whether libcgroups makes the container's group there: not in named hierarchies such as systemd's.
fn has_group(hierarchy: &Path) -> bool {
    const CONTROLLERS: [&str; 12] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
    ];
    let name = hierarchy.strip_prefix(ROOT).ok().and_then(Path::to_str);
    name.is_some_and(|name| name.split(',').all(|controller| CONTROLLERS.contains(&controller)))
}

impl View {
    /// Replaces each mount of type cgroup, in its place.
    pub fn replace(&self, mounts: &mut Vec<Value>) -> anyhow::Result<()> {
        while let Some(index) = mounts.iter().position(|mount| mount["type"] == "cgroup") {
            let original = serde_json::from_value(mounts[index].clone()).context("cannot read the cgroup mount")?;
            mounts.splice(index..=index, self.mounts(&original));
        }
        Ok(())
    }

    fn mounts(&self, original: &Mount) -> Vec<Value> {
        let destination = original.destination();
        let mut options: Vec<String> = original.options().clone().unwrap_or_default();
        let read_only = options.iter().any(|option| option == "ro" || option == "rro");
        options.insert(0, "bind".into());
        let mut mounts = vec![self.mount_points(destination, read_only)];
        mounts.extend(self.hierarchies.iter().filter_map(|hierarchy| {
            // The group's path is absolute, or relative to the hierarchy: the same here.
            let source = hierarchy.join(self.group.strip_prefix("/").unwrap_or(&self.group));
            Some(json!({
                "destination": destination.join(hierarchy.file_name()?),
                "type": "bind",
                "source": source,
                "options": options,
            }))
        }));
        mounts
    }

    /// The directory that the hierarchies are mounted in. A read-only tmpfs would have no mount points and get none:
    /// the node's own has them, and without what is mounted there they are empty directories. A user namespace may not
    /// look under the node's mounts; there it is a small tmpfs, writable by the container's root.
    fn mount_points(&self, destination: &Path, read_only: bool) -> Value {
        if read_only && !self.user_namespace {
            return json!({
                "destination": destination, "type": "bind", "source": ROOT,
                "options": ["bind", "ro", "nosuid", "noexec", "nodev"],
            });
        }
        json!({
            "destination": destination, "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "nodev", "mode=755", "size=64k", "nr_inodes=1k"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_hierarchies_have_no_group() {
        for good in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu,cpuacct"] {
            assert!(has_group(Path::new(good)), "{good}");
        }
        for bad in ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/mnt/pids", "/sys/fs/cgroup/a/pids"] {
            assert!(!has_group(Path::new(bad)), "{bad}");
        }
    }

    /// The mounts in place of one with these options.
    fn replaced(user_namespace: bool, option: &str) -> Vec<Value> {
        let view = View {
            group: PathBuf::from("/pods/c1"),
            hierarchies: ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"].map(PathBuf::from).into(),
            user_namespace,
        };
        let original = json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", option]
        });
        let mut all = vec![json!({ "type": "proc" }), original, json!({ "type": "sysfs" })];
        view.replace(&mut all).unwrap();
        all
    }

    #[test]
    fn each_hierarchy_shows_the_containers_own_group_only() {
        let found = replaced(false, "ro");
        let kinds: Vec<_> = found.iter().map(|m| m["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["proc", "bind", "bind", "bind", "sysfs"]);
        assert_eq!(
            found[3],
            json!({
                "destination": "/sys/fs/cgroup/pids", "type": "bind", "source": "/sys/fs/cgroup/pids/pods/c1",
                "options": ["bind", "nosuid", "ro"]
            })
        );
    }

    #[test]
    fn the_nodes_own_directory_is_never_writable() {
        let found = replaced(false, "ro");
        assert_eq!(found[1]["source"], ROOT);
        let options = found[1]["options"].as_array().unwrap();
        // Not rbind: with what is mounted there it would be the node's hierarchies.
        assert!(options.contains(&json!("ro")) && options.contains(&json!("bind")), "{options:?}");
        assert_eq!(replaced(false, "rw")[1]["type"], "tmpfs");
        assert_eq!(replaced(true, "ro")[1]["type"], "tmpfs");
    }
}
