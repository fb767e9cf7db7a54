//! The error type of every room: a stable code, one sentence, what to write instead.

use std::fmt;

use serde::Serialize;

use crate::code::Code;

/// What a user meets when a start is refused. Displays as `ZC0102: SENTENCE; HINT`, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZcError {
    /// The stable code; its page is `zerocap explain CODE`.
    pub code: Code,
    /// One sentence without a full stop: what is wrong and where (annotation, file and line, or JSON path).
    pub message: String,
    /// What to write or do instead, without a full stop.
    pub hint: String,
}

impl ZcError {
    /// An error of `code`. Line breaks and control characters that came in with quoted input are made visible.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: one_line(message.into()), hint: one_line(hint.into()) }
    }
}

impl fmt::Display for ZcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for ZcError {}

/// Input may be quoted in an error at most this long.
const MAX_QUOTE: usize = 120;

/// Quotes input for an error message: bounded, and safe for a terminal and for a line-based log.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_QUOTE) + 2);
    out.push('"');
    for (index, char) in text.chars().enumerate() {
        if index == MAX_QUOTE {
            out.push('…');
            break;
        }
        out.extend(char.escape_debug());
    }
    out.push('"');
    out
}

fn one_line(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code;

    #[test]
    fn one_line_whatever_the_input() {
        let error = ZcError::new(code::annotation::BAD_VALUE, "a\nb\u{1b}[31m", "write \"x\"");
        assert_eq!(error.to_string(), "ZC0102: a\\nb\\u{1b}[31m; write \"x\"");
    }

    #[test]
    fn quotes_are_bounded_and_escaped() {
        assert_eq!(quote("a\"\n"), "\"a\\\"\\n\"");
        assert_eq!(quote(&"x".repeat(5000)).chars().count(), MAX_QUOTE + 3);
    }
}
