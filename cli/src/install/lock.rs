//! One installation at a time: of one prefix, and of one configuration.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use zerocap_annotations::{ZcError, code};

use super::failed;

/// One installation at a time.
#[derive(Debug)]
pub struct Lock {
    prefix: PathBuf,
    _file: File,
    /// The configuration's: an installation with another prefix may want to change it too. A folder, so that nothing is left in it.
    _folder: Option<File>,
}

impl Lock {
    /// Takes it; the folder is made where it is missing.
    ///
    /// # Errors
    /// ZC1107, ZC1109.
    pub fn take(prefix: &Path, config: &Path) -> Result<Self, ZcError> {
        let path = prefix.join("lock");
        let open = || -> io::Result<File> {
            fs::create_dir_all(prefix)?;
            File::create(&path)
        };
        let file = loop {
            let file = open().map_err(|error| failed(&path, &error))?;
            hold(&file, &path)?;
            // One that an uninstallation has removed meanwhile locks nobody out.
            if is_at(&file, &path) {
                break file;
            }
        };
        let configs = config.parent().unwrap_or(Path::new("/"));
        let folder = match File::open(configs) {
            Ok(folder) => Some(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(configs, &error)),
        };
        folder.as_ref().map_or(Ok(()), |folder| hold(folder, configs))?;
        Ok(Self { prefix: prefix.to_owned(), _file: file, _folder: folder })
    }

    /// Removes the lock's file, and the folder if nothing is in it.
    pub fn remove(self, folder_too: bool) {
        if folder_too {
            drop(fs::remove_file(self.prefix.join("lock")));
            drop(fs::remove_dir(&self.prefix));
        }
    }
}

fn hold(file: &File, path: &Path) -> Result<(), ZcError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ZcError::new(
            code::install::INSTALLING,
            format!("{} is held by another zerocap", path.display()),
            "wait until it has ended",
        )),
        Err(error) => Err(failed(path, &error.into())),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(open), Ok(there)) if identity(&open) == identity(&there))
}
