//! Sockets inside the pod's network namespace.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;

/// A network namespace. Sockets keep the namespace in which they were made, whoever uses them.
pub struct Netns(Option<OwnedFd>);

impl Netns {
    /// The namespace behind a path such as `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(File::open(path)?.into())))
    }

    /// The namespace of this process.
    #[must_use]
    pub const fn own() -> Self {
        Self(None)
    }

    /// Runs something inside. A thread of its own enters the namespace and ends there: one that could not be brought back would make
    /// sockets in the wrong one from then on.
    fn inside<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let Some(namespace) = &self.0 else { return make() };
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
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = self.inside(|| {
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        tokio::net::UdpSocket::from_std(socket)
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
