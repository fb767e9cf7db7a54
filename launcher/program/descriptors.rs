//! The descriptors that the process came with: 0–2 stay, the hand-over's close at execve, everything else goes now.

use zerocap_plan::record::{Failure, Step};
use zerocap_plan::{GO_FD, HANDED_OVER, PLAN_FD, RECORD_FD};

use crate::at;
use crate::sys;

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFSOCK: u32 = 0o140_000;

/// Closes the plan and whatever lies above the hand-over.
pub fn close_all_but_ours() -> Result<(), Failure> {
    for fd in [RECORD_FD, GO_FD] {
        sys::set_cloexec(fd).map_err(at(Step::Descriptors, fd as u32))?;
    }
    sys::close(PLAN_FD).map_err(at(Step::Descriptors, PLAN_FD as u32))?;
    let first = PLAN_FD as u32 + HANDED_OVER;
    sys::close_from(first).map_err(at(Step::Descriptors, first))
}

/// Standard descriptors that lead out: a directory is a root of its own for openat, a socket belongs to another cgroup and to
/// no Landlock domain.
pub fn refuse_inherited_places() -> Result<(), Failure> {
    for fd in 0..=2 {
        let mode = sys::file_mode(fd).map_err(at(Step::Stdio, fd as u32))?;
        if matches!(mode & S_IFMT, S_IFDIR | S_IFSOCK) {
            return Err(Failure { step: Step::Stdio, errno: 0, detail: fd as u32 });
        }
    }
    Ok(())
}
