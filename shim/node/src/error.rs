//! Errors of the node's files. Each names the file, since that is what an operator has to look at.

use std::io;
use std::path::{Path, PathBuf};

/// A file or directory of zerocap on this node could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The operating system refused; `what` is the step, as in "read".
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The step that failed.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is larger than anything that zerocap writes.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The content is not what zerocap writes.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory was written by a version with another layout.
    #[error("{} has layout {found:?}, this version knows {known:?}", path.display())]
    Layout {
        /// The container's state directory.
        path: PathBuf,
        /// What the directory says.
        found: String,
        /// What this version writes.
        known: &'static str,
    },
    /// A namespace or an id that containerd would not accept either.
    #[error(
        "{value:?} is not a {what}: letters and digits, joined by single '.', '_' or '-', at most 76 characters"
    )]
    Name {
        /// "namespace" or "container id".
        what: &'static str,
        /// The value, shortened.
        value: String,
    },
}

impl NodeError {
    /// An input or output error with its place.
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// The file's content is not what zerocap writes.
    pub(crate) fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// True if the file or directory simply is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// True if the caller lacks the permission: the state belongs to root.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}
