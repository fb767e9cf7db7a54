//! Limits that a program and all that it starts begin with.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use zerocap_annotations::CORE_LIMIT;

/// Lets `command` run with the core limit of a confined container.
pub fn no_core_in(command: &mut Command) {
    let limit = || {
        let limit = Rlimit { current: Some(CORE_LIMIT), maximum: Some(CORE_LIMIT) };
        setrlimit(Resource::Core, limit).map_err(Into::into)
    };
    // SAFETY: between fork and exec this makes one system call, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(limit) };
}
