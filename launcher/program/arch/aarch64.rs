//! 64-bit ARM.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {start}",
    "brk #1",
    start = sym crate::start,
);

/// One system call with all six argument registers set.
///
/// # Safety
/// The arguments must be what call `number` expects, and memory that it writes must be writable and not otherwise in use.
pub unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result;
    // SAFETY: the kernel preserves all registers but x0; memory as the caller promised.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// Ends the process where not even exit_group is permitted.
pub fn trap() -> ! {
    // SAFETY: a breakpoint without a debugger ends the process by SIGTRAP.
    unsafe { asm!("brk #1", options(noreturn)) }
}

/// Bytes of `struct stat`.
pub const STAT_SIZE: usize = 128;
/// Where `st_mode` lies in it.
pub const STAT_MODE: usize = 16;

/// System call numbers.
pub mod nr {
    pub const GETCWD: usize = 17;
    pub const FCNTL: usize = 25;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PREAD64: usize = 67;
    pub const FSTAT: usize = 80;
    pub const EXIT_GROUP: usize = 94;
    pub const PRCTL: usize = 167;
    pub const SOCKET: usize = 198;
    pub const CONNECT: usize = 203;
    pub const EXECVE: usize = 221;
    pub const SECCOMP: usize = 277;
    pub const GETRANDOM: usize = 278;
    pub const CLOSE_RANGE: usize = 436;
    pub const OPENAT2: usize = 437;
    pub const FACCESSAT2: usize = 439;
    pub const LANDLOCK_CREATE_RULESET: usize = 444;
    pub const LANDLOCK_ADD_RULE: usize = 445;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}
