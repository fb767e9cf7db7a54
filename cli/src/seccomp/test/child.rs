//! The process that becomes the command: it lets itself be traced, loads the filter, executes.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use nix::sys::ptrace;
use nix::sys::signal::{SigSet, Signal, raise};
use seccompiler::sock_filter;
use zerocap_seccomp::Insn;
use zerocap_seccomp::walk::{MAX_RAW, read_raw};

use super::NOT_STARTED;
use super::tracer::HELD_BACK;
use crate::failure::Failure;

/// What `zerocap seccomp test` tells its child.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the filter is: a descriptor of the parent, as a path of /proc
    #[arg(long)]
    filter: OsString,

    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the command, or says why not.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (Some(program), Some(rest)) = (arguments.command.first(), arguments.command.get(1..)) else {
        return Ok(ExitCode::from(NOT_STARTED));
    };
    let fail = |what: &str, error: &dyn std::fmt::Display, status| {
        eprintln!("error: {what}: {error}");
        Ok(ExitCode::from(status))
    };
    if let Err(error) = prepare(&arguments.filter) {
        return fail("the profile cannot be loaded", &error, NOT_STARTED);
    }
    let error = Command::new(program).args(rest).exec();
    let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    fail(&program.to_string_lossy(), &error, status)
}

fn prepare(filter: &OsString) -> io::Result<()> {
    let mut bytes = Vec::new();
    std::fs::File::open(filter)?.take(MAX_RAW as u64 + 1).read_to_end(&mut bytes)?;
    let insns: Vec<sock_filter> = read_raw(&bytes)
        .map_err(io::Error::other)?
        .into_iter()
        .map(|Insn { code, jt, jf, k }| sock_filter { code, jt, jf, k })
        .collect();
    ptrace::traceme()?;
    // Here the tracer says what it wants to be told.
    raise(Signal::SIGSTOP)?;
    let mut held_back = SigSet::empty();
    held_back.extend(HELD_BACK);
    held_back.thread_unblock()?;
    seccompiler::apply_filter(&insns).map_err(io::Error::other)
}
