//! Text from others, made fit for a condition, an Event or a terminal.

use std::fmt::Write as _;

/// The text on one line, without control characters, in at most `limit` bytes.
pub fn bounded(text: &str, limit: usize) -> String {
    const MORE: &str = "…";
    let mut out = String::with_capacity(text.len().min(limit));
    for char in text.chars() {
        let before = out.len();
        if char.is_control() || is_bidi(char) {
            // Writing to a String does not fail.
            let _ = write!(out, "{}", char.escape_unicode());
        } else {
            out.push(char);
        }
        if out.len() > limit {
            out.truncate(before);
            while out.len() + MORE.len() > limit && out.pop().is_some() {}
            out.push_str(MORE);
            break;
        }
    }
    out
}

/// Marks that turn the direction of the text around them: what is read then is not what is written.
const fn is_bidi(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_one_bounded_visible_line() {
        assert_eq!(bounded("plain ä", 100), "plain ä");
        assert_eq!(bounded("a\n\u{1b}[2J\u{202e}b", 100), "a\\u{a}\\u{1b}[2J\\u{202e}b");
        for text in ["x".repeat(5000), "ä".repeat(5000), "\n".repeat(5000)] {
            let cut = bounded(&text, 1024);
            assert!(cut.len() <= 1024 && cut.ends_with('…'), "{} bytes", cut.len());
        }
    }
}
