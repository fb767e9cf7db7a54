//! Bounded reads and atomic writes: the only two ways in which this crate touches file contents.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::OFlags;

use crate::NodeError;

/// Makes `path` and its missing parents, each with that mode.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), NodeError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| NodeError::io("create", path, e))
}

/// Reads a regular file of at most `limit` bytes; a symbolic link, a pipe or a device in its place is an error.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, NodeError> {
    // NONBLOCK: opening a pipe that somebody put there must not hang.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
        .open(path)
        .map_err(|e| NodeError::io("open", path, e))?;
    read_open(file, path, limit)
}

/// The same for the administrator's files, which may well be symbolic links.
pub(crate) fn read_following(path: &Path, limit: u64) -> Result<Vec<u8>, NodeError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags(OFlags::NONBLOCK))
        .open(path)
        .map_err(|e| NodeError::io("open", path, e))?;
    read_open(file, path, limit)
}

fn read_open(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, NodeError> {
    let meta = file.metadata().map_err(|e| NodeError::io("read", path, e))?;
    if !meta.is_file() {
        return Err(NodeError::damaged(path, "not a regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells "at the bound" from "beyond".
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| NodeError::io("read", path, e))?;
    if bytes.len() as u64 > limit {
        return Err(NodeError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Replaces `path` in one step: a reader sees the old content or the new, never a part.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{serial}", std::process::id()));
    let result = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    result.map_err(|e| {
        // Best effort: the first error is the one worth telling.
        drop(fs::remove_file(&temporary));
        NodeError::io("write", path, e)
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(flags(OFlags::NOFOLLOW))
        .open(path)?
        .write_all(bytes)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
