//! `fd-open`: files that are opened for the workload.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Absent, KnobValue, Malformed, list, paths};
use crate::error::quote;

/// Descriptors from 3 to this one may be opened.
const MAX_DESCRIPTOR: u32 = 1023;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// `ro`: for reading.
    Ro,
    /// `rw`: for reading and writing.
    Rw,
}

/// One descriptor's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEntry {
    /// Absolute path inside the container.
    pub path: String,
    /// How it is opened.
    pub access: Access,
}

/// Files by descriptor. Parsed; not enforced by this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FdOpen(pub BTreeMap<u32, OpenEntry>);

fn entry(text: &str) -> Option<(u32, OpenEntry)> {
    let (number, rest) = text.split_once('=')?;
    let (path, access) = rest.rsplit_once(':')?;
    let number = list::decimal(number).filter(|n| (3..=MAX_DESCRIPTOR).contains(n))?;
    let access = match access {
        "ro" => Access::Ro,
        "rw" => Access::Rw,
        _ => return None,
    };
    Some((number, OpenEntry { path: paths::normalise(path)?, access }))
}

impl KnobValue for FdOpen {
    const ABSENT: Absent = Absent::Strictest;

    fn parse(text: &str) -> Result<Self, Malformed> {
        let mut files = BTreeMap::new();
        for text in list::entries(text)? {
            let (number, open) = entry(text).ok_or_else(|| {
                Malformed::new(
                    format!("has {}, which is no descriptor with its file", quote(text)),
                    format!("write NUMBER=PATH:ro or NUMBER=PATH:rw with a number from 3 to {MAX_DESCRIPTOR}"),
                )
            })?;
            if files.insert(number, open).is_some() {
                return Err(Malformed::new(format!("names descriptor {number} twice"), "write each descriptor once"));
            }
        }
        Ok(Self(files))
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }

    fn enforced(&self) -> bool {
        false
    }
}

impl fmt::Display for FdOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(number, open): (&u32, &OpenEntry)| {
            format!("{number}={}:{}", open.path, if open.access == Access::Ro { "ro" } else { "rw" })
        };
        list::join(f, self.0.iter().map(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_path_access() {
        let open = FdOpen::parse("7=/data/in:ro, 8=/out:rw");
        assert_eq!(open.as_ref().map(ToString::to_string), Ok("7=/data/in:ro,8=/out:rw".into()));
        assert!(open.is_ok_and(|o| !o.enforced()));
        for bad in ["", "7", "7=/x", "7=x:ro", "2=/x:ro", "1024=/x:ro", "7=/x:wo", "7=/x:ro,7=/y:ro"] {
            assert!(FdOpen::parse(bad).is_err(), "{bad:?}");
        }
    }
}
