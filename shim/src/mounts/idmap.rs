//! Root file systems of pods with a user namespace of their own: the layers of the image stay as they are, and are
//! mounted so that they show the pod's ids.
//!
//! containerd says which ids by `uidmap=` and `gidmap=` among the mount options; no kernel knows these.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use containerd_shim::protos::api::Mount;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use tokio::net::unix::pipe;

use crate::reaper::Reaper;
use crate::sys;

/// First argument that makes this program hold a user namespace until its input ends.
pub(crate) const VERB: &str = "hold-user-namespace";
/// Below the bundle: where the layers are mounted until the overlay holds them.
const LAYERS: &str = ".layers";
/// How long making a namespace may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An id mapping, as a user namespace that nobody lives in.
pub(crate) struct IdMap {
    namespace: OwnedFd,
}

/// Runs the holder: enters a namespace, says so, and waits until it is not needed any more.
///
/// # Errors
/// When no user namespace can be made.
pub(crate) fn hold() -> io::Result<()> {
    sys::idmap::enter_user_namespace()?;
    io::Write::write_all(&mut io::stdout(), b"1")?;
    io::Write::flush(&mut io::stdout())?;
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

impl IdMap {
    /// The mapping that `mounts` ask for, if they do.
    ///
    /// # Errors
    /// A mapping that is malformed, or that the kernel refuses.
    pub(crate) async fn wanted(mounts: &[Mount], reaper: &Reaper) -> io::Result<Option<Self>> {
        let find =
            |key: &str| mounts.iter().flat_map(|mount| &mount.options).find_map(|option| option.strip_prefix(key));
        match (find("uidmap="), find("gidmap=")) {
            (Some(uids), Some(gids)) => Self::new(&lines(uids)?, &lines(gids)?, reaper).await.map(Some),
            (None, None) => Ok(None),
            _ => Err(invalid("a mount with only one of uidmap and gidmap")),
        }
    }

    async fn new(uids: &str, gids: &str, reaper: &Reaper) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(VERB).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let (mut holder, _exit) = reaper.spawn(&mut command)?;
        // The holder ends with its input, whatever happens below.
        let _input = holder.stdin.take();
        let output = holder.stdout.take().ok_or_else(|| io::Error::other("the holder has no output"))?;
        let ready = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        tokio::time::timeout(LIMIT, ready.readable()).await.map_err(io::Error::other)??;
        let mut byte = [0];
        if ready.try_read(&mut byte)? == 0 {
            return Err(io::Error::other("no user namespace can be made"));
        }
        let directory = PathBuf::from(format!("/proc/{}", holder.id()));
        fs::write(directory.join("uid_map"), uids)?;
        fs::write(directory.join("gid_map"), gids)?;
        Ok(Self { namespace: fs::File::open(directory.join("ns/user"))?.into() })
    }

    /// Mounts `mount` on `target` with this mapping.
    pub(super) fn mount(&self, mount: &Mount, target: &Path) -> io::Result<()> {
        let options = mount.options.iter().filter(|option| !is_map(option)).cloned().collect::<Vec<_>>();
        if mount.type_ != "overlay" {
            self.map(Path::new(&mount.source), target)?;
            let mut flags = vec!["remount".to_owned(), "bind".to_owned()];
            flags.extend(options.into_iter().filter(|option| !matches!(option.as_str(), "bind" | "rbind")));
            return super::mount_one("bind", &mount.source, &flags, target);
        }
        let layers = Layers { directory: target.with_file_name(LAYERS) };
        fs::create_dir_all(&layers.directory)?;
        let mut mapped = Vec::new();
        for option in options {
            let Some(lower) = option.strip_prefix("lowerdir=") else {
                mapped.push(option);
                continue;
            };
            let mut places = Vec::new();
            for (number, layer) in lower.split(':').enumerate() {
                let place = layers.directory.join(number.to_string());
                fs::create_dir_all(&place)?;
                self.map(Path::new(layer), &place)?;
                places.push(place.display().to_string());
            }
            mapped.push(format!("lowerdir={}", places.join(":")));
        }
        super::mount_one(&mount.type_, &mount.source, &mapped, target)
    }

    /// Mounts the directory `source` on `place` with the pod's ids.
    fn map(&self, source: &Path, place: &Path) -> io::Result<()> {
        let tree = open_tree(CWD, source, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        sys::idmap::map_mount(tree.as_fd(), self.namespace.as_fd())?;
        Ok(move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }
}

/// The places of the layers. The overlay keeps the layers themselves; the places go when it is mounted, or was not.
struct Layers {
    directory: PathBuf,
}

impl Drop for Layers {
    fn drop(&mut self) {
        for place in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            // One that is not mounted yet refuses, which is fine.
            let _ = unmount(place.path(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            let _ = fs::remove_dir(place.path());
        }
        let _ = fs::remove_dir(&self.directory);
    }
}

fn is_map(option: &str) -> bool {
    option.starts_with("uidmap=") || option.starts_with("gidmap=")
}

/// `CONTAINER:HOST:SIZE[,…]` in the form of /proc/PID/uid_map.
fn lines(map: &str) -> io::Result<String> {
    let mut lines = String::new();
    for range in map.split(',') {
        let numbers = range.split(':').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>();
        let Ok(&[container, host, size]) = numbers.as_deref() else {
            return Err(invalid("an id mapping that is not CONTAINER:HOST:SIZE"));
        };
        lines.push_str(&format!("{container} {host} {size}\n"));
    }
    Ok(lines)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_three_numbers_each() {
        assert_eq!(lines("0:100000:65536").unwrap(), "0 100000 65536\n");
        assert_eq!(lines("0:1:2,5:6:7").unwrap(), "0 1 2\n5 6 7\n");
        for bad in ["", "0:1", "0:1:2:3", "a:b:c", "0:1:2,", "0:-1:2", "0:1:2\n3:4:5"] {
            assert!(lines(bad).is_err(), "{bad:?}");
        }
    }
}
