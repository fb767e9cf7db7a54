//! Changes of a JSON text that leave the rest of it as it is.

use std::ops::Range;

use crate::oci::source::Source;

/// Replacements of bytes, sorted and apart from one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    replacements: Vec<(Range<usize>, String)>,
}

impl Edit {
    pub(super) fn new(mut replacements: Vec<(Range<usize>, String)>) -> Option<Self> {
        replacements.sort_by_key(|(range, _)| (range.start, range.end));
        let apart = replacements.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start);
        (apart && !replacements.is_empty()).then_some(Self { replacements })
    }

    /// Put something in place of the value at a path.
    pub(super) fn replace(source: &Source, path: &str, with: impl Into<String>) -> Option<Self> {
        source.member(path)?;
        Self::new(vec![(source.span(path), with.into())])
    }

    /// Take elements out of the array at a path. The array keeps at least one.
    pub(super) fn remove_elements(source: &Source, path: &str, indexes: &[usize]) -> Option<Self> {
        let elements = source.elements(path);
        if indexes.len() >= elements.len() || indexes.iter().any(|index| *index >= elements.len()) {
            return None;
        }
        let kept: Vec<&Range<usize>> =
            elements.iter().enumerate().filter(|(index, _)| !indexes.contains(index)).map(|(_, range)| range).collect();
        // From the first to the last element, the kept ones with what stands before them.
        let text = source.text();
        let mut joined = String::new();
        for (position, range) in kept.iter().enumerate() {
            if position > 0 {
                let original = elements.iter().position(|element| element == *range)?;
                joined.push_str(&text[elements.get(original.checked_sub(1)?)?.end..range.start]);
            }
            joined.push_str(&text[(*range).clone()]);
        }
        Self::new(vec![(elements.first()?.start..elements.last()?.end, joined)])
    }

    /// Take a member out of an object that has others.
    pub(super) fn remove_member(source: &Source, path: &str) -> Option<Self> {
        let member = source.member(path)?;
        let text = source.text();
        let after = &text[member.end..];
        let before = text[..member.start].trim_end();
        if let Some(rest) = after.trim_start().strip_prefix(',') {
            let next = text.len() - rest.trim_start().len();
            return Self::new(vec![(member.start..next, String::new())]);
        }
        let comma = before.strip_suffix(',')?.len();
        Self::new(vec![(comma..member.end, String::new())])
    }

    /// Put elements behind the last one of the array at a path, which has some.
    pub(super) fn append(source: &Source, path: &str, elements: &[String]) -> Option<Self> {
        let present = source.elements(path);
        let last = present.last()?;
        // What stands between the last two is what the author puts between elements.
        let between = match present.as_slice() {
            [.., before, _] => source.text()[before.end..last.start].to_owned(),
            _ => ", ".to_owned(),
        };
        let added: String = elements.iter().map(|element| format!("{between}{element}")).collect();
        Self::new(vec![(last.end..last.end, added)])
    }

    /// Both changes, if they do not touch each other.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        Self::new(self.replacements.into_iter().chain(other.replacements).collect())
    }

    /// The changed text.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut changed = String::with_capacity(text.len());
        let mut at = 0;
        for (range, with) in &self.replacements {
            changed.push_str(text.get(at..range.start).unwrap_or_default());
            changed.push_str(with);
            at = range.end;
        }
        changed.push_str(text.get(at..).unwrap_or_default());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_stays_as_it_is() {
        let source = Source::parse("{\"a\": [1,\n  2,\n  3], \"b\" : 4 , \"c\": 5}".to_owned()).expect("JSON");
        let changed = |edit: Option<Edit>| edit.expect("possible").apply(source.text());
        assert_eq!(changed(Edit::replace(&source, "b", "7")), "{\"a\": [1,\n  2,\n  3], \"b\" : 7 , \"c\": 5}");
        assert_eq!(changed(Edit::remove_elements(&source, "a", &[0])), "{\"a\": [2,\n  3], \"b\" : 4 , \"c\": 5}");
        assert_eq!(changed(Edit::remove_elements(&source, "a", &[1, 2])), "{\"a\": [1], \"b\" : 4 , \"c\": 5}");
        assert_eq!(Edit::remove_elements(&source, "a", &[0, 1, 2]), None);
        assert_eq!(changed(Edit::remove_member(&source, "b")), "{\"a\": [1,\n  2,\n  3], \"c\": 5}");
        assert_eq!(changed(Edit::remove_member(&source, "c")), "{\"a\": [1,\n  2,\n  3], \"b\" : 4 }");
        assert_eq!(
            changed(Edit::append(&source, "a", &["9".to_owned(), "10".to_owned()])),
            "{\"a\": [1,\n  2,\n  3,\n  9,\n  10], \"b\" : 4 , \"c\": 5}"
        );
    }
}
