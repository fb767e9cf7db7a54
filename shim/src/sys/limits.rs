//! Limits that a program and all that it starts begin with.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zerocap_annotations::CORE_LIMIT;

/// How many descriptors we were allowed, if we have taken more.
static DESCRIPTORS: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process have as many descriptors as it may: the usual limit is for programs that know select(2) only, and a
/// pod with some hundred execs has more. What [`descriptors_as_before_in`] is asked for begins with the limit as it was.
pub fn take_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok()
    {
        // Once in a process.
        let _ = DESCRIPTORS.set(limit);
    }
}

/// Lets `command` run with the limit of descriptors that we were started with: a container inherits it.
pub fn descriptors_as_before_in(command: &mut Command) {
    if let Some(limit) = DESCRIPTORS.get() {
        begin_with(command, Resource::Nofile, *limit);
    }
}

/// Lets `command` run with the core limit of a confined container.
pub fn no_core_in(command: &mut Command) {
    begin_with(command, Resource::Core, Rlimit { current: Some(CORE_LIMIT), maximum: Some(CORE_LIMIT) });
}

fn begin_with(command: &mut Command, resource: Resource, limit: Rlimit) {
    // SAFETY: between fork and exec this makes one system call, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(move || setrlimit(resource, limit).map_err(Into::into)) };
}
