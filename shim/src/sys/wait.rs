//! `waitid(2)`: see which child died, look at the zombie, then reap exactly that one.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;

/// How a child ended, as one number: its exit status, or 128 plus the signal that killed it.
///
/// This is the encoding of runc, crun and the task API.
pub type Status = u32;

/// The pid of some child that is dead and not reaped, without reaping it.
///
/// # Errors
/// What `waitid` says, except `ECHILD`, which is `None`: there are no children at all.
pub fn dead_child() -> io::Result<Option<i32>> {
    let info = waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    // SAFETY: for a waitid result of kind SIGCHLD the kernel fills the si_pid field; for "nothing
    // to report" POSIX wants si_pid to be zero, and the structure was zeroed before the call.
    Ok(info.map(|info| unsafe { info.si_pid() }).filter(|pid| *pid > 0))
}

/// Reaps `pid` if it is dead, and says how it ended.
///
/// # Errors
/// What `waitid` says, except `ECHILD`, which is `None`: `pid` is not a child.
pub fn reap(pid: i32) -> io::Result<Option<Status>> {
    let Ok(id) = libc::id_t::try_from(pid) else {
        return Ok(None);
    };
    let Some(info) = waitid(libc::P_PID, id, libc::WEXITED | libc::WNOHANG)? else {
        return Ok(None);
    };
    // SAFETY: as in `dead_child`; si_status is filled together with si_pid.
    let (reaped, status) = unsafe { (info.si_pid(), info.si_status()) };
    if reaped == 0 {
        return Ok(None);
    }
    let status = u32::try_from(status).unwrap_or(255);
    Ok(Some(match info.si_code {
        libc::CLD_EXITED => status & 0xff,
        _ => 128 + status,
    }))
}

fn waitid(kind: libc::idtype_t, id: libc::id_t, options: i32) -> io::Result<Option<libc::siginfo_t>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: `info` is a writable siginfo_t that outlives the call; waitid has no other
        // memory effects.
        if unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) } == 0 {
            // SAFETY: siginfo_t is plain data, every bit pattern is valid, and it was zeroed.
            return Ok(Some(unsafe { info.assume_init() }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(None),
            _ => return Err(error),
        }
    }
}
