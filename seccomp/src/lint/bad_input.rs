//! A file that is no profile.

use std::fmt;

use crate::intent::IntentError;
use crate::oci::source::{Place, Source, SourceError};
use crate::oci::{Error, Problem};

/// Why a file cannot be judged: one error, with its place and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput {
    /// Where, if it is a place.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.hint)
    }
}

impl std::error::Error for BadInput {}

impl BadInput {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into(), hint: hint.into() }
    }

    /// Text that is no JSON document.
    #[must_use]
    pub fn source(error: SourceError) -> Self {
        Self { place: error.place, problem: error.problem, hint: error.hint }
    }

    /// An error of the reader, at a path of the document.
    #[must_use]
    pub fn profile(error: &Error, path: &str, source: &Source) -> Self {
        let place = source.place(source.span(path).start);
        Self { place: Some(place), problem: format!("{path}: {}", error.problem), hint: hint(&error.problem) }
    }

    /// An error in a list.
    pub(super) fn intent(error: &IntentError) -> Self {
        let place = (error.line > 0).then_some(Place { line: error.line, column: error.column });
        let problem = match error.at.as_str() {
            "" => error.problem.clone(),
            at => format!("{at}: {}", error.problem),
        };
        let hint = match error.hint.as_str() {
            "" => "correct that place; docs/seccomp.md describes the format",
            hint => hint,
        };
        Self { place, problem, hint: hint.to_owned() }
    }
}

const ACTIONS: &str = "SCMP_ACT_ALLOW, _LOG, _NOTIFY, _TRACE, _ERRNO, _TRAP, _KILL_THREAD, _KILL_PROCESS";
const OPERATORS: &str = "SCMP_CMP_NE, _LT, _LE, _EQ, _GE, _GT, _MASKED_EQ";

fn hint(problem: &Problem) -> String {
    match problem {
        Problem::Unknown { kind: "an action", .. } => format!("the actions are {ACTIONS}"),
        Problem::Unknown { kind: "an operator", .. } => format!("the operators are {OPERATORS}"),
        Problem::Unknown { kind: "an architecture", .. } => "write it as SCMP_ARCH_X86_64".to_owned(),
        Problem::Unknown { kind: "a filter flag", .. } => {
            "the flags are SECCOMP_FILTER_FLAG_LOG, _SPEC_ALLOW, _TSYNC, _WAIT_KILLABLE_RECV".to_owned()
        }
        Problem::Missing => "add it".to_owned(),
        Problem::Unread(Some(meant)) | Problem::Name(Some(meant)) => format!("did you mean {meant}?"),
        Problem::Unread(None) => "take it out".to_owned(),
        Problem::Name(None) => "write it as the manual pages do, or take it out".to_owned(),
        _ => "correct that value".to_owned(),
    }
}
