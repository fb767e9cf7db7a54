//! Names below a wildcard are the workload's own words: how many of them may leave.

use crate::gate::BootTime;

/// Most labels and most bytes before the domain.
const MAX_LABELS: usize = 5;
const MAX_PREFIX: usize = 80;
/// A byte of a name is one of 39: less than six bits.
const BITS_PER_BYTE: u32 = 6;
/// Asking again for a name that is remembered says which of them, and for which family.
const BITS_AGAIN: u32 = 16;

/// A bucket of bits.
#[derive(Debug)]
pub(crate) struct Budget {
    most: f64,
    per_nanosecond: f64,
    left: f64,
    at: BootTime,
}

impl Budget {
    pub(crate) fn new((most, per_minute): (u32, u32), now: BootTime) -> Self {
        Self { most: most.into(), per_nanosecond: f64::from(per_minute) / 60e9, left: most.into(), at: now }
    }

    /// Takes what a question for `prefix.DOMAIN` tells; false if it may not be asked.
    pub(crate) fn take(&mut self, prefix: &str, remembered: bool, now: BootTime) -> bool {
        if prefix.len() > MAX_PREFIX || prefix.split('.').count() > MAX_LABELS {
            return false;
        }
        let gained = now.0.saturating_sub(self.at.0) as f64 * self.per_nanosecond;
        self.left = (self.left + gained).min(self.most);
        self.at = now;
        let cost = f64::from(if remembered { BITS_AGAIN } else { prefix.len() as u32 * BITS_PER_BYTE + 1 });
        let enough = self.left >= cost;
        if enough {
            self.left -= cost;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_bits_than_stated() {
        let start = BootTime(0);
        let mut budget = Budget::new((16_384, 4096), start);
        // Names of twenty bytes for ten minutes, every millisecond one.
        let asked = (0..600_000u64).filter(|ms| budget.take(&"x".repeat(20), false, BootTime(ms * 1_000_000))).count();
        let bits = asked * 20 * 6;
        assert!((40_000..=16_384 + 10 * 4096).contains(&bits), "{bits}");
        assert!(!budget.take("a.b.c.d.e.f", false, start.plus(100_000)));
        assert!(!budget.take(&"x".repeat(81), false, start.plus(100_000)));
        assert!(budget.take("a.b.c.d.e", false, start.plus(100_000)));
    }

    #[test]
    fn asking_again_has_its_price() {
        let mut budget = Budget::new((160, 16), BootTime(0));
        assert_eq!((0..100).filter(|_| budget.take("name", true, BootTime(0))).count(), 10);
        assert!(budget.take("name", true, BootTime(0).plus(61)));
        assert!(!budget.take("name", true, BootTime(0).plus(61)));
    }
}
