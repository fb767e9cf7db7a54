//! The change of containerd's configuration: one block in one file, whatever earlier runs and other people left in which files.

use std::fs;
use std::path::{Path, PathBuf};

use similar::TextDiff;
use toml::Table;
use zerocap_annotations::ZcError;

use super::block::{self, Wanted};
use super::file::{self, Part};

const DROP_IN: &str = "zerocap.toml";
/// Beside the configuration, where containerd's own default looks for drop-ins.
const USUAL_FOLDER: &str = "conf.d";

/// A change of all files that have our block, or should have it.
#[derive(Debug)]
pub struct Change {
    /// In the order in which they are made: the block is in its new place before it leaves an old one, and twice the same
    /// handler in two files is what containerd merges.
    parts: Vec<Part>,
    /// An earlier run began it, and containerd has not confirmed it.
    begun: bool,
    /// The configuration to show to containerd, where it can be shown.
    check: Option<String>,
}

impl Change {
    /// Our handlers in a configuration: as a drop-in where it imports a folder, else appended; and nowhere else. `known` are files
    /// that an earlier run wrote for it.
    ///
    /// # Errors
    /// ZC1101, ZC1102, ZC1107.
    pub fn to_install(config: &Path, known: &[PathBuf], wanted: Wanted<'_>) -> Result<Self, ZcError> {
        let main = file::read(config)?;
        let appended = block::append(config, main.as_deref(), wanted)?;
        let text = main.as_deref().unwrap_or_default();
        others_have_none(config, text)?;
        let target =
            block::import_folder(config, text).map_or_else(|| config.to_owned(), |folder| folder.join(DROP_IN));
        let before = file::read(&target)?;
        let after = block::append(&target, before.as_deref(), wanted)?;
        let mut parts = vec![Part { path: target, before, after: Some(after) }];
        add_former(&mut parts, config, text, known)?;
        let check = (!block::is_template(&appended)).then(|| as_containerd_will(config, appended, &parts));
        Ok(Self { parts, begun: false, check })
    }

    /// The configuration without us.
    ///
    /// # Errors
    /// ZC1101, ZC1107.
    pub fn to_uninstall(config: &Path, known: &[PathBuf]) -> Result<Self, ZcError> {
        let main = file::read(config)?;
        let mut parts = Vec::new();
        add_former(&mut parts, config, main.as_deref().unwrap_or_default(), known)?;
        Ok(Self { parts, begun: false, check: None })
    }

    /// The files, with what they held and should hold.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The files that change.
    pub fn changed(&self) -> Vec<PathBuf> {
        self.parts.iter().filter(|part| part.is_needed()).map(|part| part.path.clone()).collect()
    }

    /// The files that have our block when it is made.
    pub fn places(&self) -> Vec<PathBuf> {
        let has = |part: &&Part| part.after.as_deref().is_some_and(block::is_there);
        self.parts.iter().filter(has).map(|part| part.path.clone()).collect()
    }

    /// An earlier run began to change this file.
    pub fn was_begun(&mut self, earlier: Part) {
        match self.parts.iter_mut().find(|part| part.path == earlier.path) {
            Some(part) => part.was_begun(earlier),
            // It is gone, and is no place for the block.
            None => self.parts.push(Part { after: None, ..earlier }),
        }
    }

    /// containerd has not confirmed what there is.
    pub fn is_unconfirmed(&mut self) {
        self.begun = true;
    }

    /// Whether an earlier run began it.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// Whether it is not yet what it should be, or containerd has not confirmed it.
    pub fn is_needed(&self) -> bool {
        self.begun || self.parts.iter().any(Part::is_needed)
    }

    /// The configuration to show to containerd; a template cannot be shown.
    pub fn to_check(&self) -> Option<&str> {
        self.check.as_deref()
    }

    /// The change as a unified diff; empty if none is needed.
    pub fn diff(&self) -> String {
        self.parts.iter().filter(|part| part.is_needed()).map(diff).collect()
    }

    /// Makes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn make(&self) -> Result<(), ZcError> {
        self.parts.iter().try_for_each(Part::make)
    }

    /// Undoes it in all files, and nothing that somebody else has written since; whether there was anything to undo.
    ///
    /// # Errors
    /// ZC1107: the first trouble; the other files are undone.
    pub fn undo(&self) -> Result<bool, ZcError> {
        let undone: Vec<_> = self.parts.iter().rev().map(Part::undo).collect();
        undone.into_iter().try_fold(false, |any, one| Ok(one? || any))
    }
}

/// The files that may have our block, and should not have it any more.
fn add_former(parts: &mut Vec<Part>, config: &Path, text: &str, known: &[PathBuf]) -> Result<(), ZcError> {
    let patterns = block::imports(config, text);
    let imported = patterns.iter().filter_map(|pattern| block::folder_of(pattern)).map(|folder| folder.join(DROP_IN));
    let usual = config.with_file_name(USUAL_FOLDER).join(DROP_IN);
    let candidates = [config.to_owned()].into_iter().chain(imported).chain([usual]).chain(known.iter().cloned());
    for path in candidates {
        if parts.iter().any(|part| is_same(&part.path, &path)) {
            continue;
        }
        let Some(before) = file::read(&path)? else { continue };
        block::is_whole(&path, &before)?;
        let after = if block::is_there(&before) { block::without(&before) } else { Some(before.clone()) };
        parts.push(Part { path, before: Some(before), after });
    }
    Ok(())
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

/// No imported file has a handler of our names.
fn others_have_none(config: &Path, text: &str) -> Result<(), ZcError> {
    for path in block::imports(config, text).iter().flat_map(|pattern| files(pattern)) {
        if let Ok(Some(text)) = file::read(&path) {
            block::is_free(&path, &text)?;
        }
    }
    Ok(())
}

/// The files of a pattern, by name as containerd takes them; a pattern that is neither a folder's nor a file stays as it is.
fn files(pattern: &Path) -> Vec<PathBuf> {
    let Some(folder) = block::folder_of(pattern) else { return vec![pattern.to_owned()] };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

/// What to show to containerd: the block at the end of the configuration, without what files of ours still say, since an imported
/// file has the last word.
fn as_containerd_will(config: &Path, appended: String, parts: &[Part]) -> String {
    let old = |path: &PathBuf| {
        let ours = |part: &Part| part.before.as_deref().is_some_and(block::is_there) && is_same(&part.path, path);
        path != config && parts.iter().any(ours)
    };
    let imported: Vec<PathBuf> = block::imports(config, &appended).iter().flat_map(|pattern| files(pattern)).collect();
    if !imported.iter().any(old) {
        return appended;
    }
    // Only containerd reads this, so it need not look like the file.
    let mut table: Table = appended.parse().unwrap_or_default();
    let others = imported.iter().filter(|path| !old(path));
    let others = others.map(|path| toml::Value::from(path.display().to_string())).collect();
    table.insert("imports".to_owned(), toml::Value::Array(others));
    table.to_string()
}

fn diff(part: &Part) -> String {
    let text = |side: &Option<String>| side.clone().unwrap_or_default();
    let name =
        |side: &Option<String>| side.as_ref().map_or("/dev/null".to_owned(), |_| part.path.display().to_string());
    TextDiff::from_lines(&text(&part.before), &text(&part.after))
        .unified_diff()
        .header(&name(&part.before), &name(&part.after))
        .to_string()
}
