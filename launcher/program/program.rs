//! Finding the workload's program, as the engines do it, and saying why it cannot be executed.
//!
//! Engines look the program up before they start anything; here it is the launcher that has to. It looks before it is
//! confined, because afterwards it may only execute.

use core::ffi::CStr;

use zerocap_plan::record::{Failure, Program, Step};

use crate::sys::{self, Errno};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const ANY_EXECUTE: u32 = 0o111;

/// The path to execute for `name`: itself if it has a slash, else the first executable file in the directories of PATH.
pub fn find(
    name: &'static CStr,
    search_path: &[u8],
    room: &'static mut [u8],
    native_abi_only: bool,
) -> Result<&'static CStr, Failure> {
    let found = if name.to_bytes().contains(&b'/') {
        executable(name).map_err(|errno| refused(why_missing(errno), errno))?;
        name
    } else {
        search(name.to_bytes(), search_path, room).ok_or(refused(Program::NotInPath, Errno::ENOENT))?
    };
    if native_abi_only && is_32_bit(found) {
        return Err(refused(Program::ForeignAbi, Errno::ENOEXEC));
    }
    Ok(found)
}

/// What execve's refusal means for a file that [`find`] had found.
pub fn why_refused(errno: Errno) -> Program {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => Program::BadInterpreter,
        Errno::EACCES => Program::PermissionDenied,
        Errno::ENOEXEC => Program::ExecFormat,
        Errno::E2BIG => Program::TooLong,
        _ => Program::Other,
    }
}

fn why_missing(errno: Errno) -> Program {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => Program::NoSuchFile,
        Errno::EISDIR => Program::IsDirectory,
        Errno::EACCES => Program::PermissionDenied,
        _ => Program::Other,
    }
}

fn refused(program: Program, errno: Errno) -> Failure {
    Failure { step: Step::Program, errno: errno.0, detail: program as u32 }
}

/// Directories that are empty or relative are not searched, as runc refuses what it finds there.
fn search(name: &[u8], search_path: &[u8], room: &'static mut [u8]) -> Option<&'static CStr> {
    if name.is_empty() {
        return None;
    }
    let mut found = 0;
    for directory in search_path.split(|&byte| byte == b':').filter(|directory| directory.first() == Some(&b'/')) {
        if let Some(length) = join(room, directory, name) {
            let path = CStr::from_bytes_with_nul(room.get(..length)?).ok()?;
            if executable(path).is_ok() {
                found = length;
                break;
            }
        }
    }
    CStr::from_bytes_with_nul(room.get(..found)?).ok()
}

/// Writes `directory/name` and NUL; `None` if it is too long.
fn join(room: &mut [u8], directory: &[u8], name: &[u8]) -> Option<usize> {
    let length = directory.len() + name.len() + 2;
    let parts = directory.iter().chain(b"/").chain(name).chain(b"\0");
    for (slot, &byte) in room.get_mut(..length)?.iter_mut().zip(parts) {
        *slot = byte;
    }
    Some(length)
}

/// A regular file that this process may execute.
fn executable(path: &CStr) -> Result<(), Errno> {
    let place = sys::open_program(path)?;
    let mode = sys::file_mode(place);
    sys::close(place)?;
    match mode? {
        mode if mode & S_IFMT == S_IFDIR => Err(Errno::EISDIR),
        mode if mode & S_IFMT != S_IFREG => Err(Errno::EACCES),
        mode => match sys::may_execute(path) {
            // No such call, or refused by the container's own profile: the mode bits have to do.
            Err(Errno::ENOSYS | Errno::EPERM) if mode & ANY_EXECUTE != 0 => Ok(()),
            Err(Errno::ENOSYS | Errno::EPERM) => Err(Errno::EACCES),
            outcome => outcome,
        },
    }
}

/// An ELF file of class 32. A program that cannot be read is left to the kernel.
fn is_32_bit(path: &CStr) -> bool {
    const ELF_CLASS_32: [u8; 5] = *b"\x7fELF\x01";
    let mut start = [0; ELF_CLASS_32.len()];
    let Ok(file) = sys::open_to_read(path) else {
        return false;
    };
    let count = sys::pread(file, &mut start, 0);
    let _ = sys::close(file);
    count == Ok(start.len()) && start == ELF_CLASS_32
}
