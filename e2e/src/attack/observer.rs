//! An observer on the node's network: it sees every frame that leaves a pod, whatever the program in it claims.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use crate::netns;
use crate::node::Node;

/// `ETH_P_ALL` of linux/if_ether.h.
const ETH_P_ALL: u16 = 3;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Frames, as far as attacks can be told apart by them.
#[derive(Debug, Default)]
struct Seen {
    frames: Vec<Vec<u8>>,
    /// With whose interface they came from.
    ports: BTreeSet<(Mac, u16)>,
    addresses: BTreeSet<IpAddr>,
}

/// A running observer; it ends when it goes out of scope.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Starts to watch all interfaces of the node.
    pub fn start(node: &Node) -> io::Result<Self> {
        Self::within(&node.netns())
    }

    /// Starts to watch all interfaces of a network namespace.
    pub fn within(namespace: &Path) -> io::Result<Self> {
        let socket = netns::within(namespace, || {
            let protocol = Protocol::from_raw(u32::from(ETH_P_ALL.to_be()).try_into().map_err(io::Error::other)?);
            Ok(socket_with(
                AddressFamily::PACKET,
                SocketType::RAW,
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                Some(protocol),
            )?)
        })?;
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || watch(&socket, &seen, &stop)
        });
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// Whether a payload was seen.
    pub fn saw_payload(&self, text: &str) -> bool {
        let wanted = text.as_bytes();
        self.seen.lock().is_ok_and(|seen| seen.frames.iter().any(|f| f.windows(wanted.len()).any(|w| w == wanted)))
    }

    /// Whether a segment or datagram to a port was seen, from a pod's interface or from any. Others may have sent one: an answer to somebody's
    /// resolver goes to a port that was chosen at random.
    pub fn saw_port(&self, port: u16, from: Option<Mac>) -> bool {
        let is_it = |&(mac, seen): &(Mac, u16)| seen == port && from.is_none_or(|from| mac == from);
        self.seen.lock().is_ok_and(|seen| seen.ports.iter().any(is_it))
    }

    /// Whether a packet to an address was seen.
    pub fn saw_address(&self, address: IpAddr) -> bool {
        self.seen.lock().is_ok_and(|seen| seen.addresses.contains(&address))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(socket: &OwnedFd, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        match recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((n, _)) => {
                let frame = &buffer[..n];
                if let Ok(mut seen) = seen.lock() {
                    seen.ports.extend(source(frame).zip(destination_port(frame)));
                    seen.addresses.extend(destination_address(frame));
                    seen.frames.push(frame.to_vec());
                }
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Whose interface a frame came from.
fn source(frame: &[u8]) -> Option<Mac> {
    frame.get(6..12)?.try_into().ok()
}

/// Where an IP packet goes.
fn destination_address(frame: &[u8]) -> Option<IpAddr> {
    let ip = frame.get(ETHERNET_HEADER..)?;
    match [*frame.get(12)?, *frame.get(13)?] {
        ETHERTYPE_IPV4 => <[u8; 4]>::try_from(ip.get(16..20)?).ok().map(IpAddr::from),
        ETHERTYPE_IPV6 => <[u8; 16]>::try_from(ip.get(24..40)?).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The port that a TCP, UDP or similar packet goes to: the second 16-bit word after the IP header in all of them.
fn destination_port(frame: &[u8]) -> Option<u16> {
    let ip = frame.get(ETHERNET_HEADER..)?;
    let header = match [*frame.get(12)?, *frame.get(13)?] {
        ETHERTYPE_IPV4 => usize::from(ip.first()? & 0xf) * 4,
        ETHERTYPE_IPV6 => IPV6_HEADER,
        _ => return None,
    };
    Some(u16::from_be_bytes([*ip.get(header + 2)?, *ip.get(header + 3)?]))
}
