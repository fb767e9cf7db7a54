//! What can be wrong with `linux.seccomp`.

/// A profile that must not be loaded. `at` is the place below `linux.seccomp`, as in `syscalls[3].args[0].op`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("linux.seccomp{dot}{at}: {problem}", dot = if at.is_empty() { "" } else { "." })]
pub struct Error {
    /// Where.
    pub at: String,
    /// What.
    pub problem: Problem,
}

/// What is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Another JSON type than the specification asks for.
    #[error("expected {0}")]
    Type(&'static str),
    /// A key that must be there.
    #[error("is missing")]
    Missing,
    /// Two keys of which one may be given.
    #[error("{0} and {1} are both given: write one of them")]
    Both(&'static str, &'static str),
    /// A key that is right but for upper and lower case.
    #[error("write it as \"{0}\": engines differ on keys in other case")]
    Case(&'static str),
    /// A value that is none of the specification's.
    #[error("{value:?} is not {kind}")]
    Unknown {
        /// What was expected, as "an action".
        kind: &'static str,
        /// What was found.
        value: String,
    },
    /// A number that the kernel would change.
    #[error("{value} is too large (at most {max})")]
    TooLarge {
        /// The number.
        value: u64,
        /// The largest that is taken as written.
        max: u64,
    },
    /// An empty system call name.
    #[error("an empty string is not a system call")]
    EmptyName,
    /// A key that no engine reads; with the one that was meant.
    #[error("no engine reads this key")]
    Unread(Option<&'static str>),
    /// A name that is written as no call is; with the call that was meant.
    #[error("this is not the name of a system call")]
    Name(Option<&'static str>),
    /// SCMP_ACT_NOTIFY where the engine could not hand over the listener.
    #[error("SCMP_ACT_NOTIFY cannot be used {0}")]
    Notify(&'static str),
}

impl Error {
    pub(super) fn new(at: impl Into<String>, problem: Problem) -> Self {
        Self { at: at.into(), problem }
    }
}
