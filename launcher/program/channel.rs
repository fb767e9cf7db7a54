//! The hand-over with the shim, and the only calls that are made after the filters: write, read, execve and exit_group, each
//! with the cookie in the three argument registers that it does not use.

use core::ffi::{CStr, c_char};

use zerocap_plan::record::{Failure, Ready, Record, Step};
use zerocap_plan::{GO, GO_FD, RECORD_FD};

use crate::NOTHING_RAN;
use crate::sys::{self, Errno};

/// The way to the shim and back.
pub struct Channel {
    cookie: [u64; 3],
}

impl Channel {
    pub fn new() -> Self {
        Self { cookie: [0; 3] }
    }

    /// Lets every later call carry `cookie`.
    pub fn carry(&mut self, cookie: [u64; 3]) {
        self.cookie = cookie;
    }

    /// Announces that this process is confined.
    pub fn tell_ready(&self, ready: Ready) {
        self.tell(Record::Ready(ready));
    }

    /// Announces what went wrong.
    pub fn tell_failure(&self, failure: Failure) {
        self.tell(Record::Error(failure));
    }

    /// Returns when the shim says GO. If it goes away instead, nothing runs.
    pub fn wait_for_go(&self) -> Result<(), Failure> {
        let mut byte = [0];
        loop {
            match sys::read(GO_FD, &mut byte, self.cookie) {
                Ok(1) if byte == [GO] => return Ok(()),
                Ok(0) => self.exit(NOTHING_RAN),
                Ok(_) => {
                    return Err(Failure { step: Step::Go, errno: 0, detail: u32::from(byte[0]) });
                }
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Failure { step: Step::Go, errno: errno.0, detail: 0 });
                }
            }
        }
    }

    /// Becomes the workload; returns only if the kernel refuses.
    pub fn execute(&self, program: &CStr, arguments: *const *const c_char, environment: *const *const c_char) -> Errno {
        sys::execve(program, arguments, environment, self.cookie)
    }

    pub fn exit(&self, status: i32) -> ! {
        sys::exit_group(status, self.cookie)
    }

    /// One record is one write. There is nobody to tell that it failed: the shim then sees the end of the channel.
    fn tell(&self, record: Record) {
        let _ = sys::write(RECORD_FD, &record.encode(), self.cookie);
    }
}
