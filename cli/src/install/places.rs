//! Which files have our block, by the configuration that they were written for: the administrator may take a folder of drop-ins
//! out of the configuration, and nobody would find ours there any more.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zerocap_annotations::ZcError;

use super::{failed, file};

/// By configuration, the files.
type Places = BTreeMap<PathBuf, Vec<PathBuf>>;

/// The files that were written for a configuration.
///
/// # Errors
/// ZC1107.
pub fn of(prefix: &Path, config: &Path) -> Result<Vec<PathBuf>, ZcError> {
    Ok(all(prefix)?.remove(config).unwrap_or_default())
}

/// What the files of other configurations say: they may name programs below this prefix.
///
/// # Errors
/// ZC1101, ZC1107.
pub fn of_others(prefix: &Path, config: &Path) -> Result<Vec<String>, ZcError> {
    let mut places = all(prefix)?;
    places.remove(config);
    let texts: Result<Vec<_>, _> = places.values().flatten().map(|path| file::read(path)).collect();
    Ok(texts?.into_iter().flatten().collect())
}

/// Notes the files that have our block for a configuration; none forgets it.
///
/// # Errors
/// ZC1107.
pub fn note(prefix: &Path, config: &Path, files: Vec<PathBuf>) -> Result<(), ZcError> {
    let former = all(prefix)?;
    let mut places = former.clone();
    places.remove(config);
    if !files.is_empty() {
        places.insert(config.to_owned(), files);
    }
    if places == former {
        return Ok(());
    }
    let path = path(prefix);
    let text = serde_json::to_string(&places).map_err(|error| failed(&path, &error.into()))?;
    file::put(&path, (!places.is_empty()).then_some(&text))
}

fn all(prefix: &Path) -> Result<Places, ZcError> {
    let path = path(prefix);
    match fs::read_to_string(&path) {
        // Written by rename: complete or absent.
        Ok(text) => serde_json::from_str(&text).map_err(|error| failed(&path, &error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Places::new()),
        Err(error) => Err(failed(&path, &error)),
    }
}

fn path(prefix: &Path) -> PathBuf {
    prefix.join("files.json")
}
