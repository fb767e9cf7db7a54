//! `kill(2)` with any signal number, real-time signals and the empty probe included.
#![allow(unsafe_code)]

use std::io;

/// The highest signal number of Linux.
pub const MAX: i32 = 64;

/// Sends signal `number` to the one process `pid`.
///
/// # Errors
/// `EINVAL` for numbers that are no signal and pids that are not one process; else what the kernel says.
pub fn send(pid: i32, number: u32) -> io::Result<()> {
    let number = i32::try_from(number)
        .ok()
        .filter(|number| *number <= MAX)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // Zero and negative numbers would mean process groups, ours among them.
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signals_go_out_and_only_to_one_process() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(send(me, 0).is_ok());
        for (pid, number) in [(0, 0), (-1, 0), (-me, 0), (me, 65), (me, u32::MAX)] {
            let error = send(pid, number).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{pid} {number}");
        }
    }
}
