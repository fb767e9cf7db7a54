//! A folder for as long as a test program runs. What a `static` holds is never dropped, and a killed program drops nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Everybody may enter it. It is removed by a process that reads until ours is gone.
#[expect(clippy::zombie_processes, reason = "it outlives us")]
pub fn folder() -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let mut broom = Command::new("sh");
    broom.args(["-c", "read -r _; rm -rf -- \"$0\""]).arg(&folder);
    let broom =
        broom.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    std::mem::forget(broom.stdin);
    folder
}
