//! The administrator's floor file.

use std::path::Path;

use zerocap_annotations::{Floor, ZcError, code, floor::MAX_FILE};

use crate::{NodeError, files};

/// Where the floor file is looked for.
pub const FLOOR_FILE: &str = "/etc/zerocap/floor.toml";

/// Reads the floor file. An absent file demands nothing; one that cannot be read or parsed is an error, since the
/// administrator meant to demand something.
///
/// # Errors
/// ZC0905 for a file that cannot be read, ZC02xx for one that does not parse, with its path.
pub fn load(path: &Path) -> Result<Floor, ZcError> {
    let bytes = match files::read_following(path, MAX_FILE as u64) {
        Ok(bytes) => bytes,
        Err(e) if e.is_absent() => return Ok(Floor::none()),
        Err(e) => return Err(unreadable(&e)),
    };
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&NodeError::damaged(path, "not UTF-8 text")))?;
    Floor::parse(&text).map_err(|mut error| {
        error.message = format!("{}: {}", path.display(), error.message);
        error
    })
}

fn unreadable(error: &NodeError) -> ZcError {
    ZcError::new(
        code::node::FLOOR_UNREADABLE,
        error.to_string(),
        "make the floor file readable, or remove it if nothing is demanded",
    )
}
