//! Copying between a process's streams and containerd's.
//!
//! A buffer exists only while there is something to copy, so an idle container costs no memory here.
//! When a process's output ends while bytes still stand in the FIFO, the FIFO is kept open until they are read, or
//! the process is deleted: with containerd away for a restart, closing it would throw them away. A reader that is
//! there at the delete keeps them by itself, and one that is not has gone for good.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::sink::Sink;

/// Bytes moved at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Longest pause between looks at an undrained FIFO.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// Copies a process's output until its end, and keeps it for a late reader until the process is `deleted`.
pub(super) async fn output<S: Borrow<AsyncFd<OwnedFd>>>(from: S, mut sink: Sink, mut deleted: watch::Receiver<bool>) {
    loop {
        let chunk = match read(from.borrow()).await {
            Ok(chunk) if chunk.is_empty() => break,
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "cannot read a process's output");
                break;
            }
        };
        let written = match &mut sink {
            Sink::Fifo(fifo) => write(fifo, &chunk).await,
            Sink::File(file) => file.write_all(&chunk),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write a process's output");
            break;
        }
    }
    if let Sink::Fifo(fifo) = &sink {
        tokio::select! {
            () = wait_until_read(fifo) => {}
            _ = deleted.wait_for(|deleted| *deleted) => {}
        }
    }
}

/// Copies containerd's input to a process until the last writer is gone.
pub(super) async fn input<D: Borrow<AsyncFd<OwnedFd>>>(from: AsyncFd<OwnedFd>, to: D) {
    loop {
        let chunk = match read(&from).await {
            Ok(chunk) if chunk.is_empty() => return,
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "cannot read input");
                return;
            }
        };
        if let Err(error) = write(to.borrow(), &chunk).await {
            // The process closed its input or is gone.
            tracing::debug!(%error, "input ends");
            return;
        }
    }
}

/// The next bytes; empty at the end. A terminal without processes reads as an end too.
async fn read(from: &AsyncFd<OwnedFd>) -> io::Result<Vec<u8>> {
    loop {
        let mut ready = from.readable().await?;
        let mut buffer = vec![0; CHUNK];
        match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?)) {
            Ok(Ok(length)) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Ok(Err(error)) => match Errno::from_io_error(&error) {
                Some(Errno::IO) => return Ok(Vec::new()),
                Some(Errno::INTR) => {}
                _ => return Err(error),
            },
            Err(_would_block) => {}
        }
    }
}

async fn write(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = to.writable().await?;
        match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
            Ok(Ok(length)) => bytes = &bytes[length..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

async fn wait_until_read(fifo: &AsyncFd<OwnedFd>) {
    let mut pause = Duration::from_micros(500);
    while rustix::io::ioctl_fionread(fifo.get_ref()).is_ok_and(|unread| unread > 0) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
