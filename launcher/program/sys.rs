//! The system calls, one function each.

use core::ffi::{CStr, c_char};

use zerocap_plan::Insn;

use crate::arch::{STAT_MODE, STAT_SIZE, nr, syscall, trap};

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u16);

impl Errno {
    pub const EPERM: Self = Self(1);
    pub const ENOENT: Self = Self(2);
    pub const EINTR: Self = Self(4);
    pub const EIO: Self = Self(5);
    pub const E2BIG: Self = Self(7);
    pub const ENOEXEC: Self = Self(8);
    pub const EBADF: Self = Self(9);
    pub const EACCES: Self = Self(13);
    pub const ENOTDIR: Self = Self(20);
    pub const EISDIR: Self = Self(21);
    pub const ENOSYS: Self = Self(38);
    pub const ELOOP: Self = Self(40);
    pub const EAFNOSUPPORT: Self = Self(97);
}

const AT_FDCWD: usize = -100_isize as usize;
const O_NOCTTY: usize = 0o400;
const O_NONBLOCK: usize = 0o4000;
const O_CLOEXEC: usize = 0o2_000_000;
const O_PATH: usize = 0o10_000_000;

// linux/prctl.h
const PR_SET_DUMPABLE: usize = 4;
const PR_SET_NAME: usize = 15;
const PR_GET_NO_NEW_PRIVS: usize = 39;

/// Makes /proc/self and ptrace refuse processes of the same user.
pub fn set_undumpable() -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    done(unsafe { call(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]) })
}

/// Sets the name in /proc/self/comm.
pub fn set_name(name: &[u8; 16]) -> Result<(), Errno> {
    // SAFETY: the kernel reads at most 16 bytes.
    done(unsafe { call(nr::PRCTL, [PR_SET_NAME, name.as_ptr().addr(), 0, 0, 0, 0]) })
}

/// 1 if execve grants nothing.
pub fn no_new_privs() -> Result<usize, Errno> {
    // SAFETY: no memory is involved.
    unsafe { call(nr::PRCTL, [PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0]) }
}

/// Fails unless the working directory can be named from the root; outside it the kernel's answer begins with "(unreachable)".
pub fn in_root(room: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the kernel writes at most `room.len()` bytes.
    unsafe { call(nr::GETCWD, [room.as_mut_ptr().addr(), room.len(), 0, 0, 0, 0]) }?;
    if room.first() == Some(&b'/') { Ok(()) } else { Err(Errno::ENOENT) }
}

/// Four random words.
pub fn random() -> Result<[u64; 4], Errno> {
    let mut words = [0_u64; 4];
    let length = size_of_val(&words);
    // SAFETY: the kernel writes at most `length` bytes, of any value.
    match unsafe { call(nr::GETRANDOM, [words.as_mut_ptr().addr(), length, 0, 0, 0, 0]) }? {
        count if count == length => Ok(words),
        _ => Err(Errno::EIO),
    }
}

/// Reads at an offset.
pub fn pread(fd: i32, into: &mut [u8], offset: usize) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `into.len()` bytes.
    unsafe { call(nr::PREAD64, [number(fd), into.as_mut_ptr().addr(), into.len(), offset, 0, 0]) }
}

/// Closes a descriptor.
pub fn close(fd: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved, and nothing in this program refers to a descriptor that it has closed.
    done(unsafe { call(nr::CLOSE, [number(fd), 0, 0, 0, 0, 0]) })
}

/// Closes `first` and every higher descriptor.
pub fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: as for `close`.
    done(unsafe { call(nr::CLOSE_RANGE, [first as usize, u32::MAX as usize, 0, 0, 0, 0]) })
}

/// Lets a descriptor end at execve.
pub fn set_cloexec(fd: i32) -> Result<(), Errno> {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    // SAFETY: no memory is involved.
    done(unsafe { call(nr::FCNTL, [number(fd), F_SETFD, FD_CLOEXEC, 0, 0, 0]) })
}

/// Type and permissions of an open file.
pub fn file_mode(fd: i32) -> Result<u32, Errno> {
    let mut stat = [0_u8; STAT_SIZE];
    // SAFETY: the kernel writes `STAT_SIZE` bytes.
    unsafe { call(nr::FSTAT, [number(fd), stat.as_mut_ptr().addr(), 0, 0, 0, 0]) }?;
    stat.get(STAT_MODE..).and_then(<[u8]>::first_chunk).map(|&mode| u32::from_ne_bytes(mode)).ok_or(Errno::EIO)
}

/// The place at a path that leads through no symbolic link: whoever can put one there would choose what a rule grants.
pub fn open_place(path: &CStr) -> Result<i32, Errno> {
    const RESOLVE_NO_SYMLINKS: u64 = 4;
    let how = [(O_PATH | O_CLOEXEC) as u64, 0, RESOLVE_NO_SYMLINKS];
    let args = [AT_FDCWD, path.as_ptr().addr(), how.as_ptr().addr(), size_of_val(&how), 0, 0];
    // SAFETY: the kernel reads the path and `struct open_how`.
    descriptor(unsafe { call(nr::OPENAT2, args) })
}

/// The file at a program's path, as execve would find it.
pub fn open_program(path: &CStr) -> Result<i32, Errno> {
    open(path, O_PATH | O_CLOEXEC)
}

/// A file for reading, without waiting for anything.
pub fn open_to_read(path: &CStr) -> Result<i32, Errno> {
    open(path, O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
}

fn open(path: &CStr, flags: usize) -> Result<i32, Errno> {
    // SAFETY: the kernel reads the path.
    descriptor(unsafe { call(nr::OPENAT, [AT_FDCWD, path.as_ptr().addr(), flags, 0, 0, 0]) })
}

/// Whether the effective user may execute the file.
pub fn may_execute(path: &CStr) -> Result<(), Errno> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    // SAFETY: the kernel reads the path.
    done(unsafe { call(nr::FACCESSAT2, [AT_FDCWD, path.as_ptr().addr(), X_OK, AT_EACCESS, 0, 0]) })
}

/// A ruleset that handles `[file system rights, network rights, scopes]`.
pub fn landlock_create(handled: &[u64; 3]) -> Result<i32, Errno> {
    let args = [handled.as_ptr().addr(), size_of_val(handled), 0, 0, 0, 0];
    // SAFETY: the kernel reads `struct landlock_ruleset_attr`.
    descriptor(unsafe { call(nr::LANDLOCK_CREATE_RULESET, args) })
}

/// Grants rights beneath a place.
pub fn landlock_add_path(ruleset: i32, access: u64, place: i32) -> Result<(), Errno> {
    const LANDLOCK_RULE_PATH_BENEATH: usize = 1;
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }
    let rule = PathBeneath { allowed_access: access, parent_fd: place };
    let args = [number(ruleset), LANDLOCK_RULE_PATH_BENEATH, (&raw const rule).addr(), 0, 0, 0];
    // SAFETY: the kernel reads `struct landlock_path_beneath_attr`.
    done(unsafe { call(nr::LANDLOCK_ADD_RULE, args) })
}

/// Grants `[rights, port]`.
pub fn landlock_add_port(ruleset: i32, rule: &[u64; 2]) -> Result<(), Errno> {
    const LANDLOCK_RULE_NET_PORT: usize = 2;
    let args = [number(ruleset), LANDLOCK_RULE_NET_PORT, rule.as_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel reads `struct landlock_net_port_attr`.
    done(unsafe { call(nr::LANDLOCK_ADD_RULE, args) })
}

/// Enters the ruleset's domain.
pub fn landlock_restrict(ruleset: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    done(unsafe { call(nr::LANDLOCK_RESTRICT_SELF, [number(ruleset), 0, 0, 0, 0, 0]) })
}

const AF_INET: u16 = 2;

/// A TCP socket.
pub fn tcp_socket() -> Result<i32, Errno> {
    const SOCK_STREAM: usize = 1;
    // SAFETY: no memory is involved.
    descriptor(unsafe { call(nr::SOCKET, [usize::from(AF_INET), SOCK_STREAM | O_CLOEXEC, 0, 0, 0, 0]) })
}

/// Connects to a port of 127.0.0.1.
pub fn connect_loopback(socket: i32, port: u16) -> Result<(), Errno> {
    #[repr(C)]
    struct SockaddrIn {
        family: u16,
        port: [u8; 2],
        address: [u8; 4],
        zero: [u8; 8],
    }
    let address = SockaddrIn { family: AF_INET, port: port.to_be_bytes(), address: [127, 0, 0, 1], zero: [0; 8] };
    let args = [number(socket), (&raw const address).addr(), size_of_val(&address), 0, 0, 0];
    // SAFETY: the kernel reads `struct sockaddr_in`.
    done(unsafe { call(nr::CONNECT, args) })
}

/// What connect says about a descriptor that is none: EBADF, unless a filter answers first.
pub fn connect_nowhere() -> Errno {
    // SAFETY: no memory is involved.
    unsafe { call(nr::CONNECT, [usize::MAX, 0, 0, 0, 0, 0]) }.err().unwrap_or(Errno::EIO)
}

/// Loads a seccomp filter, with the cookie: an earlier filter may refuse this call.
pub fn load_filter(program: &[Insn], spec_allow: bool, cookie: [u64; 3]) -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    const SECCOMP_FILTER_FLAG_SPEC_ALLOW: usize = 4;
    #[repr(C)]
    struct SockFprog {
        len: u16,
        filter: *const Insn,
    }
    let flags = if spec_allow { SECCOMP_FILTER_FLAG_SPEC_ALLOW } else { 0 };
    let program = SockFprog { len: program.len() as u16, filter: program.as_ptr() };
    // SAFETY: the kernel reads `struct sock_fprog` and the `len` instructions of the slice.
    done(unsafe { last_call(nr::SECCOMP, [SECCOMP_SET_MODE_FILTER, flags, (&raw const program).addr()], cookie) })
}

/// write, with the cookie.
pub fn write(fd: i32, bytes: &[u8], cookie: [u64; 3]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads the slice.
    unsafe { last_call(nr::WRITE, [number(fd), bytes.as_ptr().addr(), bytes.len()], cookie) }
}

/// read, with the cookie.
pub fn read(fd: i32, into: &mut [u8], cookie: [u64; 3]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `into.len()` bytes.
    unsafe { last_call(nr::READ, [number(fd), into.as_mut_ptr().addr(), into.len()], cookie) }
}

/// execve, with the cookie; returns only if it is refused.
pub fn execve(
    program: &CStr,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    cookie: [u64; 3],
) -> Errno {
    let args = [program.as_ptr().addr(), arguments.addr(), environment.addr()];
    // SAFETY: the kernel reads the path and two NULL-terminated arrays of strings that it laid out itself.
    unsafe { last_call(nr::EXECVE, args, cookie) }.err().unwrap_or(Errno::EIO)
}

/// exit_group, with the cookie.
pub fn exit_group(status: i32, cookie: [u64; 3]) -> ! {
    // SAFETY: no memory is involved.
    let _ = unsafe { last_call(nr::EXIT_GROUP, [status as usize, 0, 0], cookie) };
    trap()
}

/// A call that a filter admits by the cookie.
///
/// # Safety
/// As [`syscall`].
unsafe fn last_call(number: usize, [a, b, c]: [usize; 3], [d, e, f]: [u64; 3]) -> Result<usize, Errno> {
    // SAFETY: as the caller promised; none of these calls looks at its last three arguments.
    unsafe { call(number, [a, b, c, d as usize, e as usize, f as usize]) }
}

/// # Safety
/// As [`syscall`].
unsafe fn call(number: usize, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: as the caller promised.
    let result = unsafe { syscall(number, args) };
    if result < 0 { Err(Errno(result.unsigned_abs() as u16)) } else { Ok(result.unsigned_abs()) }
}

fn done(result: Result<usize, Errno>) -> Result<(), Errno> {
    result.map(|_| ())
}

fn descriptor(result: Result<usize, Errno>) -> Result<i32, Errno> {
    result.map(|fd| fd as i32)
}

/// A descriptor as an argument register carries it.
fn number(fd: i32) -> usize {
    fd as usize
}
