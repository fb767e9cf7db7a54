//! The place in the container's root where the launcher's directory is mounted.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use zerocap_annotations::ZcError;
use zerocap_annotations::code::spec::{MOUNT_OVER_LAUNCHER, ROOTFS_OCCUPIED};
use zerocap_annotations::code::verify::UNREADABLE;
use zerocap_plan::{MOUNT_POINT, PROGRAM};

use super::{Identity, failure};

/// Refuses a root in which something else than an empty directory has the launcher's place: engines follow a link there to
/// wherever it leads. The empty directory is what an earlier start leaves behind.
///
/// # Errors
/// The place is taken, or cannot be looked at.
pub fn free_mount_point(rootfs: &Path) -> Result<(), ZcError> {
    let place = rootfs.join(MOUNT_POINT.trim_start_matches('/'));
    let found = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(occupied(&format!("cannot be looked at: {error}"))),
        Ok(found) => found,
    };
    if found.is_symlink() {
        return Err(occupied("is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(occupied("is not a directory"));
    }
    match fs::read_dir(&place).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(occupied("is a directory that is not empty")),
        Err(error) => Err(occupied(&format!("cannot be looked at: {error}"))),
    }
}

/// Refuses a container whose root is not `rootfs` any more, or in which another file than the launcher would be executed in
/// its name. `pid` is the container's first process, before anything of the image runs.
///
/// The spec cannot tell: a link in the image, or in a volume that another is mounted below, leads a mount over the root, and
/// then somebody else's `/.zerocap` counts. What runs there in the launcher's stead is not confined, and could hand over to
/// the true one after it has forked.
///
/// # Errors
/// Something lies over the launcher, or the place cannot be looked at.
pub fn in_place(pid: i32, rootfs: Identity, launcher: Identity) -> Result<(), ZcError> {
    let unseen = |error: Errno| covered(&format!("the place of the launcher cannot be looked at: {error}"));
    let root =
        openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| match error {
                Errno::NOENT | Errno::SRCH => failure::error(UNREADABLE, "the container's first process has ended"),
                error => unseen(error),
            })?;
    if Identity::of_open(&root).map_err(unseen)? != rootfs {
        return Err(covered("a volume is mounted over the container's root"));
    }
    // No link on the way: an absolute one would lead to the node's files.
    let way = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let program = openat2(&root, PROGRAM.trim_start_matches('/'), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), way);
    match program {
        Ok(program) if Identity::of_open(&program).map_err(unseen)? == launcher => Ok(()),
        Ok(_) => Err(covered("another file is in the launcher's place")),
        Err(error) => Err(unseen(error)),
    }
}

fn covered(what: &str) -> ZcError {
    failure::error(MOUNT_OVER_LAUNCHER, what)
}

fn occupied(what: &str) -> ZcError {
    failure::error(ROOTFS_OCCUPIED, format!("{MOUNT_POINT} of the image {what}"))
}
