//! What the attempts are pointed at: made here, gone with this value.

use std::fs::{File, Permissions};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use zerocap_probe::{SOCKET, World};

/// Under which number a file is left open.
const DESCRIPTOR: i32 = 7;
/// The attempt that is none: it waits for the end of its input.
pub const WAIT: &str = "wait";

/// The world, and what keeps it there.
pub struct Made {
    pub world: World,
    left_open: File,
    neighbour: Child,
    _listeners: (TcpListener, UdpSocket, [UnixListener; 2]),
    _folder: TempDir,
}

impl Made {
    /// Makes it. `proxy_port` is one that the policy permits.
    pub fn new(program: &Path, proxy_port: u16) -> io::Result<Self> {
        let tcp = other_than(proxy_port)?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let name = format!("zerocap-try-{}", std::process::id());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        // For whoever the program is run as.
        let folder =
            tempfile::Builder::new().prefix("zerocap-try-").permissions(Permissions::from_mode(0o1777)).tempdir()?;
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))?;
        let socket = folder.path().join(SOCKET);
        let pathname = UnixListener::bind(&socket)?;
        // A service that everybody may ask.
        std::fs::set_permissions(&socket, Permissions::from_mode(0o777))?;
        let left_open = File::create(folder.path().join("open"))?;
        let neighbour =
            Command::new(program).args(["probe", WAIT]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let world = World {
            tcp: tcp.local_addr()?.port(),
            udp: udp.local_addr()?.port(),
            unix: name,
            neighbour: neighbour.id().cast_signed(),
            descriptor: DESCRIPTOR,
            folder: folder.path().to_owned(),
        };
        Ok(Self { world, left_open, neighbour, _listeners: (tcp, udp, [unix, pathname]), _folder: folder })
    }

    /// The file that is left open, for a child.
    pub fn left_open(&self) -> io::Result<OwnedFd> {
        Ok(self.left_open.try_clone()?.into())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The end of its input is the neighbour's end.
        drop(self.neighbour.stdin.take());
        let _ = self.neighbour.wait();
    }
}

/// A listener on a port that the policy does not permit.
fn other_than(port: u16) -> io::Result<TcpListener> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    if first.local_addr()?.port() != port {
        return Ok(first);
    }
    // The first is still bound, so this is another.
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}
