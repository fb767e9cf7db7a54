//! Out-of-memory kills of a container, as they happen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Cgroup;
use super::files::Keyed;
use crate::sys::ready;

/// Watches one container's memory cgroup.
pub struct OomWatch {
    fd: AsyncFd<OwnedFd>,
    source: Source,
}

enum Source {
    /// An eventfd that the memory controller counts up.
    V1 {
        /// Gone together with the group, whose removal is reported like an event.
        control: PathBuf,
    },
    /// An inotify instance on `memory.events`.
    V2 {
        events: PathBuf,
        /// Kills that are known already.
        kills: u64,
    },
}

impl OomWatch {
    /// Begins to watch; `None` without a memory cgroup of its own.
    ///
    /// # Errors
    /// When the kernel does not let us watch.
    pub fn new(cgroup: &Cgroup) -> io::Result<Option<Self>> {
        match cgroup.memory() {
            Some((group, true)) => Self::v2(group).map(Some),
            Some((group, false)) => Self::v1(group).map(Some),
            None => Ok(None),
        }
    }

    fn v1(group: &Path) -> io::Result<Self> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = group.join("memory.oom_control");
        let opened = File::open(&control)?;
        // The registration keeps what it needs: `opened` may be closed afterwards.
        let line = format!("{} {}", counter.as_raw_fd(), opened.as_raw_fd());
        OpenOptions::new().write(true).open(group.join("cgroup.event_control"))?.write_all(line.as_bytes())?;
        Ok(Self { fd: ready::register(counter, Interest::READABLE)?, source: Source::V1 { control } })
    }

    fn v2(group: &Path) -> io::Result<Self> {
        let events = group.join("memory.events");
        let watcher = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watcher, &events, inotify::WatchFlags::MODIFY)?;
        let kills = kills(&events);
        Ok(Self { fd: ready::register(watcher, Interest::READABLE)?, source: Source::V2 { events, kills } })
    }

    /// Waits for the next kill. Can be cancelled and repeated.
    pub async fn killed(&mut self) {
        loop {
            match self.fd.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                // Nothing more will be heard.
                Err(_) => std::future::pending().await,
            }
            if self.killed_now() {
                return;
            }
        }
    }

    /// Whether there were kills since it was last asked.
    pub fn killed_now(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 512];
        let mut events = 0;
        while rustix::io::read(self.fd.get_ref(), &mut buffer).is_ok_and(|(read, _)| !read.is_empty()) {
            events += 1;
        }
        match &mut self.source {
            Source::V1 { control } => events > 0 && fs::metadata(control).is_ok(),
            Source::V2 { events, kills: known } => {
                let now = kills(events);
                let more = now > *known;
                *known = now.max(*known);
                more
            }
        }
    }
}

fn kills(events: &Path) -> u64 {
    Keyed::read(events).get("oom_kill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_a_growing_count_of_kills_is_reported() {
        let group = tempfile::tempdir().unwrap();
        let events = group.path().join("memory.events");
        fs::write(&events, "oom 0\noom_kill 1\n").unwrap();
        let mut watch = OomWatch::v2(group.path()).unwrap();
        assert!(!watch.killed_now(), "kills from before the watch are not ours");
        fs::write(&events, "oom 1\noom_kill 1\n").unwrap();
        assert!(!watch.killed_now(), "an OOM without a kill");
        fs::write(&events, "oom 1\noom_kill 2\n").unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(5), watch.killed()).await.unwrap();
        assert!(!watch.killed_now(), "each kill is reported once");
    }
}
