//! What a killed run leaves for the next one: which file was being changed, and what it held before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zerocap_annotations::ZcError;

use super::file::{self, Change};
use super::{failed, floor};

/// The record; it exists from before the first change until containerd answers.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    path: PathBuf,
    before: Option<String>,
    #[serde(default)]
    after: Option<String>,
    /// What the floor file held, where it is changed too.
    #[serde(default)]
    floor: Option<Former>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Former {
    before: Option<String>,
}

/// A change that containerd has not confirmed yet.
#[derive(Debug)]
pub struct Pending(PathBuf);

impl Pending {
    /// Whether an earlier run left something.
    pub fn is_there(prefix: &Path) -> bool {
        Self::path(prefix).exists()
    }

    /// What an earlier run left: its changes count as not confirmed, whatever the files hold now, and undoing means what was
    /// there before *it*.
    ///
    /// # Errors
    /// ZC1107.
    pub fn resume(prefix: &Path, change: &mut Change, floor: Option<&mut floor::Change>) -> Result<(), ZcError> {
        let path = Self::path(prefix);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(&path, &error)),
        };
        // Written by rename: complete or absent.
        let record: Record = serde_json::from_str(&text).map_err(|error| failed(&path, &error.into()))?;
        if record.path == change.path() {
            change.was_begun(record.before, record.after.as_deref());
        } else {
            // The configuration imports another folder by now, or none.
            file::undo(&record.path, record.before, record.after.as_deref())?;
            change.is_unconfirmed();
        }
        if let (Some(floor), Some(former)) = (floor, record.floor) {
            floor.was_begun(former.before);
        }
        Ok(())
    }

    /// Remembers what is about to be changed.
    ///
    /// # Errors
    /// ZC1107.
    pub fn begin(prefix: &Path, change: &Change, floor: Option<&floor::Change>) -> Result<Self, ZcError> {
        let path = Self::path(prefix);
        let record = Record {
            path: change.path().to_owned(),
            before: change.before().map(str::to_owned),
            after: change.after().map(str::to_owned),
            floor: floor.map(|floor| Former { before: floor.before().map(str::to_owned) }),
        };
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
