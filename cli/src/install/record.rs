//! The note that this node starts confined containers: `installed.json` in the state directory. It lies in memory, so that it has to be
//! earned anew after every boot. Whoever labels the node goes by it.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};
use zerocap_annotations::ZcError;
use zerocap_node::state::Store;

use super::file;

const NAME: &str = "installed.json";
/// Where the shim puts launchers.
const LAUNCHERS: &str = ".launcher";

/// What it says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    version: u32,
    /// The folder of the programs that new pods get.
    programs: PathBuf,
    /// `passed`: there is no note of anything else.
    #[serde(rename = "self-test")]
    self_test: String,
}

impl Record {
    /// Of programs whose self-test passed.
    pub fn passed(programs: &Path) -> Self {
        Self { version: 1, programs: programs.to_owned(), self_test: "passed".to_owned() }
    }

    /// Whether the note is there and says this.
    pub fn stands(&self) -> bool {
        std::fs::read_to_string(path())
            .is_ok_and(|text| serde_json::from_str(&text).is_ok_and(|there: Self| there == *self))
    }

    /// Writes it.
    ///
    /// # Errors
    /// ZC1107.
    pub fn write(&self) -> Result<(), ZcError> {
        let text = serde_json::to_string(self).map_err(|error| super::failed(&path(), &error.into()))?;
        file::put(&path(), Some(&text))
    }
}

/// Takes the note away.
///
/// # Errors
/// ZC1107.
pub fn remove() -> Result<(), ZcError> {
    if path().exists() { file::put(&path(), None) } else { Ok(()) }
}

/// Forgets everything that zerocap remembers of this node, unless there are containers.
pub fn forget() {
    let store = Store::of_node();
    if store.list().is_ok_and(|containers| containers.is_empty()) {
        // Where /run forbids programs, the launcher lies on a file system of its own.
        let _ = unmount(store.root().join(LAUNCHERS), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        drop(std::fs::remove_dir_all(store.root()));
    }
}

fn path() -> PathBuf {
    Store::of_node().root().join(NAME)
}
