//! What no name of this pod may resolve to.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocap_annotations::Names as Wanted;
use zerocap_names::Guard;

use crate::sys::addresses::addresses;

/// The floor's networks, the node's addresses, and the networks of the pod's interfaces.
///
/// # Errors
/// The addresses cannot be had.
pub(super) fn guard(wanted: &Wanted, netns: &Path) -> io::Result<Guard> {
    let mut never = wanted.never.clone();
    never.extend(addresses()?.into_iter().map(|(address, _)| (address, full(address))));
    never.extend(addresses_in(netns)?.into_iter().filter(|(_, length)| *length > 0));
    Ok(Guard::new(never, wanted.may.clone()))
}

/// The addresses of another network namespace, by a thread that ends there.
fn addresses_in(netns: &Path) -> io::Result<Vec<(IpAddr, u8)>> {
    let netns = File::open(netns)?;
    let thread = thread::Builder::new().name("pod's addresses".to_owned()).spawn(move || {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
        addresses()
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace panicked")))
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
