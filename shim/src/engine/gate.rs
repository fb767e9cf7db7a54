//! The gate in front of a created container's program, opened without running the engine.
//!
//! runc and crun hold a created container at a FIFO in their state directory. `start` does little more than opening
//! it, and costs more than all the rest of a start. What is found there decides: where anything looks different from
//! what those engines make, the engine is run.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use tokio::io::Interest;

use super::{Engine, Kind};
use crate::reaper::ExitWatch;
use crate::sys::ready;

/// Name of the FIFO.
const FIFO: &str = "exec.fifo";
/// How long the container's init may take to come through.
const LIMIT: Duration = Duration::from_secs(5);

impl Engine {
    /// Lets the created container `id` go on. False if the engine has to do it.
    ///
    /// Not for containers with hooks that the engine runs at start.
    pub async fn open_gate(&self, id: &str, watch: ExitWatch) -> bool {
        let fifo = self.root.join(id).join(FIFO);
        let opened = match self.kind {
            Kind::Runc => read_gate(&fifo, watch).await,
            Kind::Crun => write_gate(&fifo),
            Kind::Youki | Kind::Embedded => return false,
        };
        if let Err(error) = opened {
            tracing::debug!(%error, id, "the engine starts the container");
            return false;
        }
        // Until it is gone, the engine says "created".
        rustix::fs::unlink(&fifo).is_ok()
    }
}

/// runc's init writes a byte as soon as somebody reads.
async fn read_gate(fifo: &Path, mut watch: ExitWatch) -> io::Result<()> {
    let fifo = ready::register(open(fifo, OFlags::RDONLY)?, Interest::READABLE)?;
    let mut byte = [0];
    loop {
        let mut readable = tokio::select! {
            readable = fifo.readable() => readable?,
            _ = watch.wait() => return Err(io::Error::other("the container's init is gone")),
            () = tokio::time::sleep(LIMIT) => return Err(io::ErrorKind::TimedOut.into()),
        };
        match readable.try_io(|fd| Ok(rustix::io::read(fd, &mut byte)?)) {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(result) => return result.map(drop),
            Err(_would_block) => {}
        }
    }
}

/// crun's init reads a byte; it has the FIFO open already.
fn write_gate(fifo: &Path) -> io::Result<()> {
    let fifo = open(fifo, OFlags::WRONLY)?;
    rustix::io::write(&fifo, &[0])?;
    Ok(())
}

fn open(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if kind != FileType::Fifo {
        return Err(io::Error::other("the gate is no FIFO"));
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reaper::Reaper;
    use std::fs::File;
    use std::io::{Read, Write};

    fn fifo() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FIFO);
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        (directory, path)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_writer_that_waits_for_a_reader_comes_through() {
        let (_directory, path) = fifo();
        let other = path.clone();
        let init = std::thread::spawn(move || File::options().write(true).open(other)?.write(b"0"));
        read_gate(&path, Reaper::new().claim(1)).await.unwrap();
        assert_eq!(init.join().unwrap().unwrap(), 1);
    }

    #[test]
    fn a_reader_that_waits_for_a_byte_comes_through() {
        let (_directory, path) = fifo();
        assert!(write_gate(&path).is_err(), "nobody reads");
        let mut init = File::options().read(true).write(true).open(&path).unwrap();
        write_gate(&path).unwrap();
        let mut byte = [7];
        init.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [0]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_no_fifo_is_left_to_the_engine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FIFO);
        assert!(read_gate(&path, Reaper::new().claim(1)).await.is_err());
        std::fs::write(&path, "").unwrap();
        assert!(read_gate(&path, Reaper::new().claim(1)).await.is_err());
        assert!(write_gate(&path).is_err());
    }
}
