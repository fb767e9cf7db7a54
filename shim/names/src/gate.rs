//! The packet fence, as seen from here.

use std::io;
use std::net::IpAddr;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use zerocap_annotations::knob::Transport;

/// Nanoseconds since boot, sleep included (`CLOCK_BOOTTIME`): the clock of the fence's expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(now.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.unsigned_abs()))
    }

    /// A time later by so many seconds.
    pub(crate) fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000_000)))
    }

    /// Full seconds since an earlier time.
    pub(crate) fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000_000
    }
}

/// What lets packets pass.
///
/// `ports` is always one of [`crate::Rules::segments`]: for one transport these are disjoint, so a port belongs to one segment at most, and
/// two calls about an address never overlap half. Calls come from one task at a time per container and must not wait for a network.
///
/// An address that the policy lists itself is the gate's business: its own permit must outlive what comes from here.
pub trait Gate: Send + Sync {
    /// Permits an address and a range of ports until a time; replaces what was said before about the same three.
    ///
    /// # Errors
    /// It is not permitted: the address will not be told to the workload.
    fn permit(&self, transport: Transport, to: IpAddr, ports: (u16, u16), until: BootTime) -> io::Result<()>;

    /// The permit is over, or has to make room for another one.
    ///
    /// # Errors
    /// It could not be taken back.
    fn forget(&self, transport: Transport, to: IpAddr, ports: (u16, u16)) -> io::Result<()>;
}
