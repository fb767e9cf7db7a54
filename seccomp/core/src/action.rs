//! What a filter answers.

use std::cmp::Ordering;

/// Largest errno that the kernel hands through (`MAX_ERRNO` of `linux/err.h`); it cuts larger ones down to this.
pub const MAX_ERRNO: u16 = 4095;

/// A filter's answer to one call. Ordered by strictness, as the kernel decides between stacked filters: the greater
/// action is the stricter one. Two answers of one kind are ordered by their data, which has no meaning to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The call is made.
    Allow,
    /// The call is made, and the kernel logs it.
    Log,
    /// A tracer decides; without one the call fails with ENOSYS.
    Trace(u16),
    /// The holder of the listener decides; without one the call fails with ENOSYS.
    Notify,
    /// The call is not made and fails with this errno.
    Errno(u16),
    /// The thread gets SIGSYS.
    Trap,
    /// The calling thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

const DATA: u32 = 0xffff;
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_NOTIFY: u32 = 0x7fc0_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

impl Action {
    /// The value that a filter returns for this action (`SECCOMP_RET_*` of `linux/seccomp.h`).
    #[must_use]
    pub const fn ret(self) -> u32 {
        match self {
            Self::Allow => RET_ALLOW,
            Self::Log => RET_LOG,
            Self::Trace(data) => RET_TRACE | data as u32,
            Self::Notify => RET_NOTIFY,
            Self::Errno(errno) => RET_ERRNO | errno as u32,
            Self::Trap => RET_TRAP,
            Self::KillThread => RET_KILL_THREAD,
            Self::KillProcess => RET_KILL_PROCESS,
        }
    }

    /// What the kernel does with a returned value. It treats every action that it does not know as "kill the process".
    #[must_use]
    pub const fn from_ret(ret: u32) -> Self {
        let data = (ret & DATA) as u16;
        match ret & !DATA {
            RET_ALLOW => Self::Allow,
            RET_LOG => Self::Log,
            RET_TRACE => Self::Trace(data),
            RET_NOTIFY => Self::Notify,
            RET_ERRNO if data > MAX_ERRNO => Self::Errno(MAX_ERRNO),
            RET_ERRNO => Self::Errno(data),
            RET_TRAP => Self::Trap,
            RET_KILL_THREAD => Self::KillThread,
            _ => Self::KillProcess,
        }
    }

    /// Is the call made without anybody's further decision?
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }

    /// Is the call certainly not made? Neither this nor [`Action::permits`] holds where a tracer or a listener decides.
    #[must_use]
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Errno(_) | Self::Trap | Self::KillThread | Self::KillProcess)
    }

    /// A number below 2^31 for this answer, as the kernel takes it: an errno that it cuts down is the one that it gives.
    pub(crate) const fn code(self) -> u32 {
        let (kind, data) = Self::from_ret(self.ret()).rank();
        (kind as u32) << 16 | data as u32
    }

    /// The answer with this code.
    pub(crate) const fn from_code(code: u32) -> Self {
        let data = (code & DATA) as u16;
        match code >> 16 {
            0 => Self::Allow,
            1 => Self::Log,
            2 => Self::Trace(data),
            3 => Self::Notify,
            4 => Self::Errno(data),
            5 => Self::Trap,
            6 => Self::KillThread,
            _ => Self::KillProcess,
        }
    }

    const fn rank(self) -> (u8, u16) {
        match self {
            Self::Allow => (0, 0),
            Self::Log => (1, 0),
            Self::Trace(data) => (2, data),
            Self::Notify => (3, 0),
            Self::Errno(errno) => (4, errno),
            Self::Trap => (5, 0),
            Self::KillThread => (6, 0),
            Self::KillProcess => (7, 0),
        }
    }

    /// Is this strictly stricter than the other *kind* of action? Data does not count.
    #[must_use]
    pub const fn stricter_than(self, other: Self) -> bool {
        self.rank().0 > other.rank().0
    }
}

impl Ord for Action {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Action {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What the kernel makes of the answers of stacked filters, given newest filter first: the strictest kind wins, and of
/// several answers of that kind the newest filter's data. Without any filter the call is made.
#[must_use]
pub fn stack(newest_first: impl IntoIterator<Item = Action>) -> Action {
    newest_first.into_iter().fold(Action::Allow, |kept, next| if next.stricter_than(kept) { next } else { kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Action; 8] = [
        Action::Allow,
        Action::Log,
        Action::Trace(7),
        Action::Notify,
        Action::Errno(1),
        Action::Trap,
        Action::KillThread,
        Action::KillProcess,
    ];

    /// The kernel compares the action part as a signed 32-bit number and takes the smallest.
    #[test]
    fn strictness_is_the_kernels() {
        for a in ALL {
            for b in ALL {
                let kernel = (a.ret() & !DATA) as i32 <= (b.ret() & !DATA) as i32;
                assert_eq!(!b.stricter_than(a), kernel, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn values_survive_the_round_trip() {
        for action in ALL {
            assert_eq!(Action::from_ret(action.ret()), action);
            assert_eq!(Action::from_code(action.code()), action);
        }
        assert_eq!(Action::from_ret(RET_ERRNO | 0xffff), Action::Errno(MAX_ERRNO));
        assert_eq!(Action::from_ret(0x1234_0000), Action::KillProcess);
    }

    #[test]
    fn of_two_errnos_the_newest_filters_is_seen() {
        assert_eq!(stack([Action::Errno(38), Action::Errno(1)]), Action::Errno(38));
        assert_eq!(stack([Action::Allow, Action::Errno(1), Action::Allow]), Action::Errno(1));
        assert_eq!(stack([]), Action::Allow);
    }
}
