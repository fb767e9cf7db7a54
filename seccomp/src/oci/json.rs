//! Strict access to JSON values.

use serde_json::{Map, Value};

use super::error::{Error, Problem};

/// An object whose keys were checked against the specification's.
pub(super) struct Object<'a> {
    map: &'a Map<String, Value>,
    at: String,
}

impl<'a> Object<'a> {
    /// Take an object. Keys that the specification does not know are left alone, as every engine does, unless Go's
    /// decoder would take them for one that it knows.
    pub(super) fn new(value: &'a Value, at: &str, known: &[&'static str]) -> Result<Self, Error> {
        let map = value.as_object().ok_or_else(|| Error::new(at, Problem::Type("an object")))?;
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            if let Some(meant) = known.iter().find(|name| folds_to(key, name)) {
                return Err(Error::new(join(at, key), Problem::Case(meant)));
            }
        }
        Ok(Self { map, at: at.to_owned() })
    }

    /// Where a key of this object is.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.at, key)
    }

    /// A key's value; null counts as absent, as in Go.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn str(&self, key: &str) -> Result<Option<&'a str>, Error> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| Error::new(self.path(key), Problem::Type("a string"))))
            .transpose()
    }

    pub(super) fn u64(&self, key: &str) -> Result<Option<u64>, Error> {
        self.get(key)
            .map(|value| {
                value.as_u64().ok_or_else(|| Error::new(self.path(key), Problem::Type("a number from 0 to 2^64-1")))
            })
            .transpose()
    }

    /// The elements of an array; none if the key is absent.
    pub(super) fn array(&self, key: &str) -> Result<&'a [Value], Error> {
        match self.get(key) {
            None => Ok(&[]),
            Some(value) => {
                value.as_array().map(Vec::as_slice).ok_or_else(|| Error::new(self.path(key), Problem::Type("an array")))
            }
        }
    }

    /// An array of strings.
    pub(super) fn strings(&self, key: &str) -> Result<Vec<&'a str>, Error> {
        let elements = self.array(key)?.iter().enumerate();
        elements
            .map(|(index, value)| {
                value
                    .as_str()
                    .ok_or_else(|| Error::new(format!("{}[{index}]", self.path(key)), Problem::Type("a string")))
            })
            .collect()
    }
}

pub(super) fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Does Go's decoder take `key` for `name`? It folds ASCII case and the two letters outside ASCII that fold into it.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}
