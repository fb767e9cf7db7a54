//! What no name of this pod may resolve to.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocap_annotations::Names as Wanted;
use zerocap_names::{Guard, Network, Surroundings};

use crate::sys::addresses::addresses;

/// Most networks of a pod that are remembered. Whoever may make more in it decides where its packets go anyway.
const MOST_OF_POD: usize = 64;

/// The networks of the floor and of the spec, the node's addresses, and the networks of the pod's interfaces.
///
/// # Errors
/// The addresses cannot be had.
pub(super) fn guard(wanted: &Wanted, netns: &Path) -> io::Result<Guard> {
    let around = Around { netns: File::open(netns)?, seen: Mutex::default() };
    around.look()?;
    Ok(Guard::new(wanted.never.clone(), wanted.may.clone()).within(Arc::new(around)))
}

/// The node and the pod.
struct Around {
    netns: File,
    seen: Mutex<Seen>,
}

#[derive(Clone, Default)]
struct Seen {
    /// The addresses of the node: one that it has given up may be somebody else's.
    node: Vec<Network>,
    /// The networks of the pod. They are only ever added to: a neighbour that may change the pod's interfaces must not be able to loosen
    /// anything.
    pod: Vec<Network>,
}

impl Around {
    fn look(&self) -> io::Result<()> {
        let node = addresses()?.into_iter().map(|(address, _)| (address, full(address))).collect();
        let pod = addresses_in(&self.netns)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.node = node;
        for network in pod.into_iter().filter(|(_, length)| *length > 0) {
            if seen.pod.len() < MOST_OF_POD && !seen.pod.contains(&network) {
                seen.pod.push(network);
            }
        }
        Ok(())
    }
}

impl Surroundings for Around {
    fn networks(&self) -> Vec<Network> {
        if let Err(error) = self.look() {
            tracing::warn!(%error, "cannot tell the node's addresses; names are guarded by those that were seen last");
        }
        let Seen { mut node, pod } = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        node.extend(pod);
        node
    }
}

/// The addresses of another network namespace, by a thread that ends there.
fn addresses_in(netns: &File) -> io::Result<Vec<(IpAddr, u8)>> {
    thread::scope(|scope| {
        let enter = || {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
            addresses()
        };
        let thread = thread::Builder::new().name("pod's addresses".to_owned()).stack_size(64 << 10);
        let thread = thread.spawn_scoped(scope, enter)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace panicked")))
    })
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
