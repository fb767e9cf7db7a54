//! The root file system: mounted by the shim, since containerd only says what to mount.

mod idmap;

use std::io;
use std::path::{Path, PathBuf};

use containerd_shim::mount::mount_rootfs;
use containerd_shim::protos::api::Mount;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

pub(crate) use idmap::{IdMap, VERB as HOLD_VERB, hold};

/// More mounts than this are never stacked on one directory.
const MAX_STACKED: usize = 128;

fn mount_one(kind: &str, source: &str, options: &[String], target: &Path) -> io::Result<()> {
    mount_rootfs(Some(kind), Some(source), options, target).map_err(io::Error::other)
}

/// A mounted root file system. Undone when dropped, unless it was kept.
#[must_use]
pub struct Rootfs {
    target: PathBuf,
    kept: bool,
}

impl Rootfs {
    /// Mounts `mounts` on `target`, one over the other. A failure undoes all of them.
    ///
    /// # Errors
    /// The failing mount and the reason.
    pub fn mount(mounts: &[Mount], target: PathBuf, ids: Option<&IdMap>) -> io::Result<Self> {
        let rootfs = Self { target, kept: mounts.is_empty() };
        if !mounts.is_empty() {
            std::fs::create_dir_all(&rootfs.target)?;
        }
        for mount in mounts {
            match ids {
                Some(ids) => ids.mount(mount, &rootfs.target),
                None => mount_one(&mount.type_, &mount.source, &mount.options, &rootfs.target),
            }
            .map_err(|error| {
                io::Error::other(format!("failed to mount rootfs component: {:?}: {error}", mount.source))
            })?;
        }
        Ok(rootfs)
    }

    /// Leaves the mounts in place.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = unmount_all(&self.target)
        {
            tracing::error!(%error, "cannot undo the mounts of a container that was not created");
        }
    }
}

/// Unmounts everything that is mounted on `target`, lazily where it is in use. Nothing mounted, and
/// no such directory, is fine.
///
/// # Errors
/// What the kernel says.
pub fn unmount_all(target: &Path) -> io::Result<()> {
    for _ in 0..MAX_STACKED {
        let flags = UnmountFlags::NOFOLLOW;
        match unmount(target, flags).or_else(|error| match error {
            Errno::BUSY => unmount(target, flags | UnmountFlags::DETACH),
            other => Err(other),
        }) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
