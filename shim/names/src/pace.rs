//! How fast the responder answers: the workload's questions take the shim's time, which no limit of the pod counts.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::core::lock;

/// A bucket of answers.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What one answer takes of the bucket, as time.
    each: Duration,
    /// How long it takes to fill the bucket.
    most: Duration,
    /// When the bucket would be full.
    full: Mutex<Instant>,
}

impl Pace {
    /// So many answers at once, and so many per second after that.
    pub(crate) fn new((most, per_second): (u32, u32)) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, most: each * most, full: Mutex::new(Instant::now()) }
    }

    /// Waits until one more answer may be given.
    pub(crate) async fn turn(&self) {
        if let Some(until) = self.take(Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Takes an answer; when it may be given, if not at once.
    fn take(&self, now: Instant) -> Option<Instant> {
        let mut full = lock(&self.full);
        *full = (*full).max(now) + self.each;
        full.checked_sub(self.most).filter(|time| *time > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_answers_than_stated() {
        let pace = Pace::new((100, 1000));
        let start = Instant::now();
        let wait = |_| pace.take(start).map_or(0, |time| (time - start).as_millis());
        let waits: Vec<u128> = (0..1100).map(wait).collect();
        assert!(waits[..100].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!((waits[100], waits[1099]), (1, 1000));
        // What was waited for fills the bucket again, and no more than that.
        let later = start + Duration::from_secs(10);
        let free = (0..1000).filter(|_| pace.take(later).is_none()).count();
        assert_eq!(free, 100);
    }
}
