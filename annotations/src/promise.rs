//! The promises: what a user buys.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a policy guarantees. Which fence keeps it is in the enforcement report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// No capability, and no way to gain one.
    Privileges,
    /// The loopback proxy and listed destinations only.
    Egress,
    /// TCP, unix sockets and NETLINK_ROUTE only; no io_uring, no foreign ABI.
    Protocols,
    /// Nobody connects in but to `listen`.
    Inbound,
    /// Other containers' sockets, signals, memory, IPC and limits are out of reach.
    Neighbours,
    /// Only what `filesystem` or the path lists permit.
    Files,
    /// No descriptor but those that were meant for the workload.
    Descriptors,
}

impl Promise {
    /// Every promise, in the order of the report.
    pub const ALL: [Promise; 7] = [
        Promise::Privileges,
        Promise::Egress,
        Promise::Protocols,
        Promise::Inbound,
        Promise::Neighbours,
        Promise::Files,
        Promise::Descriptors,
    ];

    /// The name as `require` and the report write it.
    pub const fn name(self) -> &'static str {
        match self {
            Promise::Privileges => "privileges",
            Promise::Egress => "egress",
            Promise::Protocols => "protocols",
            Promise::Inbound => "inbound",
            Promise::Neighbours => "neighbours",
            Promise::Files => "files",
            Promise::Descriptors => "descriptors",
        }
    }

    /// What is promised, in one sentence without a full stop.
    pub const fn sentence(self) -> &'static str {
        match self {
            Promise::Privileges => "no capability, and no way to gain one",
            Promise::Egress => "the loopback proxy and listed destinations only",
            Promise::Protocols => "TCP, unix sockets and NETLINK_ROUTE only; no io_uring, no foreign ABI",
            Promise::Inbound => "nobody connects in but to the ports of listen",
            Promise::Neighbours => "other containers' sockets, signals, memory, IPC and limits are out of reach",
            Promise::Files => "only what filesystem or the path lists permit",
            Promise::Descriptors => "no descriptor but those that were meant for the workload",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
