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
use crate::aside::aside;

/// Bytes moved at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Longest pause between looks at an undrained FIFO.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// Copies a process's output until its end, and keeps it for a late reader until the process is `deleted`.
pub(super) async fn output<S: Borrow<AsyncFd<OwnedFd>>>(from: S, sink: Sink, mut deleted: watch::Receiver<bool>) {
    loop {
        let chunk = match read(from.borrow()).await {
            Ok(chunk) if chunk.is_empty() => break,
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "cannot read a process's output");
                break;
            }
        };
        let written = match &sink {
            Sink::Fifo(fifo) => write(fifo, &chunk).await,
            Sink::File(file) => {
                let file = file.clone();
                aside(move || (&*file).write_all(&chunk)).await
            }
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use rustix::fs::OFlags;
    use tokio::io::Interest;

    use super::*;
    use crate::stdio::nonblocking;

    /// A pipe stands for a disk that takes nothing for a while.
    #[tokio::test(flavor = "current_thread")]
    async fn others_go_on_while_a_disk_takes_nothing() {
        let (disk, disk_in) = rustix::pipe::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&disk_in).unwrap();
        rustix::fs::fcntl_setfl(&disk_in, flags | OFlags::NONBLOCK).unwrap();
        while rustix::io::write(&disk_in, &[0; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&disk_in, flags).unwrap();
        let went_on = Arc::new(AtomicBool::new(false));
        // Where the copy holds everybody up, this frees it after a while.
        let freed = std::thread::spawn({
            let went_on = went_on.clone();
            move || {
                let limit = Instant::now() + Duration::from_secs(10);
                while !went_on.load(Ordering::Relaxed) && Instant::now() < limit {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let in_time = went_on.load(Ordering::Relaxed);
                io::read_to_string(File::from(disk)).map(|all| (in_time, all))
            }
        });

        let (program, program_out) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&program_out, b"the end").unwrap();
        drop(program_out);
        let program = nonblocking(program, Interest::READABLE).unwrap();
        let (_tell, deleted) = watch::channel(false);
        let other = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            went_on.store(true, Ordering::Relaxed);
        };
        tokio::join!(output(program, Sink::File(Arc::new(File::from(disk_in))), deleted), other);
        let (in_time, all) = freed.join().unwrap().unwrap();
        assert!(in_time, "the copy held everybody up");
        assert!(all.ends_with("the end"), "lost");
    }
}
