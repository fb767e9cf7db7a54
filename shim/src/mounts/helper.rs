//! File systems in user space: their own program mounts them, as with containerd's other mounters.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use containerd_shim::protos::api::Mount;
use rustix::fs::MemfdFlags;

use crate::reaper::Reaper;
use crate::sys;

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How much of its words is told.
const MAX_WORDS: u64 = 1024;
const SIGKILL: u32 = 9;

/// The program for a type like `fuse3.fuse-overlayfs`, and the file system that it is told.
pub(super) fn of(kind: &str) -> Option<(&'static str, &str)> {
    let fuse = |prefix, program| kind.strip_prefix(prefix).map(|name| (program, name));
    fuse("fuse.", "mount.fuse").or_else(|| fuse("fuse3.", "mount.fuse3"))
}

/// Has `program` mount the file system `name`.
pub(super) async fn mount(
    (program, name): (&str, &str),
    mount: &Mount,
    target: &Path,
    reaper: &Reaper,
) -> io::Result<()> {
    let mut said = File::from(rustix::fs::memfd_create("mount", MemfdFlags::CLOEXEC)?);
    let mut command = Command::new(program);
    command.arg(&mount.source).arg(target);
    for option in &mount.options {
        command.args(["-o", option]);
    }
    command.args(["-t", name]).stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
    let (child, mut exit) = reaper
        .spawn(&mut command)
        .map_err(|error| io::Error::new(error.kind(), format!("mount helper {program}: {error}")))?;
    let Ok(exit) = tokio::time::timeout(LIMIT, exit.wait()).await else {
        // Not reaped yet, or the wait had ended: the number is its own.
        let _ = i32::try_from(child.id()).map(|pid| sys::signal::send(pid, SIGKILL));
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("mount helper {program} did not end")));
    };
    if exit.status == 0 {
        return Ok(());
    }
    let mut words = Vec::new();
    said.seek(SeekFrom::Start(0))?;
    said.take(MAX_WORDS).read_to_end(&mut words)?;
    let words = String::from_utf8_lossy(&words);
    Err(io::Error::other(format!("mount helper {program} failed: {:?}: exit status {}", words.trim(), exit.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_in_user_space_have_a_program() {
        assert_eq!(of("fuse3.fuse-overlayfs"), Some(("mount.fuse3", "fuse-overlayfs")));
        assert_eq!(of("fuse.stargz"), Some(("mount.fuse", "stargz")));
        for other in ["overlay", "bind", "fuse", "fuseblk", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
