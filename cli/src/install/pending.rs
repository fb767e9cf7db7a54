//! What a killed run leaves for the next one: which files were being changed, and what they held before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zerocap_annotations::ZcError;

use super::change::Change;
use super::file::{self, Part};
use super::{failed, floor};

/// The record; it exists from before the first change until containerd answers.
#[derive(Debug, Deserialize)]
struct Record {
    /// The configuration that it was about.
    config: PathBuf,
    files: Vec<Part>,
    /// What the floor file held, where it is changed too.
    #[serde(default)]
    floor: Option<Former>,
}

/// The same, as it is written.
#[derive(Serialize)]
struct RecordRef<'a> {
    config: &'a Path,
    files: &'a [Part],
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

    /// The files that an earlier run may have changed for this configuration.
    ///
    /// # Errors
    /// ZC1107.
    pub fn files(prefix: &Path, config: &Path) -> Result<Vec<PathBuf>, ZcError> {
        let record = Self::read(prefix)?.filter(|record| record.config == config);
        Ok(record.into_iter().flat_map(|record| record.files).map(|part| part.path).collect())
    }

    /// What an earlier run left: its changes count as not confirmed, whatever the files hold now, and undoing means what was
    /// there before *it*.
    ///
    /// # Errors
    /// ZC1107.
    pub fn resume(
        prefix: &Path,
        config: &Path,
        change: &mut Change,
        floor: Option<&mut floor::Change>,
    ) -> Result<(), ZcError> {
        let Some(record) = Self::read(prefix)? else { return Ok(()) };
        for part in record.files {
            if record.config == config {
                change.was_begun(part);
            } else {
                part.undo()?;
            }
        }
        change.is_unconfirmed();
        if let (Some(floor), Some(former)) = (floor, record.floor) {
            floor.was_begun(former.before);
        }
        Ok(())
    }

    fn read(prefix: &Path) -> Result<Option<Record>, ZcError> {
        let path = Self::path(prefix);
        match fs::read_to_string(&path) {
            // Written by rename: complete or absent.
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| failed(&path, &error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Remembers what is about to be changed.
    ///
    /// # Errors
    /// ZC1107.
    pub fn begin(
        prefix: &Path,
        config: &Path,
        change: &Change,
        floor: Option<&floor::Change>,
    ) -> Result<Self, ZcError> {
        let path = Self::path(prefix);
        let record = RecordRef {
            config,
            files: change.parts(),
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
