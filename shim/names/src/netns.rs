//! Sockets inside the pod's network namespace.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;

/// How many datagram sockets are made at a time: entering the namespace takes a thread, and on a busy node a wait.
const STOCK: usize = 8;

/// A network namespace. Sockets keep the namespace in which they were made, whoever uses them.
pub struct Netns {
    /// `None` for our own.
    namespace: Option<OwnedFd>,
    /// Datagram sockets without an address, for IPv4 and IPv6.
    stock: [Mutex<Vec<OwnedFd>>; 2],
}

impl Netns {
    /// The namespace behind a path such as `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { namespace: Some(File::open(path)?.into()), stock: Default::default() })
    }

    /// The namespace of this process.
    #[must_use]
    pub fn own() -> Self {
        Self { namespace: None, stock: Default::default() }
    }

    /// Runs something inside. A thread of its own enters the namespace and ends there: one that could not be brought back would make
    /// sockets in the wrong one from then on.
    fn inside<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let Some(namespace) = &self.namespace else { return make() };
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            make()
        };
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("netns".into()).stack_size(64 << 10).spawn_scoped(scope, enter)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace ended")))
        })
    }

    /// A datagram socket for one exchange with a server, on a port that the kernel chooses at random.
    pub(crate) fn udp_to(&self, server: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
        let (place, family) = match server {
            SocketAddr::V4(_) => (0, AddressFamily::INET),
            SocketAddr::V6(_) => (1, AddressFamily::INET6),
        };
        let mut stock = self.stock[place].lock().unwrap_or_else(PoisonError::into_inner);
        if stock.is_empty() {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let one = |_| Ok(socket_with(family, SocketType::DGRAM, flags, None)?);
            *stock = self.inside(|| (0..STOCK).map(one).collect())?;
        }
        let socket = stock.pop().ok_or(io::ErrorKind::NotFound)?;
        drop(stock);
        connect(&socket, &server)?;
        tokio::net::UdpSocket::from_std(UdpSocket::from(socket))
    }

    /// A stream socket that is not connected yet.
    pub(crate) fn tcp_to(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        self.inside(|| if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() })
    }

    /// Both sockets of a responder.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
        self.inside(|| {
            let (udp, tcp) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok((udp, tcp))
        })
    }
}
