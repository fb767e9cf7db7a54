//! The socket on which an engine hands over the master side of a terminal.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixListener;

/// Short, because a socket path holds about a hundred bytes; a bundle's path is longer than that.
/// It begins with a dot, as no containerd namespace does.
const DIRECTORY: &str = ".console";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A listening socket with a name, for one terminal. The name goes away with the value.
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        // Nothing to be done about a name that does not go.
        let _ = fs::remove_file(&self.path);
    }
}

impl ConsoleSocket {
    /// Makes a socket that only root can connect to.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made.
    pub fn new() -> io::Result<Self> {
        let directory = crate::confinement::state_root().join(DIRECTORY);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{}-{number}", std::process::id()));
        // A name left by a killed shim that had our pid.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        Ok(Self { listener, path })
    }

    /// Where the engine has to connect.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the terminal, at most `limit`.
    ///
    /// # Errors
    /// `TimedOut`, or when the peer sends something else.
    pub async fn receive(self, limit: Duration) -> io::Result<OwnedFd> {
        tokio::time::timeout(limit, self.receive_unbounded())
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the engine sent no terminal")))
    }

    async fn receive_unbounded(&self) -> io::Result<OwnedFd> {
        let (stream, _) = self.listener.accept().await?;
        loop {
            stream.readable().await?;
            match stream.try_io(Interest::READABLE, || receive_descriptor(&stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

fn receive_descriptor(stream: &tokio::net::UnixStream) -> io::Result<OwnedFd> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut name)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the engine sent no descriptor on the console socket")
        })
}
