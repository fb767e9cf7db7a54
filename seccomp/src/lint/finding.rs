//! One thing that is wrong.

use std::ops::Range;

use super::edit::Edit;
use super::rule::Rule;
use super::subject::Subject;
use crate::oci::source::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It will surprise somebody.
    Warning,
    /// It does not do what was written, or nothing can run under it.
    Error,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Note, Self::Warning, Self::Error].into_iter().find(|severity| severity.name() == name)
    }
}

/// What a rule has to say, before it has a place in the file.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) severity: Severity,
    /// A path of the document, or the name of a call.
    pub(super) at: String,
    pub(super) wrote: String,
    pub(super) kernel: String,
    pub(super) instead: String,
    pub(super) edit: Option<Edit>,
}

impl Note {
    pub(super) fn new(severity: Severity, at: impl Into<String>) -> Self {
        Self {
            severity,
            at: at.into(),
            wrote: String::new(),
            kernel: String::new(),
            instead: String::new(),
            edit: None,
        }
    }

    /// What the author wrote.
    pub(super) fn wrote(self, wrote: impl Into<String>) -> Self {
        Self { wrote: wrote.into(), ..self }
    }

    /// What the kernel does.
    pub(super) fn kernel(self, kernel: impl Into<String>) -> Self {
        Self { kernel: kernel.into(), ..self }
    }

    /// What to write.
    pub(super) fn instead(self, instead: impl Into<String>) -> Self {
        Self { instead: instead.into(), ..self }
    }

    /// How to do so mechanically.
    pub(super) fn edit(self, edit: Option<Edit>) -> Self {
        Self { edit, ..self }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// The place in the document, as in `syscalls[1].args[0]`; in a compiled filter the call.
    pub at: String,
    /// Line and column; `None` for a compiled filter.
    pub place: Option<Place>,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// What the author wrote, in words.
    pub wrote: String,
    /// What the kernel does: answers of the compiled filter.
    pub kernel: String,
    /// What to write instead; a few lines.
    pub instead: String,
    /// The same as a change of the text, where it needs no thought.
    pub edit: Option<Edit>,
}

impl Finding {
    pub(super) fn new(rule: &'static Rule, note: Note, subject: &Subject<'_>) -> Self {
        let span = subject.span(&note.at);
        Self {
            rule,
            severity: note.severity,
            place: subject.place(&span),
            at: note.at,
            span,
            wrote: note.wrote,
            kernel: note.kernel,
            instead: note.instead,
            edit: note.edit,
        }
    }
}
