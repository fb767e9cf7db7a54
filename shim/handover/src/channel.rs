//! The three descriptors of a hand-over and their other ends.

use std::io;
use std::os::fd::OwnedFd;

use command_fds::FdMapping;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::{Errno, write};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;
use zerocap_plan::record::{RECORD_LEN, Record};
use zerocap_plan::{GO, GO_FD, HANDED_OVER, PLAN_FD, RECORD_FD};

/// What the engine hands to the launcher. Drop it as soon as the engine is spawned: a copy that stays open hides the
/// launcher's end.
#[derive(Debug)]
pub struct ChildFds {
    plan: OwnedFd,
    record: OwnedFd,
    go: OwnedFd,
}

impl ChildFds {
    /// How many descriptors the engine must be told to preserve: exactly these, or it hands on some of its own.
    pub const COUNT: u32 = HANDED_OVER;

    /// The descriptors under the numbers that the launcher knows, for [`command_fds::CommandFdExt::fd_mappings`].
    #[must_use]
    pub fn into_mappings(self) -> Vec<FdMapping> {
        vec![
            FdMapping { parent_fd: self.plan, child_fd: PLAN_FD },
            FdMapping { parent_fd: self.record, child_fd: RECORD_FD },
            FdMapping { parent_fd: self.go, child_fd: GO_FD },
        ]
    }
}

/// The shim's ends.
#[derive(Debug)]
pub(super) struct Channel {
    records: Receiver,
    go: OwnedFd,
}

impl Channel {
    /// Seals the plan into memory and makes a pipe for each direction, all close-on-exec.
    pub(super) fn new(plan: &[u8]) -> io::Result<(Self, ChildFds)> {
        let plan = sealed(plan)?;
        let (records, record) = pipe_with(PipeFlags::CLOEXEC)?;
        let (go, say_go) = pipe_with(PipeFlags::CLOEXEC)?;
        let records = Receiver::from_owned_fd(records)?;
        Ok((Self { records, go: say_go }, ChildFds { plan, record, go }))
    }

    /// The next record, `None` at the end of the channel. Safe to drop and to call again: a record is one write.
    pub(super) async fn record(&mut self) -> io::Result<Option<Record>> {
        loop {
            self.records.readable().await?;
            match self.next() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }

    /// A record that has arrived already.
    pub(super) fn record_at_hand(&mut self) -> Option<Record> {
        // The runtime may not have noticed yet that there is something to read.
        let mut bytes = [0; RECORD_LEN];
        let length = rustix::io::read(&self.records, &mut bytes).ok()?;
        (length == RECORD_LEN).then(|| Record::decode(&bytes)).flatten()
    }

    /// Says GO. A launcher that is gone answers EPIPE (the shim ignores SIGPIPE, as every Rust program does).
    pub(super) fn go(&self) -> io::Result<()> {
        match write(&self.go, &[GO])? {
            1 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// The inodes of both pipes: the launcher's ends have the same.
    pub(super) fn inodes(&self) -> io::Result<[u64; 2]> {
        Ok([fstat(&self.records)?.st_ino, fstat(&self.go)?.st_ino])
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        let mut bytes = [0; RECORD_LEN];
        match self.records.try_read(&mut bytes)? {
            0 => Ok(None),
            RECORD_LEN => Record::decode(&bytes).map(Some).ok_or_else(|| malformed("not a record of this version")),
            length => Err(malformed(&format!("{length} bytes where a record has {RECORD_LEN}"))),
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Memory that nobody can change any more, not even this process.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create("zerocap-plan", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => memfd_create("zerocap-plan", flags)?,
        made => made?,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = write(&memory, rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    fcntl_add_seals(&memory, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::FdFlags;
    use zerocap_plan::record::{Failure, Step};

    #[tokio::test]
    async fn the_plan_cannot_be_changed_and_nothing_leaks_into_other_children() {
        let (channel, child) = Channel::new(b"plan").unwrap();
        assert_eq!(write(&child.plan, b"x"), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&child.plan, 0), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&child.plan, SealFlags::FUTURE_WRITE), Err(Errno::PERM));
        for fd in [&child.plan, &child.record, &child.go, &channel.go] {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC));
        }
        assert!(rustix::io::fcntl_getfd(&channel.records).unwrap().contains(FdFlags::CLOEXEC));
        let numbers: Vec<i32> = child.into_mappings().iter().map(|mapping| mapping.child_fd).collect();
        assert_eq!(numbers, [3, 4, 5]);
    }

    #[tokio::test]
    async fn records_arrive_one_by_one_and_then_the_end() {
        let (mut channel, child) = Channel::new(b"plan").unwrap();
        let record = Record::Error(Failure { step: Step::Plan, errno: 1, detail: 2 });
        write(&child.record, &record.encode()).unwrap();
        write(&child.record, &record.encode()).unwrap();
        assert_eq!(channel.record().await.unwrap(), Some(record));
        assert_eq!(channel.record_at_hand(), Some(record));
        assert_eq!(channel.record_at_hand(), None);
        drop(child);
        assert_eq!(channel.record().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_record_is_an_error() {
        let (mut channel, child) = Channel::new(b"plan").unwrap();
        write(&child.record, b"hello").unwrap();
        assert_eq!(channel.record().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        write(&child.record, &[0xff; RECORD_LEN]).unwrap();
        assert_eq!(channel.record().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn go_to_a_launcher_that_is_gone_is_an_error() {
        let (channel, child) = Channel::new(b"plan").unwrap();
        channel.go().unwrap();
        drop(child);
        assert_eq!(channel.go().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
