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

    pub(super) fn source(error: SourceError) -> Self {
        Self { place: error.place, problem: error.problem, hint: error.hint }
    }

    /// An error of the reader, at a path of the document.
    pub(super) fn profile(error: &Error, path: &str, source: &Source) -> Self {
        let place = source.place(source.span(path).start);
        Self { place: Some(place), problem: format!("{path}: {}", error.problem), hint: hint(&error.problem) }
    }

    pub(super) fn intent(error: &IntentError) -> Self {
        let (text, hint) = (error.to_string(), "correct that place; docs/seccomp.md describes the format");
        // The TOML parser's message begins with its place and quotes the line below.
        let first = text.lines().next().unwrap_or_default();
        let place = first.strip_prefix("TOML parse error at line ").and_then(|rest| {
            let (line, column) = rest.split_once(", column ")?;
            Some(Place { line: line.parse().ok()?, column: column.parse().ok()? })
        });
        let problem = if place.is_some() { text.lines().last().unwrap_or(first).to_owned() } else { first.to_owned() };
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
        _ => "correct that value".to_owned(),
    }
}
