//! What every engine passes over in silence, and who wrote it did not mean: keys that no format has, and names that no call can have.

use serde_json::Value;

use super::docker::{ARCH_KEYS, FILTER_KEYS, PROFILE_KEYS, RULE_KEYS};
use super::error::{Error, Problem};
use super::json::join;
use super::rules::ARG_KEYS;
use crate::{closest, lookup, suggest};

/// A key that nobody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadKey {
    /// Its place below the profile, as `syscalls[3].arg`.
    pub at: String,
    /// The key.
    pub key: String,
    /// What may have been meant.
    pub meant: Option<&'static str>,
}

/// The keys of a profile that neither the runtime specification nor Docker's format has, in the order of the document.
#[must_use]
pub fn keys(seccomp: &Value) -> Vec<UnreadKey> {
    let mut found = Vec::new();
    look(seccomp, PROFILE_KEYS, "", &mut found);
    for (at, entry) in elements(seccomp, "", "archMap") {
        look(entry, ARCH_KEYS, &at, &mut found);
    }
    for (at, rule) in elements(seccomp, "", "syscalls") {
        look(rule, RULE_KEYS, &at, &mut found);
        for filter in ["includes", "excludes"] {
            look(rule.get(filter).unwrap_or(&Value::Null), FILTER_KEYS, &join(&at, filter), &mut found);
        }
        for (at, arg) in elements(rule, &at, "args") {
            look(arg, ARG_KEYS, &at, &mut found);
        }
    }
    found
}

/// Refuse what a person cannot have meant: a key that nobody reads, and a name that is written as no call is. A well-formed name that is
/// not known may be newer than the tables here: it is skipped, as engines do.
///
/// # Errors
///
/// [`Error`] with the first such place.
pub fn refuse(seccomp: &Value) -> Result<(), Error> {
    if let Some(UnreadKey { at, meant, .. }) = keys(seccomp).into_iter().next() {
        return Err(Error::new(at, Problem::Unread(meant)));
    }
    let misspelt = |name: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        lookup(name).is_none() && !name.chars().all(fits)
    };
    for (at, rule) in elements(seccomp, "", "syscalls") {
        for (at, name) in elements(rule, &at, "names") {
            if let Some(name) = name.as_str().filter(|name| misspelt(name)) {
                return Err(Error::new(at, Problem::Name(suggest(name))));
            }
        }
    }
    Ok(())
}

/// The elements of an array, with their places.
fn elements<'a>(value: &'a Value, at: &str, key: &str) -> impl Iterator<Item = (String, &'a Value)> {
    let at = join(at, key);
    let array = value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
    array.map(move |(index, value)| (format!("{at}[{index}]"), value))
}

fn look(value: &Value, known: &[&'static str], at: &str, found: &mut Vec<UnreadKey>) {
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    found.extend(keys.filter(|key| !known.contains(&key.as_str())).map(|key| UnreadKey {
        at: join(at, key),
        key: key.clone(),
        meant: closest(key, known.iter().copied()),
    }));
}
