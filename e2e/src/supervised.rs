//! Something that a script of `hack/` keeps running in a folder of its own, and takes down when this process is gone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A script's `run --dir DIR`: up until the pipe to it closes, at the latest when this process ends.
#[derive(Debug)]
pub(crate) struct Supervised {
    script: PathBuf,
    dir: PathBuf,
    supervisor: Child,
}

impl Supervised {
    /// Runs the script in a folder below the temporary directory until `marker` stands there.
    pub(crate) fn start(script: PathBuf, kind: &str, marker: &str, limit: Duration) -> io::Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("zerocap-{kind}-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let mut command = Command::new(&script);
        command.args(["run", "--dir"]).arg(&dir).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut this = Self { script, dir, supervisor: command.spawn()? };
        let deadline = Instant::now() + limit;
        while !this.dir.join(marker).exists() {
            if let Some(status) = this.supervisor.try_wait()? {
                return Err(this.ended(status));
            }
            if Instant::now() > deadline {
                let script = this.script.display();
                return Err(io::Error::other(format!("{script} was not ready after {limit:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(this)
    }

    /// The script with a verb for this folder.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.script);
        command.args([verb, "--dir"]).arg(&self.dir).stdin(Stdio::null());
        command
    }

    /// The folder with its logs.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes it down and waits until nothing of it is left.
    pub(crate) fn down(&mut self) -> io::Result<()> {
        drop(self.supervisor.stdin.take());
        let status = self.supervisor.wait()?;
        if status.success() { fs::remove_dir_all(&self.dir) } else { Err(self.ended(status)) }
    }

    fn ended(&self, status: std::process::ExitStatus) -> io::Error {
        let (script, dir) = (self.script.display(), self.dir.display());
        io::Error::other(format!("{script} ended with {status}; its logs are in {dir}"))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Closing the pipe is what matters; the supervisor does the rest by itself.
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
