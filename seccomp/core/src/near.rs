//! The name that somebody may have meant.

/// The candidate that is closest to a word: the same but for case, `-` and `_`, or a few letters away. `None` if none is.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names are short; a longer word is none of them.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let limit = (folded.len() / 3).min(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// How many letters have to be put in, left out, changed, or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = ["ptrace", "openat", "openat2", "general", "sandbox-blocklist"];
        for (word, meant) in [
            ("ptrcae", Some("ptrace")),
            ("PTRACE", Some("ptrace")),
            ("openta", Some("openat")),
            ("generl", Some("general")),
            ("sandbox_blocklist", Some("sandbox-blocklist")),
            ("fork", None),
            ("", None),
        ] {
            assert_eq!(closest(word, names), meant, "{word}");
        }
        assert_eq!(closest(&"x".repeat(1 << 20), names), None);
    }
}
