//! The cgroups of a container, read and signalled directly: no engine run for pids, stats or kill.
//!
//! containerd-shim and cgroups-rs offer cgroup reading too, but lose counters that the kubelet shows
//! (CPU time of a v1 tree with cpuacct mounted apart, unlimited values, memory events).

mod files;
mod oom;
mod stats_v1;
mod stats_v2;
mod systemd;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_shim::protos::protobuf::well_known_types::any::Any;

pub use oom::OomWatch;

use crate::sys;

/// How often a dying group is signalled again, for processes that fork meanwhile.
const ROUNDS: usize = 20;
/// How long a killed process may need between two looks.
const DYING: Duration = Duration::from_millis(25);
/// More processes than this are not listed.
const MAX_PIDS: usize = 1 << 20;
const SIGKILL: u32 = 9;

/// Where a container is in each hierarchy. Directories that are the root of a hierarchy are left out: they
/// hold everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// cgroup v1: controllers and directory.
    v1: Vec<(Vec<String>, PathBuf)>,
    /// cgroup v2.
    unified: Option<PathBuf>,
    /// Whether the controllers are in the unified hierarchy.
    pure_v2: bool,
}

impl Cgroup {
    /// No group in any hierarchy.
    #[must_use]
    pub const fn none() -> Self {
        Self { v1: Vec::new(), unified: None, pure_v2: false }
    }

    /// The groups that a container's first process `pid` is in, without those that we are in ourselves: beside version 1
    /// engines leave it in their own group of version 2, which is ours and may be containerd's.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn of(pid: i32) -> io::Result<Self> {
        let membership = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let ours = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::parse(&apart(&membership, &ours), &mounts))
    }

    pub(crate) fn parse(membership: &str, mountinfo: &str) -> Self {
        let mounts = mountinfo.lines().filter_map(Mount::parse).collect::<Vec<_>>();
        let mut cgroup = Self { pure_v2: !mounts.iter().any(|mount| !mount.controllers.is_empty()), ..Self::default() };
        for line in membership.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            let directory = |mount: &Mount| {
                let below = path.strip_prefix(&mount.root).unwrap_or(path);
                let below = below.trim_matches('/');
                // ".." means outside of our cgroup namespace: not reachable from here.
                let reachable = !below.is_empty() && !below.split('/').any(|part| part == "..");
                reachable.then(|| mount.point.join(below))
            };
            if controllers.is_empty() {
                let mount = mounts.iter().find(|mount| mount.unified);
                cgroup.unified = mount.and_then(directory);
                continue;
            }
            let names = controllers.split(',').map(str::to_owned).collect::<Vec<_>>();
            let mount =
                mounts.iter().find(|mount| !mount.unified && mount.controllers.iter().any(|one| names.contains(one)));
            if let Some(directory) = mount.and_then(directory) {
                cgroup.v1.push((names, directory));
            }
        }
        cgroup
    }

    /// The groups that a container `id` has or would have at `path`, as its spec has it: a path, or systemd's notation.
    /// None for a path that is not the container's own.
    pub fn planned(id: &str, path: &str) -> Option<Self> {
        let unit = systemd::path(path);
        let path = unit.as_deref().unwrap_or(path);
        let own = path.starts_with('/') && path.rsplit('/').next()?.contains(id) && !path.contains("..");
        let mounts = own.then(|| fs::read_to_string("/proc/self/mountinfo").ok())??;
        let mounts = mounts.lines().filter_map(Mount::parse);
        let mut cgroup = Self::default();
        for mount in mounts {
            let directory = mount.point.join(path.trim_start_matches('/'));
            if mount.unified {
                cgroup.unified = Some(directory);
            } else {
                cgroup.v1.push((mount.controllers, directory));
            }
        }
        Some(cgroup)
    }

    /// Kills what lives in the groups, and removes them. What dies keeps its group for a moment: that is waited for.
    pub async fn remove(&self) {
        let directories = self.v1.iter().map(|(_, directory)| directory).chain(&self.unified).collect::<Vec<_>>();
        for _ in 0..ROUNDS {
            let mut left = false;
            for directory in &directories {
                let group = Self { unified: Some((*directory).clone()), ..Self::default() };
                group.kill_rest();
                left |= !remove_groups(directory);
            }
            if !left {
                return;
            }
            tokio::time::sleep(DYING).await;
        }
        tracing::warn!(?directories, "cgroups stay");
    }

    /// The v1 directory of `controller`.
    fn controller(&self, controller: &str) -> Option<&Path> {
        self.v1
            .iter()
            .find(|(names, _)| names.iter().any(|name| name == controller))
            .map(|(_, directory)| directory.as_path())
    }

    /// The directory that lists the container's processes.
    fn processes(&self) -> Option<&Path> {
        self.unified
            .as_deref()
            .or_else(|| self.controller("pids"))
            .or_else(|| self.controller("devices"))
            .or_else(|| self.controller("memory"))
            .or_else(|| self.v1.first().map(|(_, directory)| directory.as_path()))
    }

    /// The directory with the memory controller's files, and whether it is of cgroup v2.
    #[must_use]
    pub fn memory(&self) -> Option<(&Path, bool)> {
        if self.pure_v2 {
            self.unified.as_deref().map(|directory| (directory, true))
        } else {
            self.controller("memory").map(|directory| (directory, false))
        }
    }

    /// All processes of the container, those in groups below included.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        if let Some(directory) = self.processes() {
            collect_pids(directory, &mut pids);
        }
        pids
    }

    /// Sends `signal` to all processes. False if the container has no group of its own.
    #[must_use]
    pub fn signal_all(&self, signal: u32) -> bool {
        let Some(directory) = self.processes() else {
            return false;
        };
        if signal == SIGKILL && fs::write(directory.join("cgroup.kill"), "1").is_ok() {
            return true;
        }
        for pid in self.pids() {
            // A process that ended meanwhile needs no signal.
            let _ = sys::signal::send(pid, signal);
        }
        true
    }

    /// Kills everything that is left, also what forks meanwhile.
    pub fn kill_rest(&self) {
        for _ in 0..ROUNDS {
            if self.pids().is_empty() || !self.signal_all(SIGKILL) {
                return;
            }
        }
    }

    /// Resource usage in containerd's native type for this kind of cgroup.
    ///
    /// # Errors
    /// When the container has no cgroup any more.
    pub fn stats(&self) -> io::Result<Any> {
        let gone = || io::Error::other("the container has no cgroup");
        if self.pure_v2 {
            let directory = self.unified.as_deref().ok_or_else(gone)?;
            // systemd removes a scope with its last process, before the container is deleted. In the words of containerd's shim.
            let controllers = directory.join("cgroup.controllers");
            if !controllers.exists() {
                let words = format!("open {}: no such file or directory", controllers.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, words));
            }
            stats_v2::read(directory)
        } else {
            if self.v1.is_empty() {
                return Err(gone());
            }
            stats_v1::read(|controller| self.controller(controller)).map_err(io::Error::other)
        }
    }
}

/// The lines of a membership that are not in another one.
fn apart(membership: &str, other: &str) -> String {
    let other = other.lines().collect::<Vec<_>>();
    membership.lines().filter(|line| !other.contains(line)).map(|line| format!("{line}\n")).collect()
}

fn collect_pids(directory: &Path, pids: &mut Vec<i32>) {
    let listed = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if pids.len() < MAX_PIDS && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), pids);
        }
    }
}

/// Removes a group with those below it, if nobody is in it; says whether it is gone.
fn remove_groups(directory: &Path) -> bool {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    fs::remove_dir(directory).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
}

struct Mount {
    root: String,
    point: PathBuf,
    unified: bool,
    /// Empty for v2. Named hierarchies appear as `name=…`, as in /proc/PID/cgroup.
    controllers: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
        if kind != "cgroup" && kind != "cgroup2" {
            return None;
        }
        let unified = kind == "cgroup2";
        Some(Self {
            root: root.trim_end_matches('/').to_owned(),
            point: point.into(),
            unified,
            controllers: if unified {
                Vec::new()
            } else {
                options.split(',').filter(|option| !matches!(*option, "rw" | "ro")).map(str::to_owned).collect()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:3 - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
23 1 0:2 / / rw - ext4 /dev/x rw";

    #[test]
    fn a_hybrid_tree_has_its_controllers_in_v1() {
        let membership = "8:pids:/kubepods/a\n4:memory:/kubepods/a\n9:name=systemd:/a\n2:cpuacct:/\n0::/";
        let cgroup = Cgroup::parse(membership, HYBRID);
        assert_eq!(cgroup.memory(), Some((Path::new("/sys/fs/cgroup/memory/kubepods/a"), false)));
        assert_eq!(cgroup.processes(), Some(Path::new("/sys/fs/cgroup/pids/kubepods/a")));
        assert_eq!(cgroup.controller("cpuacct"), None, "the root is everybody's");
        assert_eq!(cgroup.unified, None);
    }

    #[test]
    fn a_group_that_is_ours_is_no_containers_own() {
        let ours = "8:pids:/system.slice/containerd.service\n0::/system.slice/containerd.service\n";
        let membership = apart("8:pids:/kubepods/a\n0::/system.slice/containerd.service\n", ours);
        let cgroup = Cgroup::parse(&membership, HYBRID);
        assert_eq!(cgroup.unified, None);
        assert_eq!(cgroup.processes(), Some(Path::new("/sys/fs/cgroup/pids/kubepods/a")));
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!Cgroup::of(own).unwrap().signal_all(0), "nobody is signalled with us");
    }

    #[test]
    fn a_pure_v2_tree_has_everything_in_one_place() {
        let mounts = "25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        let cgroup = Cgroup::parse("0::/kubepods.slice/a", mounts);
        let directory = Path::new("/sys/fs/cgroup/kubepods.slice/a");
        assert_eq!(cgroup.memory(), Some((directory, true)));
        assert_eq!(cgroup.processes(), Some(directory));
    }

    #[test]
    fn a_unit_of_systemd_is_read_where_the_kernel_has_it() {
        let unit = "/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope";
        // systemd keeps its named hierarchy beside the controllers; both drivers' paths are read alike.
        let membership = format!("8:pids:{unit}\n4:memory:{unit}\n1:name=systemd:{unit}\n0::{unit}");
        let cgroup = Cgroup::parse(&membership, HYBRID);
        let memory = format!("/sys/fs/cgroup/memory{unit}");
        assert_eq!(cgroup.memory(), Some((Path::new(&memory), false)));
        let unified = format!("/sys/fs/cgroup/unified{unit}");
        assert_eq!(cgroup.processes(), Some(Path::new(&unified)));
        assert_eq!(systemd::path("kubepods-pod1.slice:cri-containerd:a").as_deref(), Some(unit));
    }

    #[test]
    fn a_mounted_subtree_is_taken_off_and_outside_is_unreachable() {
        let mounts = "25 1 0:22 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let inside = Cgroup::parse("0::/pod/a", mounts);
        assert_eq!(inside.processes(), Some(Path::new("/sys/fs/cgroup/a")));
        for outside in ["0::/pod", "0::/../other"] {
            let cgroup = Cgroup::parse(outside, mounts);
            assert_eq!(cgroup.processes(), None, "{outside}");
            assert!(!cgroup.signal_all(0));
        }
    }

    #[test]
    fn only_a_path_that_is_the_containers_own_is_planned() {
        for own in ["/kubepods/pod1/abc", "kubepods-pod1.slice:cri-containerd:abc"] {
            assert!(Cgroup::planned("abc", own).is_some(), "{own}");
        }
        for foreign in ["/kubepods/pod1", "/", "", "abc.slice:cri-containerd:other", "/abc/../abc", "abc"] {
            assert_eq!(Cgroup::planned("abc", foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn our_own_groups_are_found_or_are_the_root() {
        let own = i32::try_from(std::process::id()).unwrap();
        let cgroup = Cgroup::of(own).unwrap();
        if cgroup.processes().is_some() {
            assert!(cgroup.pids().contains(&own));
        }
    }
}
