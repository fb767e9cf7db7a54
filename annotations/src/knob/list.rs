//! What several knobs share: comma-separated lists, ports, names.

use std::fmt;

use super::Malformed;
use crate::error::quote;

/// Most entries that one list may have.
pub const MAX_ENTRIES: usize = 256;

/// The entries of a comma-separated list, without the blanks around them.
pub(super) fn entries(text: &str) -> Result<Vec<&str>, Malformed> {
    let count = text.split(',').count();
    if count > MAX_ENTRIES {
        return Err(Malformed::too_large(
            format!("has {count} entries"),
            format!("write at most {MAX_ENTRIES} entries"),
        ));
    }
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    if entries.iter().any(|entry| entry.is_empty()) {
        let what = if count == 1 { "is empty" } else { "has an empty entry" };
        return Err(Malformed::new(what, "write a comma-separated list without empty entries"));
    }
    Ok(entries)
}

/// A number in plain decimal digits, without sign and leading zeros.
pub(super) fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A port from 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Malformed> {
    decimal::<u16>(text)
        .filter(|port| *port != 0)
        .ok_or_else(|| Malformed::new(format!("has {}, which is no port", quote(text)), "write a port from 1 to 65535"))
}

/// One of several words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Malformed> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Malformed::new(
            format!("has {}, which is none of {}", quote(text), known.join(", ")),
            crate::grammar::did_you_mean(text, known.iter().copied())
                .map_or_else(|| format!("write one of {}", known.join(", ")), |word| format!("did you mean {word}?")),
        )
    })
}

/// Whether `text` is a DNS label, as container and namespace names are.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Writes the items of an iterator with commas between them.
pub(super) fn join(f: &mut fmt::Formatter<'_>, items: impl IntoIterator<Item = impl fmt::Display>) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_trimmed_and_have_no_holes() {
        assert_eq!(entries(" a , b").as_deref(), Ok(&["a", "b"][..]));
        for holed in ["", ",", "a,", ",a", "a,,b", " "] {
            assert!(entries(holed).is_err_and(|e| !e.too_large), "{holed:?}");
        }
        let long = vec!["a"; MAX_ENTRIES + 1].join(",");
        assert!(entries(&long).is_err_and(|e| e.too_large));
        assert_eq!(entries(&vec!["a"; MAX_ENTRIES].join(",")).map(|l| l.len()), Ok(MAX_ENTRIES));
    }

    #[test]
    fn ports_are_plain_numbers() {
        assert_eq!(port("1"), Ok(1));
        assert_eq!(port("65535"), Ok(65535));
        for bad in ["0", "65536", "080", "+80", "-1", "", " 80", "8o", "٣"] {
            assert!(port(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dns_labels() {
        assert!(is_dns_label("a") && is_dns_label("a-1") && is_dns_label(&"a".repeat(63)));
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad:?}");
        }
    }
}
