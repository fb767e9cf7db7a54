//! Why names could not be started.

use std::io;
use std::net::IpAddr;

use thiserror::Error;

/// Why names could not be started: the container must not start either.
#[derive(Debug, Error)]
pub enum StartError {
    /// The policy has something that is no host name.
    #[error("{0:?} is no host name")]
    NoName(String),
    /// The policy has more names than are kept.
    #[error("{names} names are listed, {limit} are the most")]
    TooManyNames {
        /// How many it has.
        names: usize,
        /// The bound.
        limit: usize,
    },
    /// The pod's network namespace cannot be opened, or sockets in it cannot be used.
    #[error("the network namespace of the pod cannot be used: {0}")]
    Netns(#[source] io::Error),
    /// No loopback address can be had for the responder.
    #[error("the DNS responder gets no loopback address of the pod with port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// The last error.
        source: io::Error,
    },
    /// A name has no address.
    #[error("{name} does not exist, or has no address, as {asked}")]
    NoAddress {
        /// The name as listed.
        name: String,
        /// What was asked for: the name, also below the domains of the pod's search list.
        asked: String,
    },
    /// No server answered for a name.
    #[error("{name} cannot be resolved: {why}")]
    Unresolved {
        /// The name as listed.
        name: String,
        /// What came of it.
        why: String,
    },
    /// A name has only addresses that a name may not have.
    #[error("{name} resolves to {address}, which a name may not resolve to (it is in {network}/{bits})")]
    Forbidden {
        /// The name as listed.
        name: String,
        /// The first such address.
        address: IpAddr,
        /// The network that forbids it.
        network: IpAddr,
        /// Its length.
        bits: u8,
    },
    /// The packet fence takes no more.
    #[error("{name}: the packet fence does not permit its addresses: {source}")]
    Gate {
        /// The name as listed.
        name: String,
        /// Its error.
        source: io::Error,
    },
}
