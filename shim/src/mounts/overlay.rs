//! Overlays of many layers: the kernel takes one page of options, and the paths of an image's layers may need several.
//!
//! They are named from within the folder that they have in common. The library would leave this process there for good,
//! and would end it where the folder is missing.

use std::env;
use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount as mount_at};
use rustix::param::page_size;

use crate::sys;

const LAYERS: &str = "lowerdir=";
/// Room that is kept in the page, as every mounter of containerd's keeps it.
const ROOM: usize = 512;

/// Whether the options of an overlay are too long for a mount that knows nothing of this.
pub(super) fn is_long(options: &[String]) -> bool {
    options.iter().map(String::len).sum::<usize>() >= page_size() - ROOM
}

/// Mounts an overlay with long options on `target`, which is an absolute path. The calling thread is of no use
/// for anything else afterwards: it stays where the layers are.
pub(super) fn mount(source: &str, options: &[String], target: &Path) -> io::Result<()> {
    let (folder, options) = from_within(options);
    let flags = options.iter().filter_map(|option| flag(option)).fold(MountFlags::empty(), |all, one| all | one);
    let data = options.iter().filter(|option| flag(option).is_none()).map(String::as_str).collect::<Vec<_>>().join(",");
    if data.len() >= page_size() {
        // The kernel would mount the layers that still have room.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "mount options is too long"));
    }
    let data = CString::new(data)?;
    sys::folder::own()?;
    env::set_current_dir(folder)?;
    Ok(mount_at(source, target, "overlay", flags, data.as_c_str())?)
}

/// The folder that all layers have in common, and the options with the layers as they are called there.
fn from_within(options: &[String]) -> (&str, Vec<String>) {
    let layers = options.iter().find_map(|option| option.strip_prefix(LAYERS)).unwrap_or_default();
    let first = layers.split(':').next().unwrap_or_default();
    let shared = |layer: &str| first.bytes().zip(layer.bytes()).take_while(|(one, other)| one == other).count();
    let common = layers.split(':').map(shared).min().unwrap_or_default();
    let folder = first.as_bytes()[..common].iter().rposition(|byte| *byte == b'/').map_or("/", |end| &first[..=end]);
    let named = |option: &String| match option.strip_prefix(LAYERS) {
        Some(layers) => {
            let names = layers.split(':').map(|layer| layer.strip_prefix(folder).unwrap_or(layer)).collect::<Vec<_>>();
            format!("{LAYERS}{}", names.join(":"))
        }
        None => option.clone(),
    };
    (folder, options.iter().map(named).collect())
}

/// The mount flag that an option means, if it is none of the overlay's own.
fn flag(option: &str) -> Option<MountFlags> {
    Some(match option {
        "ro" => MountFlags::RDONLY,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        "nosuid" => MountFlags::NOSUID,
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        "strictatime" => MountFlags::STRICTATIME,
        "sync" => MountFlags::SYNCHRONOUS,
        "dirsync" => MountFlags::DIRSYNC,
        "rw" | "defaults" | "dev" | "exec" | "suid" | "atime" | "diratime" | "async" => MountFlags::empty(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(layers: &str) -> Vec<String> {
        vec!["index=off".into(), format!("{LAYERS}{layers}"), "upperdir=/u".into()]
    }

    #[test]
    fn layers_are_named_from_within_their_folder() {
        let long = options("/v/snapshots/110/fs:/v/snapshots/11/fs:/v/snapshots/7/fs");
        let (folder, short) = from_within(&long);
        assert_eq!(folder, "/v/snapshots/");
        assert_eq!(short, options("110/fs:11/fs:7/fs"));
        for (layers, folder) in [("/a/b", "/a/"), ("/a/b:/c/d", "/"), ("/a/b:/a/b/c", "/a/"), ("a:b", "/"), ("", "/")] {
            assert_eq!(from_within(&options(layers)).0, folder, "{layers}");
        }
    }

    #[test]
    fn what_has_no_room_is_an_error_and_not_half_an_image() {
        let layers = (0..1000).map(|layer| format!("/layers/{layer:0>8}")).collect::<Vec<_>>().join(":");
        assert!(is_long(&options(&layers)) && !is_long(&options("/a:/b")));
        let error = mount("overlay", &options(&layers), Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "mount options is too long");
    }

    #[test]
    fn a_missing_folder_is_an_error_and_nobody_moves() {
        let before = env::current_dir().unwrap();
        for layers in ["/nowhere/a:/nowhere/b", "/nowhere"] {
            let options = options(layers);
            let mounted = std::thread::spawn(move || mount("overlay", &options, Path::new("/nowhere"))).join();
            assert_eq!(mounted.unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(env::current_dir().unwrap(), before);
        }
    }
}
