//! A working directory of a thread's own.
#![allow(unsafe_code)]

use std::io;

/// Lets this thread go to other directories without the rest of the process.
///
/// # Errors
/// What `unshare(2)` says.
pub fn own() -> io::Result<()> {
    // SAFETY: unshare takes plain flags and touches no memory; CLONE_FS concerns the calling thread alone.
    if unsafe { libc::unshare(libc::CLONE_FS) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
