//! How much may be told: a bucket of tokens for the node, and each thing once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Told things are remembered up to this many; then all are forgotten, and the API server knows the names of the Events.
const REMEMBERED: usize = 4096;

/// A bucket of tokens that fills with time.
#[derive(Debug)]
pub struct Bucket {
    tokens: u32,
    most: u32,
    refill: Duration,
    filled: Instant,
}

impl Bucket {
    /// At most `most` at once, and one more each `refill`.
    pub const fn new(most: u32, refill: Duration, now: Instant) -> Self {
        Self { tokens: most, most, refill, filled: now }
    }

    /// Takes a token, if there is one.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        let periods = now.saturating_duration_since(self.filled).as_nanos() / self.refill.as_nanos().max(1);
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        if periods > 0 {
            self.tokens = self.tokens.saturating_add(periods).min(self.most);
            self.filled = if self.tokens == self.most { now } else { self.filled + self.refill * periods };
        }
        let some = self.tokens > 0;
        self.tokens -= u32::from(some);
        some
    }
}

/// Each thing once, and not too many.
#[derive(Debug)]
pub struct Budget {
    bucket: Bucket,
    told: HashSet<String>,
    /// How much was not told for want of a token.
    pub suppressed: u64,
}

/// What to do about something that could be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Telling {
    /// Tell it.
    Now,
    /// It was told before.
    Before,
    /// Too much was told; it may be tried again later.
    Later,
}

impl Budget {
    /// At most `most` at once, and one more each `refill`.
    pub fn new(most: u32, refill: Duration, now: Instant) -> Self {
        Self { bucket: Bucket::new(most, refill, now), told: HashSet::new(), suppressed: 0 }
    }

    /// Takes a token for a thing of that name.
    pub fn take(&mut self, name: &str, now: Instant) -> Telling {
        if self.told.contains(name) {
            return Telling::Before;
        }
        if !self.bucket.take(now) {
            self.suppressed += 1;
            return Telling::Later;
        }
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(name.to_owned());
        Telling::Now
    }

    /// It could not be told after all.
    pub fn forget(&mut self, name: &str) {
        self.told.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_and_not_too_many() {
        let start = Instant::now();
        let mut budget = Budget::new(2, Duration::from_secs(10), start);
        assert_eq!(budget.take("a", start), Telling::Now);
        assert_eq!(budget.take("a", start), Telling::Before);
        assert_eq!(budget.take("b", start), Telling::Now);
        assert_eq!(budget.take("c", start), Telling::Later);
        assert_eq!(budget.suppressed, 1);
        let later = start + Duration::from_secs(11);
        assert_eq!(budget.take("c", later), Telling::Now);
        assert_eq!(budget.take("d", later), Telling::Later);
        assert_eq!(budget.take("d", start + Duration::from_secs(20)), Telling::Now);
        budget.forget("d");
        assert_eq!(budget.take("d", start + Duration::from_secs(1000)), Telling::Now);
        for n in 0..10 * REMEMBERED {
            let _ = budget.take(&n.to_string(), start + Duration::from_secs(1000 + 10 * n as u64));
        }
        assert!(budget.told.len() <= REMEMBERED);
    }
}
