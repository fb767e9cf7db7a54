//! The one place that reaps children.
//!
//! The shim is a subreaper: engines, container inits and exec'd processes all end up as its
//! children. On SIGCHLD every dead child is looked at while it is still a zombie (its `comm` tells
//! whether it still was the launcher), reaped, and handed to whoever registered its pid. A pid that
//! nobody knows yet is remembered while an engine call is in flight, since a container's first
//! process may die before its pid file is read.
//!
//! A pid that was claimed and is not reported dead is a child we have not reaped: the kernel cannot
//! have given the number to another process, so a signal sent to it cannot hit a stranger.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::sys::{limits, wait};

/// How many exits of unknown pids are remembered at most.
const MAX_UNCLAIMED: usize = 1024;

const SIGKILL: u32 = 9;
/// The status of a process whose end nobody has seen.
pub const UNKNOWN_STATUS: u32 = 255;

/// The end of one child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The process id it had.
    pub pid: i32,
    /// Exit status, or 128 plus the signal.
    pub status: u32,
    /// Its `comm` as a zombie: what the process was last, without a newline. Empty if unreadable.
    pub comm: Vec<u8>,
    /// When it was reaped.
    pub at: SystemTime,
}

/// A handle that learns of one child's end. Clones see the same end.
#[derive(Clone, Debug)]
pub struct ExitWatch {
    receiver: watch::Receiver<Option<Exit>>,
}

impl ExitWatch {
    /// The exit, if it has happened already.
    #[must_use]
    pub fn now(&self) -> Option<Exit> {
        self.receiver.borrow().clone()
    }

    /// Waits for the exit. Can be cancelled and repeated.
    pub async fn wait(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.now() {
                return exit;
            }
            if self.receiver.changed().await.is_err() {
                // The reaper is gone, which happens only when the process ends.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[derive(Default)]
struct Table {
    waiting: HashMap<i32, watch::Sender<Option<Exit>>>,
    unclaimed: VecDeque<Exit>,
    holds: usize,
}

/// Reaps children and tells who waits for them.
#[derive(Clone, Default)]
pub struct Reaper {
    table: Arc<Mutex<Table>>,
}

/// While one of these lives, exits of unknown pids are remembered.
pub struct Hold {
    reaper: Reaper,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.reaper.lock();
        table.holds -= 1;
        if table.holds == 0 {
            table.unclaimed.clear();
        }
    }
}

impl Reaper {
    /// A reaper that knows no children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts reaping on SIGCHLD in a background task of the current runtime.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    pub fn run(&self) -> io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        let reaper = self.clone();
        tokio::spawn(async move {
            loop {
                reaper.reap_all();
                if children.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Remembers exits of unknown pids until the returned value is dropped.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.lock().holds += 1;
        Hold { reaper: self.clone() }
    }

    /// Starts `command` with the limits that we were started with, and registers the child before it can be reaped.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<(Child, ExitWatch)> {
        limits::descriptors_as_before_in(command);
        // Nothing reaps between these lines: reaping happens in a task of this same thread.
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let watch = self.claim(pid);
        Ok((child, watch))
    }

    /// Registers `pid`; an exit that was seen already is delivered at once.
    #[must_use]
    pub fn claim(&self, pid: i32) -> ExitWatch {
        let mut table = self.lock();
        let early = table.unclaimed.iter().position(|exit| exit.pid == pid).and_then(|at| table.unclaimed.remove(at));
        let (sender, receiver) = watch::channel(early.clone());
        if early.is_none() {
            table.waiting.insert(pid, sender);
        }
        ExitWatch { receiver }
    }

    /// Registers the process `pid`, of which an engine that has ended says that it made it.
    ///
    /// Such a process is a child of ours by then. One that is not was reaped by its engine, and nobody will ever tell
    /// how it ended: that counts as an end with status [`UNKNOWN_STATUS`], or whoever waits for it would wait for ever.
    #[must_use]
    pub fn adopt(&self, pid: i32) -> ExitWatch {
        let watch = self.claim(pid);
        if watch.now().is_none() && !is_our_child(pid) {
            tracing::warn!(pid, "a process was reaped by the engine that made it");
            self.deliver(Exit { pid, status: UNKNOWN_STATUS, comm: Vec::new(), at: SystemTime::now() });
        }
        watch
    }

    /// Reaps every child that is dead now.
    pub fn reap_all(&self) {
        loop {
            match wait::dead_child() {
                Ok(Some(pid)) => self.reap_one(pid),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "cannot look for dead children");
                    return;
                }
            }
        }
    }

    fn reap_one(&self, pid: i32) {
        let comm = zombie_comm(pid);
        let status = match wait::reap(pid) {
            Ok(Some(status)) => status,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, pid, "cannot reap a dead child");
                return;
            }
        };
        self.deliver(Exit { pid, status, comm, at: SystemTime::now() });
    }

    fn deliver(&self, exit: Exit) {
        let mut table = self.lock();
        if let Some(sender) = table.waiting.remove(&exit.pid) {
            sender.send_replace(Some(exit));
            return;
        }
        if table.holds == 0 {
            return;
        }
        if table.unclaimed.len() == MAX_UNCLAIMED {
            table.unclaimed.pop_front();
        }
        table.unclaimed.push_back(exit);
    }
}

/// Kills the children of this process that have a pipe with one of these inodes open: what is left of a start whose
/// engine was cut off before it could tell a pid. A stopped process dies too.
pub fn kill_marked(marks: &[u64]) {
    if marks.is_empty() {
        return;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(|pid| is_our_child(*pid) && has_open(*pid, marks)) {
        tracing::warn!(pid, "a stage of an engine that was cut off is killed");
        // Nothing reaps between the look and the signal: reaping happens in a task of this same thread.
        let _ = crate::sys::signal::send(pid, SIGKILL);
    }
}

fn has_open(pid: i32, inodes: &[u64]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| fs::metadata(entry.path()).ok()).any(|file| inodes.contains(&file.ino()))
}

/// Whether `pid` is a child of this process, dead or alive.
fn is_our_child(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.is_some_and(|parent| parent.trim() == std::process::id().to_string())
}

fn zombie_comm(pid: i32) -> Vec<u8> {
    let mut comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    comm
}

/// A reaper reaps every child of the process: tests with real children take turns.
#[cfg(test)]
pub(crate) static CHILDREN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(pid: i32, status: u32) -> Exit {
        Exit { pid, status, comm: b"x".to_vec(), at: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn an_exit_before_the_claim_is_replayed_while_held() {
        let reaper = Reaper::new();
        let hold = reaper.hold();
        reaper.deliver(exit(7, 3));
        assert_eq!(reaper.claim(7).now(), Some(exit(7, 3)));
        assert_eq!(reaper.claim(7).now(), None, "an exit is delivered once");
        drop(hold);
    }

    #[test]
    fn without_a_hold_unknown_exits_are_forgotten() {
        let reaper = Reaper::new();
        reaper.deliver(exit(7, 3));
        assert_eq!(reaper.claim(7).now(), None);
        let hold = reaper.hold();
        let second = reaper.hold();
        reaper.deliver(exit(8, 0));
        drop(hold);
        assert!(reaper.lock().unclaimed.len() == 1, "another hold lives");
        drop(second);
        assert!(reaper.lock().unclaimed.is_empty());
    }

    #[test]
    fn remembered_exits_are_bounded_and_the_oldest_goes_first() {
        let reaper = Reaper::new();
        let _hold = reaper.hold();
        for pid in 0..=i32::try_from(MAX_UNCLAIMED).unwrap() {
            reaper.deliver(exit(pid, 0));
        }
        assert_eq!(reaper.lock().unclaimed.len(), MAX_UNCLAIMED);
        assert_eq!(reaper.claim(0).now(), None);
        assert!(reaper.claim(1).now().is_some());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_process_that_is_no_child_counts_as_ended_and_a_child_does_not() {
        let _turn = CHILDREN.lock().await;
        let reaper = Reaper::new();
        reaper.run().unwrap();
        let stranger = reaper.adopt(1);
        assert_eq!(stranger.now().map(|exit| exit.status), Some(UNKNOWN_STATUS));
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut watch = reaper.adopt(i32::try_from(child.id()).unwrap());
        assert_eq!(watch.now(), None);
        child.kill().unwrap();
        assert_eq!(watch.wait().await.status, 137);
        assert!(child.wait().is_err(), "the reaper has it already");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_children_with_the_mark_are_killed_stopped_ones_too() {
        let _turn = CHILDREN.lock().await;
        let reaper = Reaper::new();
        reaper.run().unwrap();
        let (marked_end, _keep) = std::io::pipe().unwrap();
        let inode =
            fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&marked_end))).unwrap().ino();
        let mut sleep = Command::new("sleep");
        let (other, mut unmarked) = reaper.spawn(sleep.arg("1000")).unwrap();
        let (child, mut marked) = reaper.spawn(sleep.stdin(marked_end)).unwrap();
        crate::sys::signal::send(i32::try_from(child.id()).unwrap(), 19).unwrap();
        kill_marked(&[inode]);
        assert_eq!(marked.wait().await.status, 137);
        assert_eq!(unmarked.now(), None);
        crate::sys::signal::send(i32::try_from(other.id()).unwrap(), 9).unwrap();
        unmarked.wait().await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn real_children_report_status_signal_and_last_name() {
        let _turn = CHILDREN.lock().await;
        let reaper = Reaper::new();
        reaper.run().unwrap();
        let (_child, mut exited) = reaper.spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        let (_child, mut killed) = reaper.spawn(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap();
        let (_child, mut renamed) = reaper.spawn(Command::new("sh").args(["-c", "exec true"])).unwrap();
        assert_eq!(exited.wait().await.status, 7);
        assert_eq!(killed.wait().await.status, 137);
        let exit = renamed.wait().await;
        assert_eq!((exit.status, exit.comm.as_slice()), (0, b"true".as_slice()));
        assert_eq!(renamed.now(), Some(exit), "clones and repeats agree");
    }
}
