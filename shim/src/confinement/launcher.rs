//! The launcher's directory: what is mounted into containers at `/.zerocap`.
//!
//! One per node and per launcher, named by content, shared by all shims. It is made on first use and checked on
//! every one. The launcher has mode 0111: a file that cannot be read makes its process unreadable for others.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock, statvfs};
use rustix::mount::{MountFlags, mount};
use zerocap_annotations::{ZcError, code};
use zerocap_launcher::{BYTES, MODE};
use zerocap_plan::FILE_NAME;

use crate::handover::Identity;

/// Below the state root; it begins with a dot, as no containerd namespace does.
const DIRECTORY: &str = ".launcher";
/// Where SELinux is, if it is.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// What containers may read and execute, as container-selinux calls it.
const SELINUX_LABEL: &[u8] = b"system_u:object_r:container_ro_file_t:s0\0";

/// The installed launcher.
#[derive(Debug)]
pub(super) struct Launcher {
    directory: PathBuf,
    identity: Identity,
}

/// How often a directory is made again that vanishes meanwhile.
const ATTEMPTS: usize = 16;

impl Launcher {
    /// The launcher of this program, below `root`.
    pub(super) fn install(root: &Path) -> Result<Self, ZcError> {
        install(root).map_err(|error| {
            ZcError::new(
                code::node::LAUNCHER_DIR,
                format!("{}: {error}", root.join(DIRECTORY).display()),
                "look at its file system: space, permissions, the noexec flag",
            )
        })
    }

    /// The directory that is mounted.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The launcher's file.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }
}

fn install(root: &Path) -> io::Result<Launcher> {
    let parent = root.join(DIRECTORY);
    make_directory(&parent)?;
    let directory = parent.join(format!("{:016x}", fingerprint(BYTES)));
    let file = directory.join(FILE_NAME);
    if !is_ours(&file) {
        // One at a time: another shim may be at the same.
        let lock = File::open(&parent)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        mount_with_exec(&parent)?;
        if !is_ours(&file) {
            write(&directory, &file)?;
        }
    }
    Ok(Launcher { identity: Identity::of(&file)?, directory })
}

fn is_ours(file: &Path) -> bool {
    let right_mode = fs::symlink_metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o7777 == MODE);
    right_mode && may_execute(file).unwrap_or(false) && fs::read(file).is_ok_and(|bytes| bytes == BYTES)
}

fn may_execute(path: &Path) -> io::Result<bool> {
    Ok(!statvfs(path)?.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// Where the state is on a file system without exec, the launcher gets one of its own.
fn mount_with_exec(parent: &Path) -> io::Result<()> {
    if !may_execute(parent)? {
        mount("zerocap", parent, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755,size=1m"))?;
    }
    Ok(())
}

fn write(directory: &Path, file: &Path) -> io::Result<()> {
    make_directory(directory)?;
    let beside = directory.join(format!(".{FILE_NAME}"));
    // Left by somebody who was killed here.
    let _ = fs::remove_file(&beside);
    let mut program = File::create_new(&beside)?;
    program.write_all(BYTES)?;
    program.set_permissions(fs::Permissions::from_mode(MODE))?;
    drop(program);
    label(directory)?;
    label(&beside)?;
    fs::rename(beside, file)
}

/// Where there is SELinux, what containers may read and execute says so.
pub(super) fn label(path: &Path) -> io::Result<()> {
    if Path::new(SELINUX).exists() {
        rustix::fs::setxattr(path, "security.selinux", SELINUX_LABEL, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

/// A directory that containers' users can pass, whatever our umask is.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o755).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    for _ in 0..ATTEMPTS {
        match if path.is_dir() { Ok(()) } else { make() } {
            // A neighbour that ends takes the empty directories above away, maybe between two of our steps.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
    }
    make()
}

/// FNV-1a: tells versions apart. Nobody else writes here, and the content is compared as well.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a neighbour that ends takes away while we make it.
    #[test]
    fn directories_are_made_while_empty_ones_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let above = root.path().join("above");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = fs::remove_dir(&above);
                    // As often as no node ends containers; without a pause nothing would ever be made.
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
            });
            let path = above.join("made");
            let made = (0..20_000).try_for_each(|_| make_directory(&path).and_then(|()| fs::remove_dir(&path)));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            made.unwrap();
        });
    }

    #[test]
    fn it_is_installed_once_and_repaired_when_it_was_changed() {
        let root = tempfile::tempdir().unwrap();
        let first = Launcher::install(root.path()).unwrap();
        let file = first.directory().join(FILE_NAME);
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o111);
        assert_eq!(fs::metadata(first.directory()).unwrap().permissions().mode() & 0o7777, 0o755);
        let second = Launcher::install(root.path()).unwrap();
        assert_eq!(first.identity(), second.identity());

        fs::remove_file(&file).unwrap();
        fs::write(&file, "something else").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o111)).unwrap();
        Launcher::install(root.path()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), BYTES);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Launcher::install(root.path()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o111);
    }

    #[test]
    fn a_root_that_cannot_be_used_is_a_refusal_with_its_code() {
        let error = Launcher::install(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.code, code::node::LAUNCHER_DIR);
    }
}
