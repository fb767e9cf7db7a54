//! `fs-read`, `fs-write`, `fs-execute`: the only paths that may be read, written, executed.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KnobValue, Malformed, fewer_is_stricter, list};
use crate::error::quote;

/// Longest path that the kernel takes, without its terminator.
const MAX_PATH: usize = 4095;

/// Absolute, normalised paths; each stands for itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paths(pub BTreeSet<String>);

impl Paths {
    /// Whether every path of `self` lies at or below one of `other`.
    fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|path| other.0.iter().any(|root| is_beneath(path, root)))
    }
}

/// Whether the normalised `path` is `root` or lies below it.
pub(crate) fn is_beneath(path: &str, root: &str) -> bool {
    root == "/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes empty and `.` parts. `None` where the path is not absolute or climbs with `..`.
pub(crate) fn normalise(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => {
                out.push('/');
                out.push_str(part);
            }
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Some(out)
}

impl KnobValue for Paths {
    fn parse(text: &str) -> Result<Self, Malformed> {
        list::entries(text)?
            .into_iter()
            .map(|path| {
                if path.len() > MAX_PATH {
                    return Err(Malformed::too_large(
                        format!("has a path of {} bytes", path.len()),
                        format!("write paths of at most {MAX_PATH} bytes"),
                    ));
                }
                normalise(path).filter(|path| !path.chars().any(char::is_control)).ok_or_else(|| {
                    Malformed::new(
                        format!("has {}, which is no absolute path", quote(path)),
                        "write paths that begin with / and have no .. in them",
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        fewer_is_stricter(self.within(other), other.within(self))
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list::join(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Paths {
        Paths::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn paths_are_absolute_and_normalised() {
        assert_eq!(paths("/data//in/./, /"), Paths(["/".into(), "/data/in".into()].into()));
        for bad in ["", "data", "./data", "/a/../b", "/..", "/a\u{0}b", "/a\nb", "~/x"] {
            assert!(Paths::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Paths::parse(&format!("/{}", "a".repeat(MAX_PATH))).is_err_and(|e| e.too_large));
    }

    #[test]
    fn a_path_covers_what_is_below_it() {
        assert_eq!(paths("/a/b").compare(&paths("/a")), Some(Ordering::Greater));
        assert_eq!(paths("/a").compare(&paths("/")), Some(Ordering::Greater));
        assert_eq!(paths("/ab").compare(&paths("/a")), None);
        assert_eq!(paths("/a,/a/b").compare(&paths("/a")), Some(Ordering::Equal));
        assert_eq!(paths("/a,/c").compare(&paths("/a,/b")), None);
    }
}
