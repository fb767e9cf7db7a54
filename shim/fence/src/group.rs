//! The cgroup v2 tree, and the group of one container in it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::error::FenceError;

/// How often a group whose processes are dying is tried again, and how long is waited between.
const ROUNDS: usize = 40;
const DYING: Duration = Duration::from_millis(5);
/// A /proc file or a list of processes is not read beyond this.
const LIMIT: usize = 1 << 20;

/// The cgroup v2 tree, alone or beside version 1.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

/// A group in the tree, by its path from the root as /proc/PID/cgroup has it.
#[derive(Debug)]
pub struct Group {
    path: String,
    directory: OwnedFd,
}

impl Tree {
    /// The tree as it is mounted; where it is not, a mount that only this value sees.
    ///
    /// # Errors
    /// The kernel has no cgroup v2, or does not let us have it.
    pub fn open() -> Result<Self, FenceError> {
        let mounts = read(CWD, "/proc/self/mountinfo").map_err(FenceError::NoTree)?;
        if let Some(point) = mount_point(&mounts)
            && let Ok(root) = directory(CWD, point)
        {
            return Ok(Self { root });
        }
        Self::detached().map_err(|error| FenceError::NoTree(error.into()))
    }

    /// A mount in no namespace: engines that refuse to start beside a visible version 2 tree do not see it.
    fn detached() -> rustix::io::Result<Self> {
        let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        Ok(Self { root: directory(mount.as_fd(), ".")? })
    }

    /// The path of a process's group.
    ///
    /// # Errors
    /// The process is gone, or its group is outside of our view.
    pub fn path_of(&self, pid: i32) -> Result<String, FenceError> {
        let path = shown(pid)?;
        if path.split('/').any(|part| part == "..") || path.ends_with(" (deleted)") {
            return Err(not_found(pid)(io::Error::other(format!("{path:?} cannot be reached"))));
        }
        Ok(path)
    }

    /// The group at a path.
    ///
    /// # Errors
    /// There is none.
    pub fn group(&self, path: &str) -> Result<Group, FenceError> {
        let open = directory(self.root.as_fd(), below(path));
        let directory =
            open.map_err(|source| FenceError::Group { what: "open", group: path.to_owned(), source: source.into() })?;
        Ok(Group { path: path.to_owned(), directory })
    }

    /// Makes a group; one that is there already is taken over.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn make(&self, path: &str) -> Result<Group, FenceError> {
        match mkdirat(&self.root, below(path), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.group(path),
            Err(error) => Err(FenceError::Group { what: "make", group: path.to_owned(), source: error.into() }),
        }
    }

    /// Removes a group and those below it; processes that are just ending are waited for. No group is no error.
    ///
    /// # Errors
    /// A process lives in it.
    pub fn remove(&self, path: &str) -> Result<(), FenceError> {
        let mut result = Ok(());
        for _ in 0..ROUNDS {
            result = remove(self.root.as_fd(), below(path));
            if result.is_ok() {
                break;
            }
            std::thread::sleep(DYING);
        }
        result.map_err(|source| FenceError::Group { what: "remove", group: path.to_owned(), source: source.into() })
    }

    /// Whether a group is a container's own, so that programs on it bind nobody else: our own process is neither in it nor
    /// below it, and `pid` is alone in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_own(&self, group: &Group, pid: i32) -> Result<bool, FenceError> {
        // We may be outside of our own view of the tree; then we are in none of its groups.
        let ours = shown(std::process::id().cast_signed())?;
        if is_within(&ours, &group.path) {
            return Ok(false);
        }
        Ok(group.processes()? == [pid])
    }
}

impl Group {
    /// The path from the tree's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Moves a process, with all its threads, into the group.
    ///
    /// # Errors
    /// The kernel refuses, or the process is gone.
    pub fn enter(&self, pid: i32) -> Result<(), FenceError> {
        let write = || {
            let file = openat(&self.directory, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&file, pid.to_string().as_bytes())
        };
        write().map(drop).map_err(|source| self.failed("move a process into", source.into()))
    }

    /// The processes in the group itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>, FenceError> {
        let text = read(self.directory.as_fd(), "cgroup.procs").map_err(|source| self.failed("read", source))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether a process is in the group or in one below it.
    ///
    /// # Errors
    /// The process is gone.
    pub fn holds(&self, tree: &Tree, pid: i32) -> Result<bool, FenceError> {
        Ok(is_within(&tree.path_of(pid)?, &self.path))
    }

    fn failed(&self, what: &'static str, source: io::Error) -> FenceError {
        FenceError::Group { what, group: self.path.clone(), source }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// The path of a process's group as the kernel shows it to us.
fn shown(pid: i32) -> Result<String, FenceError> {
    let text = read(CWD, &format!("/proc/{pid}/cgroup")).map_err(not_found(pid))?;
    let path = unified(&text).ok_or_else(|| not_found(pid)(io::Error::other("there is no line 0::")))?;
    Ok(path.to_owned())
}

fn not_found(pid: i32) -> impl Fn(io::Error) -> FenceError {
    move |source| FenceError::Group { what: "find", group: format!("of process {pid}"), source }
}

/// Whether a path is that of a group or of one below it.
fn is_within(path: &str, group: &str) -> bool {
    let group = group.trim_end_matches('/');
    if path.starts_with("/..") {
        return false;
    }
    path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn below(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

fn directory<P: rustix::path::Arg>(at: BorrowedFd<'_>, path: P) -> rustix::io::Result<OwnedFd> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn remove(at: BorrowedFd<'_>, path: &str) -> rustix::io::Result<()> {
    use rustix::io::Errno;
    match unlinkat(at, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(error) => return Err(error),
    }
    let group = directory(at, path)?;
    for entry in rustix::fs::Dir::read_from(&group)?.flatten() {
        let name = entry.file_name();
        if entry.file_type() == rustix::fs::FileType::Directory && name != c"." && name != c".." {
            remove(group.as_fd(), &name.to_string_lossy())?;
        }
    }
    unlinkat(at, path, AtFlags::REMOVEDIR)
}

/// Reads a small file of the kernel.
fn read(at: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    let mut limited = io::Read::take(std::fs::File::from(file), LIMIT as u64);
    io::Read::read_to_string(&mut limited, &mut text)?;
    Ok(text)
}

/// The path behind `0::`.
fn unified(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Where the whole tree is mounted. Fields of a mountinfo line: id, parent, device, root, mount point, options, `-`, type.
fn mount_point(mountinfo: &str) -> Option<&Path> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (root == "/" && after.starts_with("cgroup2 ")).then(|| Path::new(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_tree_is_found_wherever_it_is_mounted() {
        let hybrid = "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:3 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("41 31 0:38 /pod /mnt rw - cgroup2 cgroup2 rw"), None);
        assert_eq!(mount_point("41 31 0:38 / /cgroup2 rw - tmpfs cgroup2 rw"), None);
    }

    #[test]
    fn only_whole_names_are_within() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/") && is_within("/", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/", "/a") && !is_within("/../x", "/"));
    }

    #[test]
    fn the_unified_line_is_the_one_without_controllers() {
        assert_eq!(unified("4:memory:/m\n1:name=systemd:/s\n0::/kubepods/a\n"), Some("/kubepods/a"));
        assert_eq!(unified("4:memory:/m\n"), None);
    }
}
