//! The programs on the node: a folder for each version, never overwritten, removed when no pod runs on it any more.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zerocap_annotations::{ZcError, code};

use super::failed;

/// The shim, by the name that containerd's documentation gives such programs.
pub const SHIM: &str = "containerd-shim-zerocap-v2";
/// Where they lie before they are complete, and while they are removed.
const SCRATCH: &str = ".new";
/// This program.
pub const ZEROCAP: &str = "zerocap";
const PROGRAMS: [&str; 3] = [SHIM, "zerocap-engine", ZEROCAP];

/// What is to be installed.
#[derive(Debug)]
pub struct Programs {
    from: PathBuf,
    /// Its name below the prefix: the version and what the programs' bytes say.
    folder: String,
}

impl Programs {
    /// Those of a folder.
    ///
    /// # Errors
    /// ZC1103 if one is missing.
    pub fn of(from: &Path) -> Result<Self, ZcError> {
        let mut hash = Sha256::new();
        for name in PROGRAMS {
            let bytes = fs::read(from.join(name)).map_err(|error| {
                ZcError::new(
                    code::install::PROGRAMS_MISSING,
                    format!("{}: {error}", from.join(name).display()),
                    "name the folder with the three programs with --from",
                )
            })?;
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        let digest = hash.finalize();
        let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { from: from.to_owned(), folder: format!("{}-{short}", env!("CARGO_PKG_VERSION")) })
    }

    /// Where they come to lie.
    pub fn place(&self, prefix: &Path) -> PathBuf {
        prefix.join(&self.folder)
    }

    /// Copies them; whether that was needed.
    ///
    /// # Errors
    /// ZC1107.
    pub fn copy(&self, prefix: &Path) -> Result<bool, ZcError> {
        let place = self.place(prefix);
        if place.is_dir() {
            return Ok(false);
        }
        // Complete or absent: under another name first.
        let scratch = prefix.join(SCRATCH);
        let copy = || -> io::Result<()> {
            if scratch.exists() {
                fs::remove_dir_all(&scratch)?;
            }
            fs::create_dir_all(&scratch)?;
            fs::set_permissions(&scratch, PermissionsExt::from_mode(0o755))?;
            for name in PROGRAMS {
                let to = scratch.join(name);
                fs::copy(self.from.join(name), &to)?;
                fs::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
                File::open(&to)?.sync_all()?;
            }
            // containerd's configuration, which names them, is on the disk before long: so are they.
            File::open(&scratch)?.sync_all()?;
            fs::rename(&scratch, &place)?;
            File::open(prefix)?.sync_all()?;
            // The prefix may be new as well.
            File::open(prefix.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        copy().map_err(|error| failed(&place, &error))?;
        Ok(true)
    }
}

/// How many shims run from below the prefix.
///
/// # Errors
/// ZC1107: not every process can be looked at, so nobody knows.
pub fn shims(prefix: &Path) -> Result<usize, ZcError> {
    Ok(running()?.iter().filter(|program| program.starts_with(prefix) && program.ends_with(SHIM)).count())
}

/// Removes the versions below the prefix that are neither wanted, nor in use, nor named in `others`, the configurations of other
/// containerds; returns those that stay.
///
/// # Errors
/// ZC1107.
pub fn sweep(prefix: &Path, wanted: Option<&Path>, others: &[String]) -> Result<Vec<PathBuf>, ZcError> {
    let in_use = running()?;
    let mut kept = Vec::new();
    let scratch = prefix.join(SCRATCH);
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|error| failed(&scratch, &error))?;
    }
    let entries = match fs::read_dir(prefix) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
        Err(error) => return Err(failed(prefix, &error)),
    };
    for folder in entries.flatten().map(|entry| entry.path()) {
        if !folder.join(SHIM).is_file() || wanted == Some(folder.as_path()) {
            continue;
        }
        let shim = folder.join(SHIM).display().to_string();
        if in_use.iter().any(|program| program.starts_with(&folder)) || others.iter().any(|text| text.contains(&shim)) {
            kept.push(folder);
        } else {
            // Half a version would be taken for a whole one by the next run.
            fs::rename(&folder, &scratch)
                .and_then(|()| fs::remove_dir_all(&scratch))
                .map_err(|error| failed(&folder, &error))?;
        }
    }
    kept.sort();
    Ok(kept)
}

/// The programs of all processes. One that may not be looked at and has the name of one of ours is an error.
fn running() -> Result<Vec<PathBuf>, ZcError> {
    let proc = Path::new("/proc");
    let mut programs = Vec::new();
    for process in fs::read_dir(proc).map_err(|error| failed(proc, &error))?.flatten() {
        let link = process.path().join("exe");
        match fs::read_link(&link) {
            Ok(program) => programs.push(program),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_named_as_ours(&process.path()) => {
                return Err(failed(&link, &error));
            }
            // It has ended, is a thread of the kernel, another program, or no process at all.
            Err(_) => {}
        }
    }
    Ok(programs)
}

/// Everybody may read a process's name, of which the kernel keeps 15 bytes.
fn is_named_as_ours(process: &Path) -> bool {
    const KEPT: usize = 15;
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    PROGRAMS.iter().any(|program| name.trim_end() == &program[..program.len().min(KEPT)])
}
