//! Descriptors registered with the runtime.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd`, which must be in non-blocking mode, for `interest`.
///
/// # Errors
/// When epoll refuses the descriptor (regular files).
pub fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the value owns its descriptor and always names the same one, and nothing else can close
    // it while the registration lives: that is what `OwnedFd` guarantees.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
