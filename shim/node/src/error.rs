//! Errors of the node's files. Each names the file, since that is what an operator has to look at.

use std::io;
use std::path::{Path, PathBuf};

use zerocap_annotations::ZcError;
use zerocap_annotations::code::{Code, node};

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
    #[error("{value:?} is not a {what}: letters and digits, joined by single '.', '_' or '-', at most 76 characters")]
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
        Self::Io { what, path: path.to_owned(), source }
    }

    /// The file's content is not what zerocap writes.
    pub(crate) fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
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

impl From<NodeError> for ZcError {
    fn from(error: NodeError) -> Self {
        let (code, hint) = error.code();
        Self::new(code, error.to_string(), hint)
    }
}

impl NodeError {
    /// The stable code of this error, and what to do.
    fn code(&self) -> (Code, &'static str) {
        match self {
            Self::Io { what: "create" | "write" | "remove", .. } => {
                (node::STATE_WRITE, "look at space, permissions and mounts of that directory")
            }
            Self::Io { what: "prepare the trials in", .. } => {
                (node::PROBE, "the probe needs a directory that can be written, /dev/shm or /tmp")
            }
            Self::Io { .. } if self.is_denied() => (node::NOT_ROOT, "run it as root on the node"),
            Self::Io { .. } | Self::Damaged { .. } => (node::STATE_READ, "delete the pod and start it again"),
            Self::TooLarge { .. } => (node::TOO_LARGE, "zerocap writes nothing as large: remove the file"),
            Self::Layout { .. } => (node::STATE_VERSION, "use the zerocap that wrote it, or delete the pod"),
            Self::Name { .. } => {
                (node::NO_SUCH_CONTAINER, "write the id as `crictl ps` or `ctr containers list` shows it")
            }
        }
    }
}
