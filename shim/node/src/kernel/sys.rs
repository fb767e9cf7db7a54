//! The raw system calls of the probe: seccomp(2) with a listener, and bpf(2). No crate wraps them.
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

/// The head of `union bpf_attr` for BPF_PROG_LOAD, up to `expected_attach_type` (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;
const BPF_CGROUP_INET4_CONNECT: u32 = 10;

/// Loads "allow every IPv4 connect" as a cgroup program and drops it again; it is attached to nothing.
pub(super) fn loads_cgroup_program() -> bool {
    // r0 = 1; exit
    let insns: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
    let license = c"Apache-2.0";
    let attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        insn_cnt: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        license: license.as_ptr() as u64,
        expected_attach_type: BPF_CGROUP_INET4_CONNECT,
        ..ProgLoad::default()
    };
    // SAFETY: `attr` is a prefix of the kernel's union, passed with its own size, and every pointer in it outlives the
    // call; without a log buffer the kernel writes nothing.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<ProgLoad>()) };
    if fd < 0 {
        return false;
    }
    // SAFETY: a non-negative result of BPF_PROG_LOAD is a new descriptor that nobody else owns.
    drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    true
}
