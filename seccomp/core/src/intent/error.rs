//! What can be wrong with a profile in TOML.

/// A profile that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// Something at a place in the file.
    #[error("{at}: {problem}")]
    At {
        /// The key, as `conditional.socket.when[2].type`.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl IntentError {
    pub(super) fn at(at: &str, problem: impl Into<String>) -> Self {
        Self::At { at: at.to_owned(), problem: problem.into() }
    }
}
