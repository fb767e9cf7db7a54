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
        Self::below(&crate::confinement::state_root())
    }

    fn below(root: &Path) -> io::Result<Self> {
        let directory = root.join(DIRECTORY);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{IoSlice, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    const SOON: Duration = Duration::from_millis(100);

    fn send(stream: &UnixStream, file: &fs::File) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(stream, &[IoSlice::new(b"/dev/ptmx")], &mut ancillary, SendFlags::empty()).unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_terminal_is_received_and_the_name_goes() {
        let root = tempfile::tempdir().unwrap();
        let socket = ConsoleSocket::below(root.path()).unwrap();
        let path = socket.path().to_owned();
        let engine = UnixStream::connect(&path).unwrap();
        send(&engine, &fs::File::open("/dev/null").unwrap());
        socket.receive(SOON).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_engine_that_says_nothing_or_nonsense_is_given_up() {
        let root = tempfile::tempdir().unwrap();
        let socket = ConsoleSocket::below(root.path()).unwrap();
        assert_eq!(socket.receive(SOON).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "nobody comes");
        let socket = ConsoleSocket::below(root.path()).unwrap();
        let silent = UnixStream::connect(socket.path()).unwrap();
        assert_eq!(socket.receive(SOON).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "it says nothing");
        drop(silent);
        let socket = ConsoleSocket::below(root.path()).unwrap();
        UnixStream::connect(socket.path()).unwrap().write_all(b"no terminal").unwrap();
        assert_eq!(socket.receive(SOON).await.unwrap_err().kind(), io::ErrorKind::InvalidData, "no descriptor");
    }
}
