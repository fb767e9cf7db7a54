//! Containers as they stand in the state directory, with the checks that libcontainer leaves out.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use libcgroups::common::{AnyCgroupManager, CgroupConfig, create_cgroup_manager};
use libcontainer::container::{Container, ContainerStatus};
use serde::{Deserialize, Serialize};

/// Beside libcontainer's own files: what it does not know.
const RECORD_FILE: &str = "engine.json";

/// A pid alone may belong to a stranger by now; together with its start time it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pid: i32,
    /// Clock ticks after boot, as in /proc/PID/stat.
    start_time: u64,
}

impl Identity {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses, which may contain anything; start_time is the 22nd.
        let start_time = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }
}

/// What this engine remembers of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The init process.
    pub init: Identity,
    /// The bundle as it was given; libcontainer may have got another one.
    pub bundle: PathBuf,
}

impl Record {
    /// Writes it into a container's directory.
    pub fn save(&self, directory: &Path) -> anyhow::Result<()> {
        fs::write(directory.join(RECORD_FILE), serde_json::to_vec(self)?).context("cannot save the engine's record")
    }

    /// Reads it; absent if create did not get that far.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(directory.join(RECORD_FILE)).ok()?).ok()
    }
}

/// The state directory of a container. The id becomes a path, so it may not lead anywhere else.
pub fn directory(root: &Path, id: &str) -> anyhow::Result<PathBuf> {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'.');
    if id.is_empty() || id.starts_with('.') || !id.bytes().all(harmless) {
        bail!("invalid container ID format: {id:?}");
    }
    Ok(root.join(id))
}

/// Loads a container. A pid that now belongs to another process counts as gone.
pub fn load(root: &Path, id: &str) -> anyhow::Result<Container> {
    let directory = directory(root, id)?;
    if !directory.is_dir() {
        bail!("container does not exist");
    }
    let mut container = Container::load(directory.clone()).context("cannot load the container's state")?;
    if let Some(pid) = container.state.pid
        && Record::load(&directory).is_none_or(|record| Identity::of(pid) != Some(record.init))
    {
        container.state.pid = None;
        container.refresh_status()?;
    }
    Ok(container)
}

/// The lower-case word that runc uses for a status.
pub fn word(status: ContainerStatus) -> &'static str {
    match status {
        ContainerStatus::Creating => "creating",
        ContainerStatus::Created => "created",
        ContainerStatus::Running => "running",
        ContainerStatus::Stopped => "stopped",
        ContainerStatus::Paused => "paused",
    }
}

/// The control groups of a container.
pub fn cgroups(container: &Container) -> anyhow::Result<AnyCgroupManager> {
    let cgroup_path = container.spec().context("cannot load the container's configuration")?.cgroup_path;
    check_cgroup_path(&cgroup_path)?;
    create_cgroup_manager(CgroupConfig {
        cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: container.id().to_owned(),
    })
    .context("cannot open the container's cgroups")
}

/// libcontainer kills whatever runs in the container's cgroup when it removes it: the root and our own must never be it.
pub fn check_cgroup_path(path: &Path) -> anyhow::Result<()> {
    let names_a_group = path.components().any(|c| matches!(c, Component::Normal(_)));
    let climbs = path.components().any(|c| c == Component::ParentDir);
    if climbs || !names_a_group {
        bail!("linux.cgroupsPath {} is not a cgroup below the root", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_nowhere_else() {
        let root = Path::new("/root");
        for bad in ["", ".", "..", ".bundles", "a/b", "/a", "a b", "a\n", "ä"] {
            assert!(directory(root, bad).is_err(), "{bad:?}");
        }
        assert_eq!(directory(root, "a-1_b.c").unwrap(), Path::new("/root/a-1_b.c"));
    }

    #[test]
    fn a_cgroup_path_is_below_the_root() {
        for bad in ["", "/", "//", ".", "/..", "/a/../..", "../x"] {
            assert!(check_cgroup_path(Path::new(bad)).is_err(), "{bad:?}");
        }
        for good in ["/kubepods/pod1/c1", "relative", "system.slice:cri:abc"] {
            assert!(check_cgroup_path(Path::new(good)).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_identity_is_the_process_not_the_pid() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let first = Identity::of(pid).unwrap();
        assert_eq!(Identity::of(pid), Some(first));
        assert_ne!(Identity::of(std::process::id().cast_signed()), Some(first));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Identity::of(pid), None);
    }
}
