//! What the linter is told about where a profile will be used.

use std::collections::BTreeSet;

use crate::Arch;
use crate::oci::docker::Target;

/// An engine, as far as the meaning of a profile depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// runc
    Runc,
    /// crun
    Crun,
    /// youki, and everything else built on libcontainer
    Youki,
}

impl Engine {
    /// The engine with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "runc" => Some(Self::Runc),
            "crun" => Some(Self::Crun),
            "youki" => Some(Self::Youki),
            _ => None,
        }
    }
}

/// Where and how a profile will be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Architecture, capabilities and kernel: they decide which rules of Docker's format apply.
    pub target: Target,
    /// The engine, if it is one only.
    pub engine: Option<Engine>,
    /// The version of libseccomp on the node: names that it does not know are skipped there in silence.
    pub libseccomp: Option<(u8, u8, u8)>,
    /// The profile is loaded by bubblewrap, and this many further filters after it.
    pub bwrap: Option<usize>,
    /// A tracer will be attached.
    pub tracer: bool,
}

impl Default for Options {
    /// This machine's architecture, no capabilities, a current kernel, any engine.
    fn default() -> Self {
        Self {
            target: Target {
                arch: Arch::native().unwrap_or(Arch::X86_64),
                capabilities: BTreeSet::new(),
                kernel: (6, 12),
            },
            engine: None,
            libseccomp: None,
            bwrap: None,
            tracer: false,
        }
    }
}

/// The target of the examples on the page: the same on every machine.
pub(super) fn reference() -> Target {
    Target { arch: Arch::X86_64, capabilities: BTreeSet::new(), kernel: (6, 12) }
}
