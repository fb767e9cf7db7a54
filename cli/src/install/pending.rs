//! What a killed run leaves for the next one: which file was being changed, and what it held before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zerocap_annotations::ZcError;

use super::failed;
use super::file::{self, Change};

/// The record; it exists from before the first change until containerd answers.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    path: PathBuf,
    before: Option<String>,
}

/// A change that containerd has not confirmed yet.
#[derive(Debug)]
pub struct Pending(PathBuf);

impl Pending {
    /// What an earlier run left: its change counts as not confirmed, whatever the file holds now, and undoing means what was
    /// there before *it*.
    ///
    /// # Errors
    /// ZC1107.
    pub fn resume(prefix: &Path, change: &mut Change) -> Result<(), ZcError> {
        let path = Self::path(prefix);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(&path, &error)),
        };
        // Written by rename: complete or absent.
        let record: Record = serde_json::from_str(&text).map_err(|error| failed(&path, &error.into()))?;
        if record.path == change.path() {
            change.was_begun(record.before);
        }
        Ok(())
    }

    /// Remembers what is about to be changed.
    ///
    /// # Errors
    /// ZC1107.
    pub fn begin(prefix: &Path, change: &Change) -> Result<Self, ZcError> {
        let path = Self::path(prefix);
        let record = Record { path: change.path().to_owned(), before: change.before().map(str::to_owned) };
        let text = serde_json::to_string(&record).map_err(|error| failed(&path, &error.into()))?;
        file::put(&path, Some(&text))?;
        Ok(Self(path))
    }

    /// containerd answers: nothing is pending any more.
    ///
    /// # Errors
    /// ZC1107.
    pub fn end(self) -> Result<(), ZcError> {
        file::put(&self.0, None)
    }

    fn path(prefix: &Path) -> PathBuf {
        prefix.join("pending.json")
    }
}
