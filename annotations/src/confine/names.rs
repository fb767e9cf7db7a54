//! What the names in `egress` take: a resolver on the node, a responder that the container asks, and files that say so.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::floor::NameNetworks;
use crate::host::Host;
use crate::knob::{Destination, Peer};
use crate::policy::Policy;

/// Where programs read whom to ask.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where programs look names up first.
pub(super) const HOSTS: &str = "/etc/hosts";

/// What the names of one container are resolved by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// The destinations that are names or domains.
    pub destinations: Vec<Destination>,
    /// Networks that no name may resolve to, beside those that hold everywhere and the node's and the pod's own: the floor's, and the API
    /// server's Service.
    pub never: Vec<(IpAddr, u8)>,
    /// Networks that names may resolve to whatever forbids it.
    pub may: Vec<(IpAddr, u8)>,
    /// Directory on the node in which the container's private files are made: `resolv.conf`, and `hosts` where there is one.
    pub directory: PathBuf,
    /// The kubelet's hosts file, with whose lines the private one begins. Without one, what the image or a volume has there stays.
    pub hosts: Option<PathBuf>,
}

impl Names {
    /// The names of a policy, if it has any.
    pub(super) fn of(policy: &Policy, host: &Host, facts: &Facts<'_>) -> Option<Self> {
        let destinations = named(policy);
        let NameNetworks { never, may } = policy.name_networks().clone();
        (!destinations.is_empty()).then(|| Self {
            destinations,
            never: never.into_iter().chain(facts.api_servers.iter().map(|address| alone(*address))).collect(),
            may: may.into_iter().collect(),
            directory: host.files_dir.clone(),
            hosts: facts.kubelet_file(HOSTS).map(PathBuf::from),
        })
    }
}

/// The destinations of a policy that are names or domains.
pub(super) fn named(policy: &Policy) -> Vec<Destination> {
    let all = policy.settings().egress.iter().flat_map(|egress| &egress.0);
    all.filter(|destination| is_name(destination)).cloned().collect()
}

fn alone(address: IpAddr) -> (IpAddr, u8) {
    (address, if address.is_ipv4() { 32 } else { 128 })
}

/// Whether a destination is a name or a domain.
pub(super) fn is_name(destination: &Destination) -> bool {
    !matches!(destination.peer, Peer::Network(..))
}
