//! JSON text with the place of everything in it, so that a complaint can name line and column.

use std::ops::Range;

use jsonc_parser::ast;
use serde_json::Value;

/// No profile is larger; the default profile of a container engine has about 20 KiB.
pub const MAX_BYTES: usize = 1 << 20;

/// A place in a text, both counted from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Why a text is not a JSON document that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SourceError {
    /// Where, if it is a place.
    pub place: Option<Place>,
    /// What is wrong there.
    pub problem: String,
    /// What to write instead.
    pub hint: String,
}

/// A JSON document and where its parts stand.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
    value: Value,
    root: Node,
}

#[derive(Debug, Clone)]
struct Node {
    range: Range<usize>,
    children: Children,
}

#[derive(Debug, Clone)]
enum Children {
    None,
    Elements(Vec<Node>),
    /// Name, place of the whole `"name": value`, value.
    Properties(Vec<(String, Range<usize>, Node)>),
}

impl Source {
    /// Read a document.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if it is too large, not JSON (comments and trailing commas are not), nested deeper than 128, or
    /// has a key twice in one object: engines do not agree which of the two counts.
    pub fn parse(text: String) -> Result<Self, SourceError> {
        if text.len() > MAX_BYTES {
            return Err(SourceError {
                place: None,
                problem: format!("larger than {} MiB", MAX_BYTES >> 20),
                hint: "give a seccomp profile: real ones have a few KiB".to_owned(),
            });
        }
        if text.trim().is_empty() {
            return Err(SourceError {
                place: None,
                problem: "the file is empty".to_owned(),
                hint: "give a seccomp profile".to_owned(),
            });
        }
        let not_json = |place, problem: String| SourceError {
            place,
            problem: format!("not JSON: {problem}"),
            hint: "correct that place".to_owned(),
        };
        // serde_json decides what is JSON; the other parser only tells where things stand.
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            let place = Place { line: error.line().max(1), column: error.column().max(1) };
            let full = error.to_string();
            let problem = full.rsplit_once(" at line ").map_or(full.as_str(), |(problem, _)| problem);
            not_json(Some(place), problem.to_owned())
        })?;
        let options = jsonc_parser::ParseOptions::default();
        let parsed = jsonc_parser::parse_to_ast(&text, &jsonc_parser::CollectOptions::default(), &options)
            .map_err(|error| not_json(Some(place(&text, error.range().start)), error.kind().to_string()))?;
        let Some(tree) = parsed.value else { return Err(not_json(None, "there is no value".to_owned())) };
        let root = node(&tree);
        if let Some((name, at)) = duplicate(&root) {
            return Err(SourceError {
                place: Some(place(&text, at)),
                problem: format!("the key \"{name}\" stands twice in one object"),
                hint: "keep one of them: engines differ in which one counts".to_owned(),
            });
        }
        Ok(Self { text, value, root })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The document.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The bytes of the value at a path such as `syscalls[3].args[0].op`; the whole document for the empty path. Where
    /// the path leads nowhere, the nearest thing on the way.
    #[must_use]
    pub fn span(&self, path: &str) -> Range<usize> {
        self.find(path).1.range.clone()
    }

    /// The bytes of `"name": value` for a path that ends in a name; `None` if there is no such member.
    #[must_use]
    pub fn member(&self, path: &str) -> Option<Range<usize>> {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let (complete, node) = self.find(parent);
        let Children::Properties(properties) = &node.children else { return None };
        properties.iter().find(|(known, ..)| complete && known == name).map(|(_, whole, _)| whole.clone())
    }

    /// The bytes of the elements of the array at a path.
    #[must_use]
    pub fn elements(&self, path: &str) -> Vec<Range<usize>> {
        match self.find(path) {
            (true, Node { children: Children::Elements(elements), .. }) => {
                elements.iter().map(|element| element.range.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where a byte stands.
    #[must_use]
    pub fn place(&self, byte: usize) -> Place {
        place(&self.text, byte)
    }

    /// The node at a path and true, or the last one on the way and false.
    fn find(&self, path: &str) -> (bool, &Node) {
        let mut node = &self.root;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.children, step.strip_suffix(']')) {
                (Children::Elements(elements), Some(index)) => index.parse().ok().and_then(|i: usize| elements.get(i)),
                (Children::Properties(properties), None) => {
                    properties.iter().find(|(name, ..)| name == step).map(|(_, _, value)| value)
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return (false, node),
            }
        }
        (true, node)
    }
}

/// Where a byte of a text stands.
#[must_use]
pub fn place(text: &str, byte: usize) -> Place {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

fn node(value: &ast::Value<'_>) -> Node {
    let (range, children) = match value {
        ast::Value::StringLit(literal) => (literal.range, Children::None),
        ast::Value::NumberLit(literal) => (literal.range, Children::None),
        ast::Value::BooleanLit(literal) => (literal.range, Children::None),
        ast::Value::NullKeyword(literal) => (literal.range, Children::None),
        ast::Value::Array(array) => (array.range, Children::Elements(array.elements.iter().map(node).collect())),
        ast::Value::Object(object) => {
            let member = |property: &ast::ObjectProp<'_>| {
                let whole = property.range.start..property.range.end;
                (property.name.as_str().to_owned(), whole, node(&property.value))
            };
            (object.range, Children::Properties(object.properties.iter().map(member).collect()))
        }
    };
    Node { range: range.start..range.end, children }
}

/// A name that an object has twice, and where it stands the second time.
fn duplicate(node: &Node) -> Option<(&str, usize)> {
    match &node.children {
        Children::None => None,
        Children::Elements(elements) => elements.iter().find_map(duplicate),
        Children::Properties(properties) => {
            let mut names = std::collections::BTreeSet::new();
            properties.iter().find_map(|(name, whole, value)| {
                if names.insert(name.as_str()) { duplicate(value) } else { Some((name.as_str(), whole.start)) }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Source, SourceError> {
        Source::parse(text.to_owned())
    }

    #[test]
    fn paths_lead_to_bytes() {
        let text = "{\n  \"a\": [ {\"b\": 7}, \"ü\", null ],\n  \"c\": {}\n}";
        let source = parse(text).expect("JSON");
        assert_eq!(&text[source.span("a[0].b")], "7");
        assert_eq!(&text[source.span("a[1]")], "\"ü\"");
        assert_eq!(&text[source.member("a[0].b").expect("there")], "\"b\": 7");
        assert_eq!(source.member("a[0].c"), None);
        assert_eq!(source.elements("a").len(), 3);
        assert_eq!(source.place(source.span("a[2]").start), Place { line: 2, column: 25 });
        // What is not there is reported at the nearest thing that is.
        assert_eq!(&text[source.span("c.missing[4]")], "{}");
        assert_eq!(source.span(""), 0..text.len());
    }

    #[test]
    fn what_is_not_a_document() {
        let error = |text: &str| parse(text).expect_err("refused");
        assert_eq!(error(" \n").problem, "the file is empty");
        assert_eq!(error("{\"a\": 1,\n}").place, Some(Place { line: 2, column: 1 }));
        assert!(error("{\"a\": 1} // why").problem.starts_with("not JSON: trailing characters"));
        let twice = error("{\"a\": {\"b\": 1,\n \"b\": 2}}");
        assert_eq!(
            (twice.place, twice.problem.as_str()),
            (Some(Place { line: 2, column: 2 }), "the key \"b\" stands twice in one object")
        );
        assert!(error(&"[".repeat(100_000)).problem.contains("recursion limit"));
        assert!(error(&" ".repeat(MAX_BYTES + 1)).problem.contains("larger than 1 MiB"));
    }
}
