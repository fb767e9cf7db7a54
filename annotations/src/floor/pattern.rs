//! Patterns for namespace names: `*` for any run of characters, `?` for one.

/// A pattern of the floor file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    /// Accepts what a namespace name may have, and the two wildcards.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let admitted = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*' | b'?');
        ((1..=63).contains(&text.len()) && text.bytes().all(admitted)).then(|| Self(text.to_owned()))
    }

    /// Whether the whole name matches, in time proportional to the product of the lengths.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(b) if *b == b'?' || *b == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        p = at + 1;
                        n = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|b| *b == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).is_some_and(|p| p.matches(name))
    }

    #[test]
    fn wildcards() {
        for (pattern, name) in [
            ("prod", "prod"),
            ("prod-*", "prod-a-b"),
            ("*", ""),
            ("*", "x"),
            ("*-prod", "a-prod-prod"),
            ("?-x", "a-x"),
            ("a*b*c", "a-b-b-c"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("prod", "prod-a"), ("prod-*", "prod"), ("?", ""), ("a*b*c", "a-b-b"), ("x", "")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn characters() {
        for bad in ["", "prod/*", "Prod", "a.b", "[ab]", &"a".repeat(64)] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }
}
