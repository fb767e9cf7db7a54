//! The raw system calls of the probe: seccomp(2) with a listener. No crate wraps it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `struct sock_filter`: one classic BPF instruction.
pub(super) type Insn = libc::sock_filter;

/// A classic BPF instruction; codes as in linux/bpf_common.h.
pub(super) const fn insn(code: u32, jt: u8, jf: u8, k: u32) -> Insn {
    Insn { code: code as u16, jt, jf, k }
}

/// Loads a filter for the calling thread. With `NEW_LISTENER` among the flags the kernel returns a descriptor.
pub(super) fn load_filter(program: &[Insn], flags: libc::c_ulong) -> io::Result<Option<OwnedFd>> {
    let fprog = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: `fprog` and the instructions that it points to live until the call returns; the kernel copies both and
    // writes to neither.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong, flags, &raw const fprog)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER a non-negative result is a new descriptor that nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(result as i32) }))
}

/// Calls getppid with six given argument registers, all of which it ignores.
pub(super) fn getppid_with(args: [u64; 6]) -> io::Result<()> {
    // SAFETY: getppid takes no argument and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_getppid, args[0], args[1], args[2], args[3], args[4], args[5]) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` of linux/seccomp.h: `_IOW('!', 4, __u64)`.
const NOTIF_SET_FLAGS: u64 = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`.
const FD_SYNC_WAKE_UP: u64 = 1;

/// Asks for synchronous wake-ups on a notification listener.
pub(super) fn set_sync_wake_up(listener: &OwnedFd) -> bool {
    // SAFETY: this request takes the flags by value; no memory of ours is touched.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SET_FLAGS as _, FD_SYNC_WAKE_UP) == 0 }
}
