//! `host.json`: the abilities of this boot. Anything doubtful about the file means that the kernel is tried again.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Abilities, SCHEMA};
use crate::files;
use crate::state::Store;

/// A written file has well under 2 KiB.
const LIMIT: u64 = 16 << 10;

/// What is remembered for this boot, if it can be believed.
pub(super) fn read(store: &Store, boot_id: &str) -> Option<Abilities> {
    let path = store.host_file();
    // Only we may have written it: a file of somebody else could promise what the kernel does not keep.
    let meta = fs::symlink_metadata(&path).ok()?;
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me || meta.mode() & 0o022 != 0 {
        return None;
    }
    let known: Abilities = serde_json::from_slice(&files::read(&path, LIMIT).ok()?).ok()?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let fits =
        known.schema == SCHEMA && known.boot_id == boot_id && known.kernel == release && known.landlock.is_plausible();
    fits.then_some(known)
}

/// Remembers; failing to is no error, the kernel is then tried again next time.
pub(super) fn write(store: &Store, abilities: &Abilities) {
    if let Ok(bytes) = serde_json::to_vec_pretty(abilities)
        && store.make_root().is_ok()
    {
        drop(files::write(&store.host_file(), &bytes));
    }
}
