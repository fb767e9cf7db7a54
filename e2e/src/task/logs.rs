//! The FIFOs that containerd keeps in bundles for the shim's log: read and thrown away for as long as the run lasts.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// The FIFOs of a run, each with a thread that reads.
#[derive(Default)]
pub(super) struct Logs {
    fifos: Vec<File>,
    ended: Arc<AtomicBool>,
}

impl Logs {
    /// Makes one, if it is not there.
    pub(super) fn make(&mut self, path: &Path) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o700), 0)?;
        // Read and write: it never ends, as containerd's own end does not.
        let mut log = File::options().read(true).write(true).open(path)?;
        self.fifos.push(log.try_clone()?);
        let ended = self.ended.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while log.read(&mut buffer).is_ok_and(|length| length > 0) && !ended.load(Ordering::Acquire) {}
        });
        Ok(())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        for fifo in &mut self.fifos {
            // The reader looks up.
            let _ = fifo.write(b"\n");
        }
    }
}
