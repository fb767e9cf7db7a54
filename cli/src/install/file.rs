//! Changing a file of the node: complete or not at all, and undone byte for byte.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use similar::TextDiff;
use zerocap_annotations::{ZcError, code};

use super::block::{self, Wanted};
use super::failed;

/// Far above any real configuration.
const LIMIT: u64 = 4 << 20;
const DROP_IN: &str = "zerocap.toml";

/// A change of one file.
#[derive(Debug)]
pub struct Change {
    path: PathBuf,
    /// What is there now; nothing if the file does not exist.
    before: Option<String>,
    /// What should be there; nothing if the file should not exist.
    after: Option<String>,
    /// An earlier run began it, and containerd has not confirmed it.
    begun: bool,
    /// The configuration to show to containerd, where it can be shown.
    check: Option<String>,
}

impl Change {
    /// Our handlers in a configuration: as a drop-in where it imports a folder, else appended.
    ///
    /// # Errors
    /// ZC1101, ZC1102, ZC1107.
    pub fn to_install(config: &Path, wanted: Wanted<'_>) -> Result<Self, ZcError> {
        let main = read(config)?;
        if let Some(folder) = main.as_deref().and_then(|text| block::import_folder(config, text)) {
            let path = Path::new(&folder).join(DROP_IN);
            let text = main.as_deref().unwrap_or_default();
            // The whole must parse and have no handler of the same name; what containerd sees is the same whole.
            let check = block::append(config, text, wanted)?;
            return Ok(Self {
                before: read(&path)?,
                path,
                after: Some(block::drop_in(wanted)),
                check: Some(check),
                begun: false,
            });
        }
        let text = match &main {
            Some(text) => text.clone(),
            None if config.extension().is_some_and(|e| e == "tmpl") => block::new_template(),
            None => "version = 3\n".to_owned(),
        };
        let after = block::append(config, &text, wanted)?;
        let check = (!block::is_template(&after)).then(|| after.clone());
        Ok(Self { path: config.to_owned(), before: main, after: Some(after), check, begun: false })
    }

    /// The configuration without us.
    ///
    /// # Errors
    /// ZC1107.
    pub fn to_uninstall(config: &Path) -> Result<Self, ZcError> {
        let main = read(config)?;
        if let Some(folder) = main.as_deref().and_then(|text| block::import_folder(config, text)) {
            let path = Path::new(&folder).join(DROP_IN);
            if let Some(before) = read(&path)? {
                return Ok(Self { path, before: Some(before), after: None, check: None, begun: false });
            }
        }
        // A file that has nothing but what we began it with was ours.
        let after = main.as_deref().map(block::strip);
        let ours = after.as_ref().is_some_and(|text| *text == block::new_template() || *text == "version = 3\n");
        let changed = after != main;
        let after = if ours && changed { None } else { after };
        Ok(Self { path: config.to_owned(), before: main, after, check: None, begun: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was there.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// What should be there.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// An earlier run began this change, with `before` there, and wrote `after`. What somebody else has written since stays.
    pub fn was_begun(&mut self, before: Option<String>, after: Option<&str>) {
        self.before = without(self.before.as_deref(), before, after);
        self.begun = true;
    }

    /// containerd's configuration was in another file when an earlier run was ended: containerd has not confirmed what there is.
    pub fn is_unconfirmed(&mut self) {
        self.begun = true;
    }

    /// Whether it is not yet what it should be, or containerd has not confirmed it.
    pub fn is_needed(&self) -> bool {
        self.begun || self.before != self.after
    }

    /// The configuration to show to containerd; a template cannot be shown.
    pub fn to_check(&self) -> Option<&str> {
        self.check.as_deref()
    }

    /// The change as a unified diff; empty if none is needed.
    pub fn diff(&self) -> String {
        let text = |side: &Option<String>| side.clone().unwrap_or_default();
        let name =
            |side: &Option<String>| side.as_ref().map_or("/dev/null".to_owned(), |_| self.path.display().to_string());
        if !self.is_needed() {
            return String::new();
        }
        TextDiff::from_lines(&text(&self.before), &text(&self.after))
            .unified_diff()
            .header(&name(&self.before), &name(&self.after))
            .to_string()
    }

    /// Makes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn make(&self) -> Result<(), ZcError> {
        put(&self.path, self.after.as_deref())
    }

    /// Undoes it, and nothing that somebody else has written since.
    ///
    /// # Errors
    /// ZC1107.
    pub fn undo(&self) -> Result<(), ZcError> {
        undo(&self.path, self.before.clone(), self.after.as_deref())
    }
}

/// Puts back what was there before a change of a file.
///
/// # Errors
/// ZC1107.
pub fn undo(path: &Path, before: Option<String>, after: Option<&str>) -> Result<(), ZcError> {
    let now = read(path)?;
    let text = without(now.as_deref(), before, after);
    if text == now { Ok(()) } else { put(path, text.as_deref()) }
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
/// ZC1107.
pub fn read(path: &Path) -> Result<Option<String>, ZcError> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text)) {
        Ok(length) if length as u64 > LIMIT => {
            let what = format!("{} is larger than {} MiB", path.display(), LIMIT >> 20);
            Err(ZcError::new(code::install::CONFIG_UNUSABLE, what, "name another file with --config"))
        }
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// The beginning of our scratch files' names. They have no ending: a folder of drop-ins may be imported by `*.toml`.
pub const SCRATCH: &str = ".zerocap-";

/// Puts a text in the place of a file, with the file's mode and owner, or removes the file.
pub fn put(path: &Path, text: Option<&str>) -> Result<(), ZcError> {
    // A link stays a link: what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        // What a killed run left.
        for entry in fs::read_dir(folder)?.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(SCRATCH);
            if ours && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        let Some(text) = text else {
            if path.exists() {
                fs::remove_file(path)?;
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

/// One installation at a time.
#[derive(Debug)]
pub struct Lock {
    prefix: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes it; the folder is made where it is missing.
    ///
    /// # Errors
    /// ZC1107, ZC1109.
    pub fn take(prefix: &Path) -> Result<Self, ZcError> {
        let path = prefix.join("lock");
        let open = || -> io::Result<File> {
            fs::create_dir_all(prefix)?;
            File::create(&path)
        };
        loop {
            let file = open().map_err(|error| failed(&path, &error))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // One that an uninstallation has removed meanwhile locks nobody out.
                Ok(()) if is_at(&file, &path) => return Ok(Self { prefix: prefix.to_owned(), _file: file }),
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(ZcError::new(
                        code::install::INSTALLING,
                        format!("{} is held by another zerocap", path.display()),
                        "wait until it has ended",
                    ));
                }
                Err(error) => return Err(failed(&path, &error.into())),
            }
        }
    }

    /// Removes the lock's file, and the folder if nothing is in it.
    pub fn remove(self, folder_too: bool) {
        if folder_too {
            drop(fs::remove_file(self.prefix.join("lock")));
            drop(fs::remove_dir(&self.prefix));
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(open), Ok(there)) if identity(&open) == identity(&there))
}
