//! What can be wrong with a profile in TOML.

use std::fmt;
use std::ops::Range;

/// A profile that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentError {
    /// Line in the file, from 1 on; 0 if the fault has no place.
    pub line: usize,
    /// Column in that line, in characters, from 1 on.
    pub column: usize,
    /// The key, as `conditional.socket.when[2].type`; empty if the text is not TOML.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead; may be empty.
    pub hint: String,
}

impl IntentError {
    pub(super) fn new(text: &str, span: Range<usize>, at: &str, problem: impl Into<String>) -> Self {
        let (line, column) = place(text, span.start);
        Self { line, column, at: at.to_owned(), problem: problem.into(), hint: String::new() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// "did you mean", if something was meant.
    pub(super) fn meant<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match super::closest(word, candidates) {
            Some(close) => self.hint(format!("did you mean {close}?")),
            None => self,
        }
    }
}

/// Line and column of a byte of the text, both from 1 on.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

impl fmt::Display for IntentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.problem)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for IntentError {}
