//! Follows what a container's packet fence refuses: one log line for what is distinct, and `refusals.json`.
//!
//! The shim is the one reader of the fence's ring. A workload can refuse itself millions of times a second, so everything here is
//! bounded: how often the ring is looked at, how often the file is written, how many entries there are, how many lines are logged.

use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use zerocap_fence::Reader;
use zerocap_node::refusals::{Clock, Distinct, Refusals};
use zerocap_node::state::{Document, StateDir};

use crate::rest;
use crate::sys::ready::register;

/// Between two looks at the ring. It holds some sixty records, so some three thousand a second can be told; more are only counted.
const LOOK: Duration = Duration::from_millis(20);
/// From the first news to the file, so that a burst is one write.
const SOON: Duration = Duration::from_millis(100);
/// Between two writes of the file.
const WRITES: Duration = Duration::from_millis(500);
/// Lines that may come at once, and how long it takes until one more may.
const LINES: u32 = 20;
const LINE_EVERY: Duration = Duration::from_secs(3);

/// A container that is followed; no longer when the value goes.
pub(super) struct Followed(AbortHandle);

impl Followed {
    /// Must be called from a task.
    pub(super) fn begin(reader: Reader, refusals: Refusals, state: StateDir) -> Self {
        let task = tokio::spawn(async move {
            if let Err(error) = follow(reader, refusals, &state).await {
                tracing::warn!(%error, "what the packet fence refuses cannot be followed; it refuses all the same");
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(mut reader: Reader, mut refusals: Refusals, state: &StateDir) -> std::io::Result<()> {
    let ring = register(reader.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    let mut lines = Lines::new(Instant::now());
    let (mut due, mut written): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let now = Instant::now();
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {
                due = None;
                written = Some(now);
                if let Err(error) = state.write_json(Document::Refusals, &refusals) {
                    tracing::warn!(%error, "cannot write what the packet fence refused");
                }
                rest::worked();
            }
            guard = ring.readable() => {
                let mut guard = guard?;
                let news = reader.take();
                guard.clear_ready();
                let clock = Clock::now();
                for refusal in &news {
                    if refusals.add(refusal, clock.at(refusal.at)).is_some() {
                        tell(&refusals, &mut lines);
                    }
                }
                if !news.is_empty() {
                    let next = written.map_or(now, |written| written + WRITES).max(now + SOON);
                    due.get_or_insert(next);
                }
                sleep(LOOK).await;
            }
        }
    }
}

/// Logs the newest entry, if there may be a line now.
fn tell(refusals: &Refusals, lines: &mut Lines) {
    let Some(Distinct { hook, destination, refused, rule, permit, process, pid, .. }) = refusals.distinct.last() else {
        return;
    };
    let Some(withheld) = lines.next(Instant::now()) else { return };
    let pod = &refusals.pod;
    let permit =
        permit.as_ref().map_or_else(String::new, |permit| format!("zerocap.io/{}: {}", permit.knob, permit.entry));
    tracing::warn!(
        "pod-uid" = pod.uid,
        "pod-namespace" = pod.namespace,
        pod = pod.name,
        container = refusals.container,
        ?hook,
        destination,
        refused,
        rule = rule.words(),
        permit,
        process,
        pid = pid.unwrap_or(0),
        withheld,
        "{}",
        if *refused { "the packet fence refused" } else { "the packet fence would refuse; mode is audit" }
    );
}

/// How many lines may be logged.
struct Lines {
    left: u32,
    filled: Instant,
    withheld: u64,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self { left: LINES, filled: now, withheld: 0 }
    }

    /// Whether a line may be logged now; with how many could not be since the last one.
    fn next(&mut self, now: Instant) -> Option<u64> {
        let more = now.duration_since(self.filled).as_millis() / LINE_EVERY.as_millis();
        let more = u32::try_from(more).unwrap_or(LINES).min(LINES);
        self.left = (self.left + more).min(LINES);
        self.filled = if self.left == LINES { now } else { self.filled + LINE_EVERY * more };
        if self.left == 0 {
            self.withheld += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_a_burst_and_then_at_a_rate() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        let told = (0..1000).filter(|_| lines.next(start).is_some()).count();
        assert_eq!(told, LINES as usize);
        // A minute of a thousand a second.
        let minute = (1..=60_000).map(|ms| lines.next(start + Duration::from_millis(ms)));
        let told: Vec<u64> = minute.flatten().collect();
        assert_eq!(told.len(), 20);
        assert_eq!(told[0], 980 + 2999, "the first line after the burst says how many there were not");
        let later = start + Duration::from_secs(3600);
        assert_eq!(lines.next(later), Some(0));
        assert_eq!((0..100).filter(|_| lines.next(later).is_some()).count(), LINES as usize - 1);
    }
}
