//! Signals by number: the kernel's real-time signals have no name in any safe interface.
#![allow(unsafe_code)]

use rustix::process::Signal;

/// A signal that a person or a shim may send, by name with or without "SIG", or by number.
pub fn signal(text: &str) -> Option<Signal> {
    let number = match text.parse::<i32>() {
        Ok(number) => number,
        Err(_) => by_name(&text.to_ascii_uppercase())?,
    };
    // 32 and 33 belong to the C library.
    if !matches!(number, 1..=31 | 34..=64) {
        return None;
    }
    // SAFETY: the number is one of the kernel's signals and none of those that the C library keeps for itself.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}

fn by_name(upper: &str) -> Option<i32> {
    let name = upper.strip_prefix("SIG").unwrap_or(upper);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        return Some(34 + offset.parse::<u8>().ok().map(i32::from)?);
    }
    if let Some(offset) = name.strip_prefix("RTMAX-") {
        return Some(64 - offset.parse::<u8>().ok().map(i32::from)?);
    }
    match name {
        "RTMIN" => Some(34),
        "RTMAX" => Some(64),
        _ => format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|s| s as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigkill", 9),
            ("TERM", 15),
            ("37", 37),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(signal(text).map(|s| s.as_raw()), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal() {
        for text in ["", "0", "-1", "32", "33", "65", "SIG", "SIGSIGKILL", "RTMIN+31", "RTMIN+x", "99999999999"] {
            assert!(signal(text).is_none(), "{text}");
        }
    }
}
