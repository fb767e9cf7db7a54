//! Descriptors that came from the parent process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Marks every descriptor from `first` on close-on-exec, so that nothing which our parent left open
/// can reach a container.
///
/// # Errors
/// What `close_range(2)` says.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing and touches no memory; it only
    // sets a flag that every descriptor of this program carries anyway.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            libc::c_long::from(first),
            libc::c_long::from(u32::MAX),
            libc::c_long::from(libc::CLOSE_RANGE_CLOEXEC),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes ownership of the descriptor `number` that the process which started us put there.
///
/// Call it once per number, before anything else is opened.
///
/// # Errors
/// `EBADF` when no such descriptor is open.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only reads a flag.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (checked above), and by this function's contract nothing in
    // this process owns it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
