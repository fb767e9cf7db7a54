//! `names`: what names in `egress` may resolve to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Networks that the administrator adds to what names may never resolve to, and excepts from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NameNetworks {
    /// No name may resolve into these: the network of Services, networks of other tenants.
    pub never: BTreeSet<(IpAddr, u8)>,
    /// Names may resolve into these, whatever else forbids it.
    pub may: BTreeSet<(IpAddr, u8)>,
}

impl NameNetworks {
    /// Adds what another part of the floor says.
    pub(super) fn extend(&mut self, other: &Self) {
        self.never.extend(&other.never);
        self.may.extend(&other.may);
    }
}
