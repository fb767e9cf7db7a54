//! "Did you mean …?"

/// The nearest of the known words, if one is near enough to be what was meant.
pub(crate) fn did_you_mean<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    if text.len() > LONGEST {
        return None;
    }
    let text = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    known
        .map(|word| (distance(&text, word), word))
        .filter(|(distance, word)| *distance <= 1.max(word.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::Knob;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let knob = |text| did_you_mean(text, Knob::ALL.iter().map(|k| k.name()));
        assert_eq!(knob("proxyport"), Some("proxy-port"));
        assert_eq!(knob("Network_Enforcement"), Some("network-enforcement"));
        assert_eq!(knob("listn"), Some("listen"));
        assert_eq!(knob("fs-writ"), Some("fs-write"));
        assert_eq!(knob("banana"), None);
        assert_eq!(knob(&"listen".repeat(100)), None);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
