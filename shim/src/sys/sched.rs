//! Core scheduling: a cookie that keeps foreign processes off our SMT siblings.
#![allow(unsafe_code)]

use std::io;

/// `PR_SCHED_CORE` of linux/prctl.h.
const PR_SCHED_CORE: libc::c_int = 62;
/// `PR_SCHED_CORE_CREATE`: a fresh cookie.
const PR_SCHED_CORE_CREATE: libc::c_ulong = 1;
/// `PR_SCHED_CORE_SCOPE_PROCESS_GROUP`.
const SCOPE_PROCESS_GROUP: libc::c_ulong = 2;

/// Gives this process group a core-scheduling cookie of its own; children inherit it.
///
/// # Errors
/// What `prctl(2)` says: `ENODEV` without SMT, `EINVAL` on a kernel without the feature.
pub fn own_core_cookie() -> io::Result<()> {
    // SAFETY: PR_SCHED_CORE with CREATE takes plain numbers and writes no memory.
    let result = unsafe {
        libc::prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0 as libc::c_ulong, SCOPE_PROCESS_GROUP, 0 as libc::c_ulong)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
