//! Strict access to TOML values that know where they stand.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::IntentError;

type Result<T> = std::result::Result<T, IntentError>;

/// A value with its place.
#[derive(Clone)]
pub(super) struct Node<'t> {
    text: &'t str,
    /// The key that leads to it, as a path from the top.
    pub(super) at: String,
    /// Where that key stands.
    pub(super) key: Range<usize>,
    /// Where the value stands.
    pub(super) span: Range<usize>,
    value: &'t DeValue<'t>,
}

/// The entries of a table, in the order in which they stand in the file.
pub(super) struct Fields<'t> {
    pub(super) entries: Vec<(&'t str, Node<'t>)>,
    text: &'t str,
    at: String,
    span: Range<usize>,
}

impl<'t> Fields<'t> {
    /// The top of a file. Keys that are not known are an error.
    pub(super) fn top(text: &'t str, table: &'t DeTable<'t>, known: &[&str]) -> Result<Self> {
        Self::new(text, table, "", 0..0).only(known)
    }

    fn new(text: &'t str, table: &'t DeTable<'t>, at: &str, span: Range<usize>) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                let at = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                let node = Node { text, at, key: key.span(), span: value.span(), value: value.get_ref() };
                (name, node)
            })
            .collect();
        entries.sort_by_key(|(_, node)| node.key.start);
        Self { entries, text, at: at.to_owned(), span }
    }

    /// Refuse every key but these.
    pub(super) fn only(self, known: &[&str]) -> Result<Self> {
        match self.entries.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(self),
            Some((name, node)) => {
                let error = node.wrong_key(format!("unknown key; known are: {}", known.join(", ")));
                Err(error.meant(name, known.iter().copied()))
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// A value that has to be there.
    pub(super) fn need(&self, key: &str, hint: &str) -> Result<&Node<'t>> {
        self.get(key).ok_or_else(|| {
            let at = if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) };
            IntentError::new(self.text, self.span.clone(), &at, "is missing").hint(hint)
        })
    }
}

impl<'t> Node<'t> {
    /// Something is wrong with the value.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> IntentError {
        IntentError::new(self.text, self.span.clone(), &self.at, problem)
    }

    /// Something is wrong with the key.
    pub(super) fn wrong_key(&self, problem: impl Into<String>) -> IntentError {
        IntentError::new(self.text, self.key.clone(), &self.at, problem)
    }

    /// The line on which the key stands, from 1 on.
    pub(super) fn line(&self) -> usize {
        super::error::place(self.text, self.key.start).0
    }

    /// The value as it is written, on one line.
    pub(super) fn written(&self) -> String {
        let text = self.text.get(self.span.clone()).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn as_str(&self) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn str(&self) -> Result<&'t str> {
        self.as_str().ok_or_else(|| self.wrong("expected a string"))
    }

    /// An integer from 0 to 2^64-1; `None` if it is none at all.
    pub(super) fn integer(&self) -> Option<Result<u64>> {
        let DeValue::Integer(integer) = self.value else { return None };
        let digits = integer.as_str();
        Some(match u64::from_str_radix(digits, integer.radix()) {
            Ok(number) => Ok(number),
            Err(_) if digits.starts_with('-') => {
                Err(self.wrong("a negative number").hint("write its bits in hexadecimal, as 0xffffffff"))
            }
            Err(_) => Err(self.wrong("a number that has more than 64 bits")),
        })
    }

    pub(super) fn fields(&self) -> Result<Fields<'t>> {
        match self.value {
            DeValue::Table(table) => Ok(Fields::new(self.text, table, &self.at, self.span.clone())),
            _ => Err(self.wrong("expected a table")),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// The elements of an array; `None` if it is none.
    pub(super) fn elements(&self) -> Option<Vec<Self>> {
        let DeValue::Array(values) = self.value else { return None };
        let element = |(index, value): (usize, &'t toml::Spanned<DeValue<'t>>)| Self {
            text: self.text,
            at: format!("{}[{index}]", self.at),
            key: value.span(),
            span: value.span(),
            value: value.get_ref(),
        };
        Some(values.iter().enumerate().map(element).collect())
    }

    pub(super) fn array(&self, what: &str) -> Result<Vec<Self>> {
        self.elements().ok_or_else(|| self.wrong(format!("expected an array of {what}")))
    }

    pub(super) fn strings(&self) -> Result<Vec<&'t str>> {
        self.array("strings")?.iter().map(Self::str).collect()
    }
}
