//! The place in the container's root where the launcher's directory is mounted.

use std::fs;
use std::io;
use std::path::Path;

use zerocap_annotations::ZcError;
use zerocap_annotations::code::spec::ROOTFS_OCCUPIED;
use zerocap_plan::MOUNT_POINT;

use super::failure;

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

fn occupied(what: &str) -> ZcError {
    failure::error(ROOTFS_OCCUPIED, format!("{MOUNT_POINT} of the image {what}"))
}
