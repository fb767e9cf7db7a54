//! The hand-over with the launcher: a sealed plan goes in, a record comes out, the kernel is asked whether it is true, GO.
//!
//! Per process that starts, in this order:
//!
//! 1. [`Handover::new`] before the engine is called; the engine gets the [`ChildFds`] and `--preserve-fds 3`.
//! 2. [`Handover::parked`] while the engine runs: the launcher has applied the plan and waits. Not in series with the engine:
//!    it may still be at work, or have failed, or never end.
//! 3. [`Handover::verify`]: what the kernel shows of the parked process.
//! 4. [`Handover::go`]: the workload runs, or one sentence says why not.
//!
//! Everything that arrives from inside the container is treated as its enemy's. Every wait has a deadline and can be
//! dropped; dropping a [`Handover`] makes a parked launcher end without running anything.

mod channel;
mod failure;
mod kernel;
mod place;
mod rows;
mod verify;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zerocap_annotations::ZcError;
use zerocap_plan::LaunchPlan;
use zerocap_plan::record::{Ready, Record};

use channel::Channel;
pub use channel::ChildFds;
use failure::Workload;
pub use place::{free_mount_point, in_place};
pub use rows::rows;
pub use verify::{Identity, Sight, Verified};
use verify::{Results, Surroundings};

/// How a process ended, as the reaper saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Exit status, or 128 plus the signal.
    pub status: u32,
    /// The zombie's `comm`: the launcher's random name if it never became the workload.
    pub comm: Vec<u8>,
}

/// The workload was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// It ended before it could be looked at; the reaper knows how.
    pub ended: bool,
}

/// One start under way.
#[derive(Debug)]
pub struct Handover {
    channel: Channel,
    workload: Workload,
    planned: Results,
    sandbox: Option<i32>,
    sight: Sight,
}

impl Handover {
    /// Makes the descriptors for the start of `program` (the workload's own first argument) under `plan`.
    ///
    /// # Errors
    /// The plan is over its bounds, or the node is short of descriptors or memory.
    pub fn new(plan: &LaunchPlan, program: &str) -> Result<(Self, ChildFds), ZcError> {
        let bytes = plan.encode().map_err(failure::plan)?;
        let (channel, child) = Channel::new(&bytes).map_err(failure::channel)?;
        let paths = plan.landlock.iter().flat_map(|landlock| &landlock.paths);
        let workload = Workload { program: program.to_owned(), paths: paths.map(|rule| rule.path.clone()).collect() };
        let planned = Results {
            filters: plan.filters.len(),
            landlock: plan.landlock.is_some(),
            paths: workload.paths.len(),
            connect: plan.forbidden_connect.is_some(),
        };
        Ok((Self { channel, workload, planned, sandbox: None, sight: Sight::Full }, child))
    }

    /// Names a process of the pod's sandbox: namespaces that must be the container's own must not be this process's either.
    pub fn beside(&mut self, sandbox: i32) {
        self.sandbox = Some(sandbox);
    }

    /// Says how much of the parked process can be looked at.
    pub fn with_sight(mut self, sight: Sight) -> Self {
        self.sight = sight;
        self
    }

    /// The inodes of the hand-over's pipes: whatever process has one of them open belongs to this start.
    ///
    /// # Errors
    /// The pipes cannot be looked at.
    pub fn pipes(&self) -> std::io::Result<[u64; 2]> {
        self.channel.inodes()
    }

    /// Waits until the launcher is parked.
    ///
    /// `died` resolves when the started process ends, if it is known by then; a launcher that ends is noticed without it too,
    /// as long as no engine keeps the channel open.
    ///
    /// # Errors
    /// A step of the launcher failed, it ended, it sent something else, or the deadline passed.
    pub async fn parked(&mut self, deadline: Instant, died: impl Future<Output = Death>) -> Result<Ready, ZcError> {
        let mut died = std::pin::pin!(died);
        let record = tokio::select! {
            biased;
            record = timeout_at(deadline, self.channel.record()) => record.map_err(|_| failure::not_ready())?,
            // What it had to say may still be in the channel.
            death = &mut died => match self.channel.record_at_hand() {
                Some(record) => Ok(Some(record)),
                None => return Err(failure::ended_before_ready(Some(&death))),
            },
        };
        match record.map_err(failure::record)? {
            Some(Record::Ready(ready)) => self.planned.agree(&ready).map(|()| ready),
            Some(Record::Error(error)) => Err(self.workload.refusal(&error)),
            None => {
                // The end is near: its status makes the better message.
                let grace = deadline.min(Instant::now() + GRACE);
                let death = timeout_at(grace, died).await.ok();
                Err(failure::ended_before_ready(death.as_ref()))
            }
        }
    }

    /// Asks the kernel about the parked process.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn verify(
        &self,
        pid: i32,
        ready: &Ready,
        expect: &zerocap_annotations::Expect,
        launcher: Identity,
    ) -> Result<Verified, ZcError> {
        verify::parked(
            pid,
            ready,
            expect,
            launcher,
            &Surroundings { pipes: self.channel.inodes(), sandbox: self.sandbox, sight: self.sight },
        )
    }

    /// Lets the parked launcher execute the workload and waits until it did.
    ///
    /// # Errors
    /// The program cannot be executed, or the process ended or hangs before it became the workload.
    pub async fn go(
        mut self,
        pid: i32,
        ready: &Ready,
        launcher: Identity,
        deadline: Instant,
        died: impl Future<Output = Death>,
    ) -> Result<Started, ZcError> {
        let mut died = std::pin::pin!(died);
        if let Err(error) = self.channel.go() {
            let death = timeout_at(deadline.min(Instant::now() + GRACE), died).await.ok();
            return Err(failure::go(&error, death.as_ref()));
        }
        let end = tokio::select! {
            biased;
            end = timeout_at(deadline, self.channel.record()) => end.map_err(|_| failure::stuck())?,
            death = &mut died => return match self.channel.record_at_hand() {
                Some(Record::Error(error)) => Err(self.workload.refusal(&error)),
                _ => judge_death(&death, ready),
            },
        };
        match end.map_err(failure::record)? {
            Some(Record::Error(error)) => Err(self.workload.refusal(&error)),
            Some(Record::Ready(_)) => Err(failure::twice_ready()),
            None => match self.became(pid, ready, launcher, deadline).await {
                true => Ok(Started { ended: false }),
                // A dead process has no executable: its name tells.
                false => match timeout_at(deadline, died).await {
                    Ok(death) => judge_death(&death, ready),
                    Err(_) => Err(failure::stuck()),
                },
            },
        }
    }
}

impl Handover {
    /// Whether the living process is no longer the launcher. A name is the weaker sign: the process itself chooses it, but
    /// the launcher never takes another.
    async fn became(&self, pid: i32, ready: &Ready, launcher: Identity, deadline: Instant) -> bool {
        if self.sight == Sight::Full {
            return kernel::executable(pid).is_ok_and(|executable| executable != launcher);
        }
        // execve closes descriptors a moment before it changes the name.
        while Instant::now() < deadline && kernel::is_dead(pid).is_ok_and(|dead| !dead) {
            if kernel::name(pid).is_ok_and(|name| name != ready.comm.as_bytes()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }
}

/// How long a message waits for the exit status that belongs into it.
const GRACE: Duration = Duration::from_millis(200);

/// A kill between GO and execve looks like success on the channel; the zombie's name does not.
fn judge_death(death: &Death, ready: &Ready) -> Result<Started, ZcError> {
    if death.comm.is_empty() || death.comm == ready.comm.as_bytes() {
        return Err(failure::ended_after_go(death));
    }
    Ok(Started { ended: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocap_annotations::code::handover as code;
    use zerocap_plan::record::{Comm, Connect, Skipped};

    fn death(comm: &[u8]) -> Death {
        Death { status: 137, comm: comm.to_vec() }
    }

    #[test]
    fn a_zombie_that_still_has_the_launchers_name_never_ran() {
        let comm = Comm::random(7);
        let ready = Ready {
            comm,
            landlock: false,
            connect: Connect::NotTried,
            filters: 0,
            paths: 0,
            skipped: Skipped::default(),
        };
        assert_eq!(judge_death(&death(b"true"), &ready), Ok(Started { ended: true }));
        let error = judge_death(&death(comm.as_bytes()), &ready).unwrap_err();
        assert_eq!(error.code, code::DIED_AFTER_GO);
        // A name that could not be read proves nothing.
        assert!(judge_death(&death(b""), &ready).is_err());
    }
}
