//! The knobs: one file per knob with its values, how they are written, and which of two values is the stricter.

mod egress;
mod fd_allow;
mod fd_open;
mod filesystem;
mod list;
mod listen;
mod mode;
mod network_enforcement;
mod paths;
mod policy;
mod proxy_port;
mod require;
mod seccomp;
mod seccomp_names;
mod settings;
mod unix;

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use egress::{Destination, Egress, MAX_NAME_PORTS, Peer, Transport};
pub use fd_allow::FdAllow;
pub use fd_open::{Access, FdOpen, OpenEntry};
pub use filesystem::Filesystem;
pub use list::MAX_ENTRIES;
pub use listen::Listen;
pub use mode::Mode;
pub use network_enforcement::NetworkEnforcement;
pub use paths::Paths;
pub use policy::PolicyName;
pub use proxy_port::ProxyPort;
pub use require::{Level, Require};
pub use seccomp::{Preset, Presets};
pub use seccomp_names::{SyscallsAllowed, SyscallsDenied};
pub use settings::Settings;
pub use unix::Unix;

pub(crate) use egress::network;
pub(crate) use list::is_dns_label;
pub(crate) use paths::is_beneath;

/// A value that does not parse: what is wrong with it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// What is wrong, as the second half of a sentence that begins with the quoted place.
    pub what: String,
    /// What to write instead.
    pub instead: String,
    /// Over a bound rather than of the wrong form.
    pub too_large: bool,
}

impl Malformed {
    pub(crate) fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into(), too_large: false }
    }

    pub(crate) fn too_large(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into(), too_large: true }
    }
}

/// How a knob that nobody wrote compares with one that somebody wrote, where the knob has no default value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Not writing it restricts nothing.
    Loosest,
    /// Not writing it permits nothing.
    Strictest,
}

/// What every knob's value can do.
pub(crate) trait KnobValue: Sized + Clone + PartialEq + fmt::Display {
    /// The meaning of absence beside a written value.
    const ABSENT: Absent = Absent::Loosest;

    /// Reads the value as an annotation or the floor file has it.
    fn parse(text: &str) -> Result<Self, Malformed>;

    /// `Greater`: `self` is stricter. `None`: the two cannot be compared.
    fn compare(&self, other: &Self) -> Option<Ordering>;

    /// Whether this version enforces the value.
    fn enforced(&self) -> bool {
        true
    }
}

/// Compares sets where a smaller set is stricter.
pub(crate) fn fewer_is_stricter(self_in_other: bool, other_in_self: bool) -> Option<Ordering> {
    match (self_in_other, other_in_self) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => None,
    }
}

/// Every knob of the grammar, version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knob {
    /// `network-enforcement`: who confines the network.
    NetworkEnforcement,
    /// `proxy-port`: the loopback port that the workload may reach.
    ProxyPort,
    /// `egress`: destinations beside the proxy.
    Egress,
    /// `listen`: ports to bind and listen on.
    Listen,
    /// `seccomp`: presets, all of which must allow.
    Seccomp,
    /// `seccomp-deny`: further system calls to refuse.
    SeccompDeny,
    /// `seccomp-allow`: system calls to re-admit within the pod's own profile.
    SeccompAllow,
    /// `filesystem`: what may be written.
    Filesystem,
    /// `fs-read`: the only paths that may be read.
    FsRead,
    /// `fs-write`: the only paths that may be written.
    FsWrite,
    /// `fs-execute`: the only paths that may be executed.
    FsExecute,
    /// `unix`: which unix sockets may be reached.
    Unix,
    /// `fd-open`: files opened for the workload.
    FdOpen,
    /// `fd-allow`: descriptors that the workload may use.
    FdAllow,
    /// `require`: promises without which the container must not start.
    Require,
    /// `mode`: enforce, audit or record.
    Mode,
    /// `policy`: a policy that the floor file defines.
    Policy,
}

impl Knob {
    /// Every knob, in the order of the documentation.
    pub const ALL: [Knob; 17] = [
        Knob::NetworkEnforcement,
        Knob::ProxyPort,
        Knob::Egress,
        Knob::Listen,
        Knob::Seccomp,
        Knob::SeccompDeny,
        Knob::SeccompAllow,
        Knob::Filesystem,
        Knob::FsRead,
        Knob::FsWrite,
        Knob::FsExecute,
        Knob::Unix,
        Knob::FdOpen,
        Knob::FdAllow,
        Knob::Require,
        Knob::Mode,
        Knob::Policy,
    ];

    /// The name as annotations and the floor file write it.
    pub const fn name(self) -> &'static str {
        match self {
            Knob::NetworkEnforcement => "network-enforcement",
            Knob::ProxyPort => "proxy-port",
            Knob::Egress => "egress",
            Knob::Listen => "listen",
            Knob::Seccomp => "seccomp",
            Knob::SeccompDeny => "seccomp-deny",
            Knob::SeccompAllow => "seccomp-allow",
            Knob::Filesystem => "filesystem",
            Knob::FsRead => "fs-read",
            Knob::FsWrite => "fs-write",
            Knob::FsExecute => "fs-execute",
            Knob::Unix => "unix",
            Knob::FdOpen => "fd-open",
            Knob::FdAllow => "fd-allow",
            Knob::Require => "require",
            Knob::Mode => "mode",
            Knob::Policy => "policy",
        }
    }

    /// The knob of that exact name.
    pub fn from_name(name: &str) -> Option<Knob> {
        Self::ALL.into_iter().find(|knob| knob.name() == name)
    }

    /// What may be written, for `--help` and the pages.
    pub const fn values(self) -> &'static str {
        match self {
            Knob::NetworkEnforcement => "platform, cluster (or its synonym namespace)",
            Knob::ProxyPort => "a port from 1 to 65535",
            Knob::Egress => {
                "HOST:PORT, *.DOMAIN:PORT, ADDRESS:PORT or CIDR:PORT (IPv6 in brackets), PORT may be a range, tcp:// or udp:// before it; more ports of the same host may follow"
            }
            Knob::Listen => "ports from 1 to 65535, *, or none",
            Knob::Seccomp => "general, strict, minimal, model-backend, sandbox-blocklist",
            Knob::SeccompDeny | Knob::SeccompAllow => "names of system calls",
            Knob::Filesystem => "image, read-only",
            Knob::FsRead | Knob::FsWrite | Knob::FsExecute => "absolute paths",
            Knob::Unix => "container, any, none",
            Knob::FdOpen => "NUMBER=PATH:ro or NUMBER=PATH:rw",
            Knob::FdAllow => "numbers and ranges of descriptors, for example 0-2,7",
            Knob::Require => "privileges, egress, protocols, inbound, neighbours, files, descriptors",
            Knob::Mode => {
                "enforce; audit where the floor permits it (docs/egress-tools.md); record is refused by this version"
            }
            Knob::Policy => "the name of a policy that the floor file defines",
        }
    }

    /// What holds without the knob, for `--help` and the pages.
    pub const fn without(self) -> &'static str {
        match self {
            Knob::NetworkEnforcement => "the floor's, else cluster",
            Knob::ProxyPort => "3128",
            Knob::Egress => "nothing but the loopback proxy",
            Knob::Listen => "none in platform mode",
            Knob::Seccomp => "general in platform mode",
            Knob::Filesystem => "image",
            Knob::Unix => "container in platform mode, else any",
            Knob::FdOpen => "stdio",
            Knob::FdAllow => "any",
            Knob::Require => "all of the mode's: egress and inbound fully, the others at least partly kept",
            Knob::Mode => "enforce",
            Knob::SeccompDeny | Knob::SeccompAllow | Knob::FsRead | Knob::FsWrite | Knob::FsExecute | Knob::Policy => {
                "none"
            }
        }
    }

    /// Whether the knob's values have an order from loose to strict, so that exceptions per container can be checked.
    pub const fn has_order(self) -> bool {
        !matches!(self, Knob::ProxyPort | Knob::FdOpen | Knob::Policy)
    }

    /// Whether the knob says how platform mode treats the network, and means nothing where the cluster has it.
    pub const fn needs_platform(self) -> bool {
        matches!(self, Knob::ProxyPort | Knob::Egress | Knob::Listen)
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again() {
        for knob in Knob::ALL {
            assert_eq!(Knob::from_name(knob.name()), Some(knob));
            assert_eq!(serde_json::to_value(knob).ok(), Some(knob.name().into()));
        }
        assert_eq!(Knob::from_name("Listen"), None);
    }
}
