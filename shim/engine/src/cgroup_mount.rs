//! The container's view of version 1 cgroups in a shared PID namespace.
//!
//! For it libcontainer looks up its own pid, which is that of the shared namespace, in the node's /proc: there it is
//! nobody, or somebody else. So the mounts are written out for it: a tmpfs, and each hierarchy's own group in it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use libcgroups::v1::util::list_subsystem_mount_points;
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use serde_json::{Value, json};

/// Where the hierarchies are, on the node and in the container.
const ROOT: &str = "/sys/fs/cgroup";

/// The mounts in place of the one of type cgroup; `None` where libcontainer's own way works.
pub fn replacement(spec: &Spec) -> anyhow::Result<Option<Vec<Value>>> {
    let Some(mount) = spec.mounts().iter().flatten().find(|mount| is_cgroup(mount)) else {
        return Ok(None);
    };
    let shares_pids = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref()).is_none_or(|namespaces| {
        let pid = namespaces.iter().find(|namespace| namespace.typ() == LinuxNamespaceType::Pid);
        pid.is_none_or(|namespace| namespace.path().is_some())
    });
    let group = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    let hierarchies: Vec<_> = list_subsystem_mount_points()
        .context("cannot list the cgroup hierarchies")?
        .into_iter()
        .filter(|path| {
            path.starts_with(ROOT) && path.file_name().is_some_and(|name| has_group(&name.to_string_lossy()))
        })
        .collect();
    Ok(match group {
        Some(group) if shares_pids && !hierarchies.is_empty() => Some(mounts(mount, &group, &hierarchies)),
        _ => None,
    })
}

/// Whether libcgroups makes the container's group there: not in named hierarchies such as systemd's.
fn has_group(hierarchy: &str) -> bool {
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
    hierarchy.split(',').all(|controller| CONTROLLERS.contains(&controller))
}

/// Puts the replacement where the original was.
pub fn replace(mounts: &mut Vec<Value>, replacement: Vec<Value>) {
    if let Some(index) = mounts.iter().position(|mount| mount["type"] == "cgroup") {
        mounts.splice(index..=index, replacement);
    }
}

fn is_cgroup(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
}

fn mounts(original: &Mount, group: &Path, hierarchies: &[PathBuf]) -> Vec<Value> {
    let destination = original.destination();
    let mut mounts = vec![json!({
        "destination": destination,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "noexec", "nodev", "mode=755"],
    })];
    let mut options: Vec<String> = original.options().clone().unwrap_or_default();
    options.insert(0, "bind".into());
    for hierarchy in hierarchies {
        let Some(name) = hierarchy.file_name() else { continue };
        // The group's path is absolute, or relative to the hierarchy: the same here.
        let source = hierarchy.join(group.strip_prefix("/").unwrap_or(group));
        mounts.push(json!({
            "destination": destination.join(name),
            "type": "bind",
            "source": source,
            "options": options,
        }));
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_hierarchies_have_no_group() {
        assert!(has_group("pids") && has_group("cpu,cpuacct"));
        assert!(!has_group("systemd") && !has_group("unified"));
    }

    #[test]
    fn each_hierarchy_shows_the_containers_own_group_only() {
        let original: Mount = serde_json::from_value(json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "ro"]
        }))
        .unwrap();
        let hierarchies = [PathBuf::from("/sys/fs/cgroup/pids"), PathBuf::from("/sys/fs/cgroup/cpu")];
        let found = mounts(&original, Path::new("/pods/c1"), &hierarchies);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0]["type"], "tmpfs");
        assert_eq!(
            found[1],
            json!({
                "destination": "/sys/fs/cgroup/pids", "type": "bind", "source": "/sys/fs/cgroup/pids/pods/c1",
                "options": ["bind", "nosuid", "ro"]
            })
        );
        let mut all = vec![json!({ "type": "proc" }), json!({ "type": "cgroup" }), json!({ "type": "tmpfs" })];
        replace(&mut all, found);
        let kinds: Vec<_> = all.iter().map(|m| m["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["proc", "tmpfs", "bind", "bind", "tmpfs"]);
    }
}
