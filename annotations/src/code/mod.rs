//! The one table of every error that a user can meet, whatever room raises it.
//!
//! `zerocap explain ZC0102`, the pages under `docs/` and the errors themselves all read this table, so they cannot
//! disagree. A code is never given a second meaning; a retired code stays retired.
//!
//! | range | room |
//! |---|---|
//! | ZC01xx | [`annotation`]: what a pod author wrote |
//! | ZC02xx | [`floor`]: what the node's administrator demands |
//! | ZC03xx | [`spec`]: the container's OCI spec cannot be confined |
//! | ZC04xx | [`profile`]: the pod's own seccomp profile |
//! | ZC05xx | [`promise`]: the kernel cannot keep a promise |
//! | ZC06xx | [`handover`]: launcher and hand-over |
//! | ZC07xx | [`verify`]: what the kernel shows of the parked process |
//! | ZC08xx | [`engine`]: runc, crun, youki, zerocap-engine |
//! | ZC09xx | [`node`]: state directory, files, command line |
//! | ZC10xx | [`filter`]: profiles and filters of `zerocap seccomp` |
//! | ZC11xx | [`install`]: the installation on a node |
//! | ZC12xx | [`fence`]: the packet fence |
//! | ZC14xx | [`cluster`]: the node daemon and the plugin of kubectl |

use std::fmt;

use serde::{Serialize, Serializer};

/// Defines the codes of one room: a constant for each, and the room's part of the table.
macro_rules! codes {
    ($($name:ident = $id:literal {
        title: $title:literal,
        cause: $cause:literal,
        cure: $cure:literal,
        example: $example:literal $(,)?
    })*) => {
        $(
            #[doc = concat!($id, ": ", $title, ".")]
            pub const $name: $crate::code::Code = $crate::code::Code($id);
        )*
        pub(super) static ENTRIES: &[$crate::code::Entry] = &[
            $($crate::code::Entry { code: $name, title: $title, cause: $cause, cure: $cure, example: $example },)*
        ];
    };
}

pub mod annotation;
pub mod cluster;
pub mod engine;
pub mod fence;
pub mod filter;
pub mod floor;
pub mod handover;
pub mod install;
pub mod names;
pub mod node;
pub mod profile;
pub mod promise;
pub mod spec;
pub mod verify;

/// A stable error code such as `ZC0102`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

impl Code {
    /// The code as users see it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The table's entry of this code.
    pub fn entry(self) -> Option<&'static Entry> {
        all().find(|entry| entry.code == self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// One row of the table: what `zerocap explain CODE` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The code itself.
    pub code: Code,
    /// A few words, without a full stop.
    pub title: &'static str,
    /// Why this happens, and why it stops the start.
    pub cause: &'static str,
    /// What to do or write instead.
    pub cure: &'static str,
    /// A message as a user may see it, or the lines that lead to it.
    pub example: &'static str,
}

/// Every entry, in the order of the codes.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    [
        annotation::ENTRIES,
        floor::ENTRIES,
        spec::ENTRIES,
        profile::ENTRIES,
        promise::ENTRIES,
        handover::ENTRIES,
        verify::ENTRIES,
        engine::ENTRIES,
        node::ENTRIES,
        filter::ENTRIES,
        install::ENTRIES,
        fence::ENTRIES,
        names::ENTRIES,
        cluster::ENTRIES,
    ]
    .into_iter()
    .flatten()
}

/// Looks a code up as a person types it: in any case, `ZC` may be missing (`0102`).
pub fn lookup(text: &str) -> Option<&'static Entry> {
    let text = text.trim().to_ascii_uppercase();
    let digits = text.strip_prefix("ZC").unwrap_or(&text);
    all().find(|entry| entry.code.as_str().strip_prefix("ZC") == Some(digits))
}
