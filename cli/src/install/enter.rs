//! From a pod's view of the machine into the machine's own: its files and its control groups.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocap_annotations::{ZcError, code};

use super::failed;

/// A folder of the view that was left: it stays open, and has a path in the new view.
#[derive(Debug)]
pub struct Kept {
    _folder: Option<rustix::fd::OwnedFd>,
    path: PathBuf,
}

impl Kept {
    /// The folder as it is, for whoever stays.
    pub fn plain(path: PathBuf) -> Self {
        Self { _folder: None, path }
    }

    /// Opens it before the view changes.
    ///
    /// # Errors
    /// ZC1107.
    pub fn open(path: &Path) -> Result<Self, ZcError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|error| failed(path, &error.into()))?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
        Ok(Self { _folder: Some(folder), path: PathBuf::from(format!("/proc/self/fd/{number}")) })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Enters the mount and control group namespaces of a process. This process must have one thread.
///
/// # Errors
/// ZC1112: it is this container's own process, or a privilege is missing.
pub fn enter(pid: u32) -> Result<(), ZcError> {
    let refused = |what: String| {
        ZcError::new(
            code::install::NOT_THE_HOST,
            what,
            "give the pod hostPID: true and the capabilities SYS_ADMIN, SYS_CHROOT and SYS_PTRACE",
        )
    };
    let link = |name: &str| PathBuf::from(format!("/proc/{pid}/ns/{name}"));
    let same = |name: &str| -> io::Result<bool> {
        Ok(fs::read_link(link(name))? == fs::read_link(format!("/proc/self/ns/{name}"))?)
    };
    let trouble = |name: &str, error: io::Error| refused(format!("{}: {error}", link(name).display()));
    if same("mnt").map_err(|error| trouble("mnt", error))? {
        return Err(refused(format!("process {pid} has no other files than this container")));
    }
    // Both are opened before either is entered: afterwards /proc is another one.
    let open = |name: &str| File::open(link(name)).map_err(|error| trouble(name, error));
    let (groups, files) = (open("cgroup")?, open("mnt")?);
    for (name, file, kind) in
        [("cgroup", groups, LinkNameSpaceType::ControlGroup), ("mnt", files, LinkNameSpaceType::Mount)]
    {
        move_into_link_name_space(file.as_fd(), Some(kind)).map_err(|error| trouble(name, error.into()))?;
    }
    Ok(())
}
