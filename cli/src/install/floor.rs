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

/// Puts it in place, or removes ours; whether that changed something.
///
/// # Errors
/// ZC1107.
pub fn put(wanted: Option<&str>) -> Result<bool, ZcError> {
    let there = there()?;
    let ours = there.as_ref().is_some_and(|text| text.starts_with(MARK));
    if there.as_deref() == wanted || (wanted.is_none() && !ours) {
        return Ok(false);
    }
    let path = Path::new(FLOOR_FILE);
    file::put(path, wanted)?;
    if wanted.is_none() {
        // An empty folder was ours too; another one stays.
        drop(path.parent().map(fs::remove_dir));
    }
    Ok(true)
}

fn there() -> Result<Option<String>, ZcError> {
    match fs::read_to_string(FLOOR_FILE) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(Path::new(FLOOR_FILE), &error)),
    }
}
