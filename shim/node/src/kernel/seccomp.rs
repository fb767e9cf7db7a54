//! Seccomp, tried: a filter that reads an argument register, and a notification listener.

use std::thread;

use serde::{Deserialize, Serialize};

use super::sys::{self, Insn, insn};

/// What seccomp can do here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seccomp {
    /// A filter loads without privilege, refuses with the errno it names, and sees all six argument registers.
    pub filter: bool,
    /// A filter can have a user notification listener.
    pub listener: bool,
    /// The listener can ask that a received notification is interrupted by fatal signals only.
    pub wait_killable: bool,
    /// The listener can ask for synchronous wake-ups.
    pub sync_wake_up: bool,
}

/// An errno that getppid never has by itself.
const MARK: i32 = libc::ENOTUNIQ;
/// The value of the sixth argument that the trial filter lets pass.
const ADMITTED: u32 = 0x5a43_0001;

/// Tries each feature in a thread of its own, since a filter never comes off.
pub(super) fn try_out() -> Seccomp {
    let listener_flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let (listener, sync_wake_up) = in_thread(move || match sys::load_filter(&allow_all(), listener_flags) {
        Ok(Some(fd)) => (true, sys::set_sync_wake_up(&fd)),
        _ => (false, false),
    });
    Seccomp {
        filter: in_thread(filter_works),
        listener,
        sync_wake_up,
        wait_killable: in_thread(move || {
            let flags = listener_flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
            sys::load_filter(&allow_all(), flags).is_ok()
        }),
    }
}

/// Runs the trial in a thread that has `no_new_privs`, which a filter without privilege needs.
fn in_thread<T: Default + Send + 'static>(trial: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(move || match rustix::thread::set_no_new_privs(true) {
        Ok(()) => trial(),
        Err(_) => T::default(),
    })
    .join()
    .unwrap_or_default()
}

fn filter_works() -> bool {
    let control = sys::getppid_with([0; 6]).is_ok();
    let loaded = sys::load_filter(&mark_getppid(), 0).is_ok();
    let refused = sys::getppid_with([0; 6]).is_err_and(|e| e.raw_os_error() == Some(MARK));
    let admitted = sys::getppid_with([0, 0, 0, 0, 0, u64::from(ADMITTED)]).is_ok();
    control && loaded && refused && admitted
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

fn allow_all() -> [Insn; 1] {
    [insn(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)]
}

/// getppid fails with [`MARK`] unless the low half of its sixth register is [`ADMITTED`]. Offsets are those of
/// `struct seccomp_data` on a little-endian machine: 0 the number, 56 the low half of `args[5]`.
fn mark_getppid() -> [Insn; 6] {
    [
        insn(LOAD, 0, 0, 0),
        insn(IF_EQUAL, 0, 2, libc::SYS_getppid as u32),
        insn(LOAD, 0, 0, 56),
        insn(IF_EQUAL, 0, 1, ADMITTED),
        insn(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        insn(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | MARK as u32),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_filter_marks_getppid_and_nothing_else() {
        let works = in_thread(|| {
            let loaded = sys::load_filter(&mark_getppid(), 0).is_ok();
            let others_pass = std::fs::metadata("/").is_ok();
            loaded && others_pass && sys::getppid_with([0; 6]).is_err()
        });
        assert!(works);
        // The filter was that thread's alone.
        assert!(sys::getppid_with([0; 6]).is_ok());
    }
}
