//! The root file system: mounted by the shim, since containerd only says what to mount.

mod helper;
mod idmap;
mod overlay;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use containerd_shim::mount::mount_rootfs;
use containerd_shim::protos::api::Mount;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

pub(crate) use idmap::{IdMap, VERB as HOLD_VERB, hold};

use crate::aside::aside;
use crate::reaper::Reaper;

/// More mounts than this are never stacked on one directory.
const MAX_STACKED: usize = 128;

fn mount_one(kind: &str, source: &str, options: &[String], target: &Path) -> io::Result<()> {
    if kind == "overlay" && overlay::is_long(options) {
        return overlay::mount(source, options, target);
    }
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
    pub async fn mount(mounts: &[Mount], target: PathBuf, ids: Option<IdMap>, reaper: &Reaper) -> io::Result<Self> {
        let ids = ids.map(Arc::new);
        let rootfs = Self { target, kept: mounts.is_empty() };
        if !mounts.is_empty() {
            std::fs::create_dir_all(&rootfs.target)?;
        }
        for mount in mounts {
            if let Err(error) = rootfs.add(mount, ids.clone(), reaper).await {
                rootfs.undo().await;
                return Err(io::Error::other(format!("failed to mount rootfs component: {:?}: {error}", mount.source)));
            }
        }
        Ok(rootfs)
    }

    async fn add(&self, mount: &Mount, ids: Option<Arc<IdMap>>, reaper: &Reaper) -> io::Result<()> {
        if let Some(helper) = helper::of(&mount.type_) {
            return helper::mount(helper, mount, &self.target, reaper).await;
        }
        let (mount, target) = (mount.clone(), self.target.clone());
        aside(move || match ids {
            Some(ids) => ids.mount(&mount, &target),
            None => mount_one(&mount.type_, &mount.source, &mount.options, &target),
        })
        .await
    }

    /// Takes the mounts away, while others go on.
    pub async fn undo(mut self) {
        if !std::mem::replace(&mut self.kept, true) {
            told(unmount_all_aside(self.target.clone()).await);
        }
    }

    /// Leaves the mounts in place.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        // Only where the creation itself was dropped.
        if !self.kept {
            told(unmount_all(&self.target));
        }
    }
}

fn told(undone: io::Result<()>) {
    if let Err(error) = undone {
        tracing::error!(%error, "cannot undo the mounts of a container that was not created");
    }
}

/// What [`unmount_all`] does, while others go on.
///
/// # Errors
/// What the kernel says.
pub async fn unmount_all_aside(target: PathBuf) -> io::Result<()> {
    aside(move || unmount_all(&target)).await
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
