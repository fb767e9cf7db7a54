//! Changing a file of the node: complete or not at all, and undone byte for byte.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zerocap_annotations::{ZcError, code};

use super::{block, failed};

/// Far above any real configuration.
const LIMIT: u64 = 4 << 20;

/// A file, what it held and what it should hold; nothing stands for no file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    pub path: PathBuf,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Part {
    /// Whether it is not yet what it should be.
    pub fn is_needed(&self) -> bool {
        self.before != self.after
    }

    /// An earlier run began to change this file, with `earlier.before` there, and wrote `earlier.after`. What somebody else has
    /// written since stays.
    pub fn was_begun(&mut self, earlier: Self) {
        self.before = without(self.before.as_deref(), earlier.before, earlier.after.as_deref());
    }

    /// Makes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn make(&self) -> Result<(), ZcError> {
        // A killed run may have left something else than what was there before it.
        if read(&self.path)? == self.after { Ok(()) } else { put(&self.path, self.after.as_deref()) }
    }

    /// Undoes it, and nothing that somebody else has written since; whether there was anything to undo.
    ///
    /// # Errors
    /// ZC1107.
    pub fn undo(&self) -> Result<bool, ZcError> {
        let now = read(&self.path)?;
        let text = without(now.as_deref(), self.before.clone(), self.after.as_deref());
        if text == now {
            return Ok(false);
        }
        put(&self.path, text.as_deref())?;
        Ok(true)
    }
}

/// What is there now, without a change from `before` to `after`.
fn without(now: Option<&str>, before: Option<String>, after: Option<&str>) -> Option<String> {
    match now {
        // Somebody has written meanwhile: only our block is taken back.
        Some(text) if Some(text) != after && Some(text) != before.as_deref() => {
            Some(block::with_block_of(text, before.as_deref().unwrap_or_default()))
        }
        _ => before,
    }
}

/// A file's text.
///
/// # Errors
/// ZC1101 if it cannot be one of containerd's, ZC1107.
pub fn read(path: &Path) -> Result<Option<String>, ZcError> {
    let unusable = |what: &str| {
        let what = format!("{} {what}", path.display());
        Err(ZcError::new(code::install::CONFIG_UNUSABLE, what, "correct the file, or name another one with --config"))
    };
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text)) {
        Ok(length) if length as u64 > LIMIT => unusable(&format!("is larger than {} MiB", LIMIT >> 20)),
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => unusable("is not text in UTF-8"),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            unusable("is a link to something that is not there")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// The beginning of our scratch files' names. They have no ending: a folder of drop-ins may be imported by `*.toml`.
pub const SCRATCH: &str = ".zerocap-";

/// Removes what a killed run left in a folder.
///
/// # Errors
/// One of it cannot be removed.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(SCRATCH);
        if ours && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Puts a text in the place of a file, with the file's mode and owner, or removes the file.
pub fn put(path: &Path, text: Option<&str>) -> Result<(), ZcError> {
    // A link stays a link: what it leads to is replaced.
    let (link, path) = (path, &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            folder.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())?;
        }
        sweep(folder)?;
        let Some(text) = text else {
            if path.exists() {
                fs::remove_file(path)?;
            }
            // It would lead nowhere.
            if link.is_symlink() {
                fs::remove_file(link)?;
            }
            return File::open(folder)?.sync_all();
        };
        let mut new = tempfile::Builder::new().prefix(SCRATCH).tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        match fs::metadata(path) {
            Ok(old) => {
                fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
                new.as_file().set_permissions(old.permissions())?;
            }
            Err(_) => new.as_file().set_permissions(PermissionsExt::from_mode(0o644))?,
        }
        new.as_file().sync_all()?;
        new.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| failed(path, &error))
}
