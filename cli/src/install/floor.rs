//! The node's floor file, as it comes with the installation.

use std::fs;
use std::io;
use std::path::Path;

use zerocap_annotations::{Floor, ZcError, code};
use zerocap_node::floor::FLOOR_FILE;

use super::{failed, file};

/// The first line of a floor file that `zerocap install` wrote. One without it is an administrator's.
const MARK: &str = "# written by `zerocap install node`; a change here is lost at the next one\n";

/// What the floor file should hold: nothing, if there should be none.
///
/// # Errors
/// ZC02xx if it does not parse, ZC1107 if it cannot be read, ZC1113 if one of somebody else is there.
pub fn wanted(given: Option<&Path>) -> Result<Option<String>, ZcError> {
    let Some(given) = given else { return Ok(None) };
    let text = fs::read_to_string(given).map_err(|error| failed(given, &error))?;
    Floor::parse(&text).map_err(|mut error| {
        error.message = format!("{}: {}", given.display(), error.message);
        error
    })?;
    Ok(Some(format!("{MARK}{text}")))
}

/// Refuses to touch one that is not ours.
///
/// # Errors
/// ZC1113.
pub fn may_write(wanted: Option<&str>) -> Result<(), ZcError> {
    let (Some(_), Some(there)) = (wanted, there()?) else { return Ok(()) };
    if there.starts_with(MARK) {
        return Ok(());
    }
    Err(ZcError::new(
        code::install::FLOOR_TAKEN,
        format!("{FLOOR_FILE} is there, and not by `zerocap install`"),
        "move its demands to the floor that is installed and remove it, or install without a floor",
    ))
}

/// A change of the floor file.
#[derive(Debug)]
pub struct Change {
    before: Option<String>,
    after: Option<String>,
}

impl Change {
    /// To what is wanted: nothing removes ours, and leaves somebody else's.
    ///
    /// # Errors
    /// ZC1107.
    pub fn to(wanted: Option<String>) -> Result<Self, ZcError> {
        let before = there()?;
        let ours = before.as_ref().is_some_and(|text| text.starts_with(MARK));
        let after = if wanted.is_none() && !ours { before.clone() } else { wanted };
        Ok(Self { before, after })
    }

    /// What was there.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// An earlier run began this change, with this before it.
    pub fn was_begun(&mut self, before: Option<String>) {
        self.before = before;
    }

    /// Whether it is not yet what it should be.
    pub fn is_needed(&self) -> bool {
        self.before != self.after
    }

    /// Makes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn make(&self) -> Result<(), ZcError> {
        put(self.after.as_deref())
    }

    /// Undoes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn undo(&self) -> Result<(), ZcError> {
        put(self.before.as_deref())
    }
}

fn put(text: Option<&str>) -> Result<(), ZcError> {
    if there()?.as_deref() == text {
        return Ok(());
    }
    let path = Path::new(FLOOR_FILE);
    file::put(path, text)?;
    if text.is_none() {
        // An empty folder was ours too; another one stays.
        drop(path.parent().map(fs::remove_dir));
    }
    Ok(())
}

fn there() -> Result<Option<String>, ZcError> {
    match fs::read_to_string(FLOOR_FILE) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(Path::new(FLOOR_FILE), &error)),
    }
}
