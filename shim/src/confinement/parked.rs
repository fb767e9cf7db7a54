//! From a parked launcher to a running workload.

use std::time::Duration;

use tokio::time::Instant;
use zerocap_annotations::ZcError;
use zerocap_annotations::report::Verified as Row;
use zerocap_plan::record::Ready;

use super::{Confined, Start, fence};
use crate::handover::{Death, Identity, Verified};
use crate::reaper::ExitWatch;

/// How long a launcher may take from the engine's start to its park, and from GO to its end.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A launcher that is parked and was found to be as it must.
#[must_use]
pub(crate) struct Cleared {
    start: Start,
    ready: Ready,
    launcher: Identity,
    verified: Verified,
    /// What was seen of the packet fence.
    fence: Option<Row>,
}

impl Start {
    /// Names the pod's pause process, if it lives: namespaces are compared with its own.
    pub(crate) fn beside(&mut self, sandbox: Option<i32>) {
        if let Some(sandbox) = sandbox {
            self.handover.beside(sandbox);
        }
    }

    /// What marks every process of this start, from the engine's first stage to the parked launcher.
    pub(crate) fn marks(&self) -> Vec<u64> {
        self.handover.pipes().map(Vec::from).unwrap_or_default()
    }

    /// Waits until the launcher is parked. Can be waited for beside the engine.
    pub(crate) async fn parked(&mut self, watch: Option<ExitWatch>) -> Result<Ready, ZcError> {
        self.handover.parked(Instant::now() + LIMIT, death(watch)).await
    }
}

impl Confined {
    /// Takes a parked launcher into the packet fence, and asks the kernel about it.
    pub(crate) fn clear(&self, start: Start, ready: Ready, pid: i32) -> Result<Cleared, ZcError> {
        let launcher = self.launcher_identity()?;
        let verified = start.handover.verify(pid, &ready, &start.expect, launcher)?;
        let fence = if start.expect.packet_fence {
            let fence = self.fence.get().ok_or_else(fence::missing)?;
            fence.take_in(pid)?;
            Some(fence.holds(pid)?)
        } else {
            None
        };
        Ok(Cleared { start, ready, launcher, verified, fence })
    }

    /// Lets a cleared launcher go, and waits until it is the workload.
    pub(crate) async fn go(&self, cleared: Cleared, pid: i32, watch: ExitWatch) -> Result<(), ZcError> {
        let Cleared { start, ready, launcher, verified, fence } = cleared;
        let expect = start.expect;
        start.handover.go(pid, &ready, launcher, Instant::now() + LIMIT, death(Some(watch))).await?;
        let mut rows = crate::handover::rows(&verified, &expect);
        rows.extend(fence);
        self.record(rows);
        Ok(())
    }
}

/// How the process ends, for the hand-over; never, if nobody watches it.
async fn death(watch: Option<ExitWatch>) -> Death {
    match watch {
        Some(mut watch) => {
            let exit = watch.wait().await;
            Death { status: exit.status, comm: exit.comm }
        }
        None => std::future::pending().await,
    }
}
