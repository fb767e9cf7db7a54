//! Signals that are meant for the program and reach this process.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Signal;

use super::child;

/// What is passed on. The others keep their meaning for this process.
const PASSED_ON: [(Number, Signal); 9] = [
    (Number::SIGHUP, Signal::HUP),
    (Number::SIGINT, Signal::INT),
    (Number::SIGQUIT, Signal::QUIT),
    (Number::SIGTERM, Signal::TERM),
    (Number::SIGUSR1, Signal::USR1),
    (Number::SIGUSR2, Signal::USR2),
    (Number::SIGTSTP, Signal::TSTP),
    (Number::SIGCONT, Signal::CONT),
    (Number::SIGWINCH, Signal::WINCH),
];

/// `SI_KERNEL` of asm-generic/siginfo.h: nobody sent it. From a terminal it went to the whole foreground group, and the
/// program, which is in it, has it already.
const SI_KERNEL: i32 = 0x80;

/// Signals held back until there is somebody to pass them on to.
pub struct Signals {
    arrived: SignalFd,
    before: Mask,
}

/// What was blocked before this process blocked anything: what the program gets.
#[derive(Clone, Copy)]
pub struct Mask(SigSet);

impl Mask {
    /// Of the calling thread.
    pub fn now() -> io::Result<Self> {
        Ok(Self(SigSet::thread_get_mask()?))
    }

    /// Lets the calling thread, and so its children, have it again.
    pub fn restore(self) -> io::Result<()> {
        Ok(self.0.thread_set_mask()?)
    }
}

impl Signals {
    /// Holds signals back from now on. To be called before any thread is started: each inherits it.
    pub fn hold() -> io::Result<Self> {
        let before = Mask::now()?;
        let mut set = SigSet::empty();
        for (number, _) in PASSED_ON {
            set.add(number);
        }
        set.thread_block()?;
        Ok(Self { arrived: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?, before })
    }

    /// What was blocked before.
    pub fn before(&self) -> Mask {
        self.before
    }

    /// Passes them on to `child`, in a thread, as long as this process lives.
    pub fn pass_on(self, child: OwnedFd) -> io::Result<()> {
        let pass = move || {
            while let Ok(Some(arrived)) = self.arrived.read_signal() {
                if let Some(signal) = to_pass_on(arrived.ssi_signo, arrived.ssi_code) {
                    child::signal(&child, signal);
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(pass).map(drop)
    }
}

/// What to send to the program for a signal that arrived here.
fn to_pass_on(number: u32, code: i32) -> Option<Signal> {
    let known = PASSED_ON.iter().find(|(known, _)| number == *known as u32);
    known.filter(|_| code != SI_KERNEL).map(|(_, signal)| *signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel merges two of a kind that arrive at once, so a program cannot count on seeing both.
    #[test]
    fn what_a_terminal_sent_is_not_sent_again() {
        for (number, signal) in PASSED_ON {
            assert_eq!(to_pass_on(number as u32, SI_KERNEL), None);
            // SI_USER and SI_TKILL.
            assert_eq!(to_pass_on(number as u32, 0), Some(signal));
            assert_eq!(to_pass_on(number as u32, -6), Some(signal));
        }
        assert_eq!(to_pass_on(Number::SIGCHLD as u32, 0), None);
    }
}
