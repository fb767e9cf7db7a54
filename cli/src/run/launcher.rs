//! The launcher where nothing is installed: in memory that nobody can write, or in a file where memory may not be executed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use tempfile::TempPath;
use zerocap_handover::Identity;
use zerocap_launcher::{BYTES, MODE};

/// Above the descriptors that the hand-over takes in the child.
const FIRST_FREE: i32 = 10;

/// A launcher to be executed. Keep it until the process runs.
pub enum Launcher {
    Memory(OwnedFd),
    File(TempPath),
}

impl Launcher {
    /// Makes one. Its file cannot be read, so the kernel keeps other processes of the same user out of its memory.
    pub fn new() -> io::Result<Self> {
        match in_memory() {
            // `vm.memfd_noexec` forbids programs in memory.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => in_file(),
            made => made,
        }
    }

    /// Where to execute it from, in a child of this process.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Memory(memory) => format!("/proc/self/fd/{}", memory.as_raw_fd()).into(),
            Self::File(path) => path.to_path_buf(),
        }
    }

    /// What /proc/PID/exe of the parked process must be.
    pub fn identity(&self) -> io::Result<Identity> {
        Identity::of(&self.path())
    }
}

fn in_memory() -> io::Result<Launcher> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create("zerocap-launcher", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => memfd_create("zerocap-launcher", flags)?,
        made => made?,
    };
    let memory = fcntl_dupfd_cloexec(&memory, FIRST_FREE)?;
    let mut file = File::from(memory);
    file.write_all(BYTES)?;
    fchmod(&file, Mode::from_raw_mode(MODE))?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(Launcher::Memory(file.into()))
}

fn in_file() -> io::Result<Launcher> {
    let mut file = tempfile::Builder::new().prefix(".zerocap-launcher-").tempfile()?;
    file.write_all(BYTES)?;
    // A file that is open for writing cannot be executed.
    let path = file.into_temp_path();
    fs::set_permissions(&path, fs::Permissions::from_mode(MODE))?;
    Ok(Launcher::File(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without arguments the launcher finds no plan and says 125.
    #[test]
    fn it_can_be_executed_and_not_be_changed() {
        for launcher in [in_memory().unwrap(), in_file().unwrap()] {
            let status = std::process::Command::new(launcher.path()).status().unwrap();
            assert_eq!(status.code(), Some(125));
            let mode = fs::metadata(launcher.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, MODE);
        }
        let Launcher::Memory(memory) = in_memory().unwrap() else { panic!("memory can be executed here") };
        assert!(memory.as_raw_fd() >= FIRST_FREE);
        assert!(rustix::io::write(&memory, b"x").is_err());
    }
}
