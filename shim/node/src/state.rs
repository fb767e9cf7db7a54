//! The state directory: `ROOT/NAMESPACE/ID/`, one directory per container.
//!
//! | file | content | written by |
//! |---|---|---|
//! | `layout` | version of this layout | when the directory is made |
//! | `policy.json` | the pod's policy as frozen at its sandbox (sandbox containers only) | the shim, at Create |
//! | `config.original.json` | the container's config.json as containerd wrote it | the shim, at Create |
//! | `fence.json` | where the container's packet fence is | the shim, at Create |
//! | `resolv.conf` | the pod's resolv.conf as it was when its sandbox was created (sandbox containers only) | the shim, at Create |
//! | `names.json` | what the names in `egress` resolve to | the shim, from the start on |
//! | `refusals.json` | what the packet fence refused, see [`crate::refusals`] | the shim, while the container lives |
//! | `report.json` | the enforcement report | the shim, at Create and after verification |
//!
//! What is mounted into a container lies in `ROOT/.files/NAMESPACE/ID/` and goes with its state directory.
//!
//! Directories have mode 0700 (but the root and `.files`, below which the launcher and mounted files lie: containers' users must pass them), files 0600;
//! every write replaces a whole file in one step. Names are those that
//! containerd accepts, so no path trick fits in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{NodeError, files};

/// The state root of a node, unless [`ROOT_VARIABLE`] names another.
pub const ROOT: &str = "/run/zerocap";
/// Environment variable that names another state root, for tests and private nodes.
pub const ROOT_VARIABLE: &str = "ZEROCAP_STATE";

const HOST_FILE: &str = "host.json";
/// Below the root; it begins with a dot, as no containerd namespace does.
const FILES: &str = ".files";
const LAYOUT_FILE: &str = "layout";
const LAYOUT: &str = "1";

/// Kubernetes limits annotations to 256 KiB; containerd's config.json for such a pod stays far below this.
const LIMIT: u64 = 16 << 20;
/// containerd's own limit for identifiers.
const MAX_NAME: usize = 76;
/// A race with a concurrent remove is lost at most this many times in a row.
const ATTEMPTS: usize = 8;

/// A file in a container's state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The pod's frozen policy.
    Policy,
    /// The enforcement report.
    Report,
    /// config.json as containerd wrote it.
    OriginalConfig,
    /// Where the packet fence is.
    Fence,
    /// The pod's resolv.conf, as it was when the sandbox was created.
    ResolvConf,
    /// What the names in `egress` resolve to.
    Names,
    /// What the packet fence refused.
    Refusals,
}

impl Document {
    /// Every document.
    pub const ALL: [Self; 7] =
        [Self::Policy, Self::Report, Self::OriginalConfig, Self::Fence, Self::ResolvConf, Self::Names, Self::Refusals];

    /// The file's name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Policy => "policy.json",
            Self::Report => "report.json",
            Self::OriginalConfig => "config.original.json",
            Self::Fence => "fence.json",
            Self::ResolvConf => "resolv.conf",
            Self::Names => "names.json",
            Self::Refusals => "refusals.json",
        }
    }
}

/// All the state that zerocap keeps on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

/// A container, as the store lists it. Ordered by namespace, then id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// containerd's namespace, `k8s.io` for Kubernetes.
    pub namespace: String,
    /// The container's id.
    pub id: String,
}

impl Store {
    /// The node's store: [`ROOT`], or what [`ROOT_VARIABLE`] says.
    pub fn of_node() -> Self {
        match std::env::var_os(ROOT_VARIABLE) {
            Some(root) if !root.is_empty() => Self::at(root),
            _ => Self::at(ROOT),
        }
    }

    /// A store at another place.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the root directory. Only what is in the containers' directories is private.
    pub(crate) fn make_root(&self) -> Result<(), NodeError> {
        files::make_dir(&self.root, 0o755)
    }

    /// Where the kernel's abilities are remembered.
    pub fn host_file(&self) -> PathBuf {
        self.root.join(HOST_FILE)
    }

    /// The state directory of a container, which may not exist.
    pub fn container(&self, namespace: &str, id: &str) -> Result<StateDir, NodeError> {
        check_name("namespace", namespace)?;
        check_name("container id", id)?;
        // The one name that containerd would accept and that we use ourselves.
        if namespace == HOST_FILE {
            return Err(bad_name("namespace", namespace));
        }
        let (path, files) = (self.root.join(namespace).join(id), self.root.join(FILES).join(namespace).join(id));
        Ok(StateDir { store: self.clone(), path, files })
    }

    /// Every container that has a state directory. No root: no containers.
    pub fn list(&self) -> Result<Vec<Entry>, NodeError> {
        let mut entries = Vec::new();
        for namespace in directories(&self.root)? {
            if check_name("namespace", &namespace).is_err() {
                continue;
            }
            for id in directories(&self.root.join(&namespace))? {
                if check_name("container id", &id).is_ok() {
                    entries.push(Entry { namespace: namespace.clone(), id });
                }
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// Containers whose id begins with `prefix`, in any namespace.
    pub fn find(&self, prefix: &str) -> Result<Vec<Entry>, NodeError> {
        let mut entries = self.list()?;
        if let Some(exact) = entries.iter().position(|e| e.id == prefix) {
            // A whole id wins over longer ones, but the same id may exist in several namespaces.
            let id = entries[exact].id.clone();
            entries.retain(|e| e.id == id);
        } else {
            entries.retain(|e| e.id.starts_with(prefix));
        }
        Ok(entries)
    }
}

/// The state directory of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    store: Store,
    path: PathBuf,
    files: PathBuf,
}

impl StateDir {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where files that are mounted into the container lie. Nothing is there before somebody makes it.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// True if there is such a directory.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Makes the directory, if it is not there.
    pub fn create(&self) -> Result<(), NodeError> {
        let layout = self.path.join(LAYOUT_FILE);
        // A neighbour's remove may take the empty parent away between two of our steps.
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = self.store.make_root().and_then(|()| files::make_dir(&self.path, 0o700)).and_then(|()| {
                if layout.exists() { self.check_layout() } else { files::write(&layout, LAYOUT.as_bytes()) }
            });
            match result {
                Err(e) if e.is_absent() && attempt < ATTEMPTS => {}
                other => return other,
            }
        }
    }

    /// Writes a document as it is, in one step; makes the directory if need be.
    pub fn write(&self, document: Document, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.file(document);
        // What could not be read back must not be written.
        if bytes.len() as u64 > LIMIT {
            return Err(NodeError::TooLarge { path, limit: LIMIT });
        }
        self.create()?;
        files::write(&path, bytes)
    }

    /// Writes a value as JSON.
    pub fn write_json(&self, document: Document, value: &impl Serialize) -> Result<(), NodeError> {
        let bytes = serde_json::to_vec(value).map_err(|e| NodeError::damaged(&self.file(document), e))?;
        self.write(document, &bytes)
    }

    /// The bytes of a document; `None` if it was never written.
    pub fn read(&self, document: Document) -> Result<Option<Vec<u8>>, NodeError> {
        if !self.exists() {
            return Ok(None);
        }
        self.check_layout()?;
        match files::read(&self.file(document), LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.is_absent() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A document as a value; `None` if it was never written.
    pub fn read_json<T: DeserializeOwned>(&self, document: Document) -> Result<Option<T>, NodeError> {
        let Some(bytes) = self.read(document)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| NodeError::damaged(&self.file(document), e))
    }

    /// Removes the directory, and its parents as far as they are empty then. Removing what is not there is no error.
    pub fn remove(&self) -> Result<(), NodeError> {
        // The mounted files first: as long as there is a state directory, somebody comes back for them.
        for path in [&self.files, &self.path] {
            match fs::remove_dir_all(path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(NodeError::io("remove", path, e)),
                _ => {}
            }
            for parent in path.ancestors().skip(1) {
                // Not empty, or a neighbour was faster: both are fine.
                if fs::remove_dir(parent).is_err() || parent == self.store.root {
                    break;
                }
            }
        }
        Ok(())
    }

    fn file(&self, document: Document) -> PathBuf {
        self.path.join(document.file_name())
    }

    fn check_layout(&self) -> Result<(), NodeError> {
        let found = match files::read(&self.path.join(LAYOUT_FILE), 64) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.is_absent() => String::new(),
            Err(e) => return Err(e),
        };
        if found == LAYOUT {
            return Ok(());
        }
        Err(NodeError::Layout { path: self.path.clone(), found, known: LAYOUT })
    }
}

/// containerd's rule for namespaces and ids: letters and digits in groups, joined by single separators.
fn check_name(what: &'static str, name: &str) -> Result<(), NodeError> {
    let groups_are_filled =
        name.split(['.', '_', '-']).all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_alphanumeric()));
    if groups_are_filled && name.len() <= MAX_NAME { Ok(()) } else { Err(bad_name(what, name)) }
}

fn bad_name(what: &'static str, name: &str) -> NodeError {
    NodeError::Name { what, value: name.chars().take(MAX_NAME).collect() }
}

/// The names of the real directories in a directory; none if it does not exist.
fn directories(path: &Path) -> Result<Vec<String>, NodeError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(NodeError::io("list", path, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| NodeError::io("list", path, e))?;
        if entry.file_type().is_ok_and(|t| t.is_dir())
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}
