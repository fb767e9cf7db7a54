//! Calls for which there is no safe function.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::process::Pid;

/// What the kernel answered.
fn result(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// A descriptor that the kernel has made, closed at once.
fn descriptor(value: libc::c_long) -> io::Result<()> {
    let number = result(value)?;
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: a call that makes a descriptor returned it, and nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(())
}

/// The error by its name, as manual pages have it.
pub(crate) fn name_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::EACCES) => "EACCES".into(),
        Some(libc::ENOSYS) => "ENOSYS".into(),
        Some(libc::EBADF) => "EBADF".into(),
        Some(libc::ESRCH) => "ESRCH".into(),
        Some(libc::ECONNREFUSED) => "ECONNREFUSED".into(),
        Some(libc::EAFNOSUPPORT) => "EAFNOSUPPORT".into(),
        Some(libc::EOPNOTSUPP) => "EOPNOTSUPP".into(),
        Some(libc::ENOENT) => "ENOENT".into(),
        Some(libc::EROFS) => "EROFS".into(),
        Some(libc::EINVAL) => "EINVAL".into(),
        Some(number) => format!("errno {number}"),
        None => error.to_string(),
    }
}

/// Attaches to a process, and lets it go.
pub(crate) fn seize(pid: Pid) -> io::Result<()> {
    let pid = libc::c_long::from(pid.as_raw_nonzero().get());
    // SAFETY: PTRACE_SEIZE takes numbers only; the tracee is let go when this process ends, at the latest.
    result(unsafe { libc::syscall(libc::SYS_ptrace, libc::c_long::from(libc::PTRACE_SEIZE), pid, 0, 0) }).map(drop)
}

/// Moves this process into a new user namespace.
pub(crate) fn unshare_user() -> io::Result<()> {
    // SAFETY: plain flags; no memory is touched. The process ends after the attempt.
    result(unsafe { libc::syscall(libc::SYS_unshare, libc::c_long::from(libc::CLONE_NEWUSER)) }).map(drop)
}

/// Moves this process into a new mount namespace.
pub(crate) fn unshare_mount() -> io::Result<()> {
    // SAFETY: as above.
    result(unsafe { libc::syscall(libc::SYS_unshare, libc::c_long::from(libc::CLONE_NEWNS)) }).map(drop)
}

/// `KEY_SPEC_PROCESS_KEYRING` of linux/keyctl.h: it goes with the process.
const PROCESS_KEYRING: libc::c_long = -2;

/// Adds a key to the process's own keyring.
pub(crate) fn add_key() -> io::Result<()> {
    let (kind, name, payload) = (c"user", c"zerocap-probe", b"x");
    // SAFETY: two C strings and one byte that outlive the call, which only reads them.
    let key = unsafe {
        libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), payload.as_ptr(), payload.len(), PROCESS_KEYRING)
    };
    result(key).map(drop)
}

/// The head of `union bpf_attr` for BPF_MAP_CREATE (linux/bpf.h).
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// Makes an array of one number.
pub(crate) fn bpf_map() -> io::Result<()> {
    const BPF_MAP_CREATE: libc::c_long = 0;
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    let attr = MapCreate { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4, max_entries: 1, map_flags: 0 };
    // SAFETY: `attr` is a prefix of the kernel's union, passed with its own size, and outlives the call, which only reads it.
    descriptor(unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, &raw const attr, size_of::<MapCreate>()) })
}

/// Makes a ring of one entry.
pub(crate) fn io_uring() -> io::Result<()> {
    /// Bytes of `struct io_uring_params` (linux/io_uring.h).
    const PARAMS: usize = 120;
    let mut params = [0u64; PARAMS / 8];
    // SAFETY: the kernel reads and writes one io_uring_params, for which there is room, with its alignment.
    descriptor(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1 as libc::c_long, params.as_mut_ptr()) })
}

/// Makes a userfaultfd that handles faults of the kernel too.
pub(crate) fn userfaultfd() -> io::Result<()> {
    // SAFETY: plain flags.
    descriptor(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::c_long::from(libc::O_CLOEXEC)) })
}

/// Counts the kernel's own instructions.
pub(crate) fn perf_event() -> io::Result<()> {
    /// `PERF_ATTR_SIZE_VER0` of linux/perf_event.h.
    const SIZE: u32 = 64;
    const PERF_TYPE_SOFTWARE: u32 = 1;
    // type and size, then config and the rest: zero, PERF_COUNT_SW_CPU_CLOCK.
    let attr = [u64::from(PERF_TYPE_SOFTWARE) | u64::from(SIZE) << 32, 0, 0, 0, 0, 0, 0, 0];
    let none: libc::c_long = -1;
    // SAFETY: `attr` is a perf_event_attr of the size that stands in it, and outlives the call, which only reads it.
    descriptor(unsafe {
        libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0 as libc::c_long, none, none, 0 as libc::c_long)
    })
}
