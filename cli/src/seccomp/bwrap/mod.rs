//! `zerocap seccomp bwrap`: bubblewrap with a filter of ours.

mod line;
mod parked;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::walk::write_raw;
use zerocap_seccomp::{Action, Arch, Decision, Profile, lookup};

use self::line::Line;
use super::names::{Knobs, Variant};
use super::source::Source;
use crate::failure::Failure;

const HELP: &str = "\
Everything after -- is bubblewrap's. The filter is put into memory and handed to bwrap by --seccomp (by --add-seccomp-fd, as \
the last one, where filters of your own are given that way); this process becomes bwrap. Nothing of it reaches the sandbox.

  zerocap seccomp bwrap general -- --ro-bind / / --dev /dev --proc /proc --unshare-all -- make check

bwrap itself has to execute the command, so a profile that lets no program be executed (minimal, model-backend) is loaded by \
zerocap's launcher inside of the sandbox, which executes the command as its last act. It is put into the sandbox as one file, \
and standard error says where: below / if that is not a bind mount, else in a --tmpfs or --dev of the sandbox, or where \
--launcher-at says. zerocap then stays as bwrap's parent, passes signals on and ends with its status.

Exit status: that of bwrap, which is that of the command. If nothing ran:
  2    the command line or the profile cannot be understood
  125  the launcher could not be started, or refused
  127  bwrap is not installed";

/// Nothing ran.
const NOT_STARTED: u8 = 125;
const NO_BWRAP: u8 = 127;

/// `zerocap seccomp bwrap`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// A preset or a file
    #[arg(default_value = "general")]
    profile: String,

    /// bubblewrap's own arguments
    #[arg(last = true, required = true, value_name = "BWRAP-ARGS")]
    bwrap: Vec<OsString>,

    /// Where in the sandbox the launcher is put, if it is needed
    #[arg(long, value_name = "PATH")]
    launcher_at: Option<String>,

    #[command(flatten)]
    knobs: Knobs,
}

/// Becomes bwrap, or waits for it.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let arch = Arch::native().ok_or_else(|| {
        Failure::bad_input(ZcError::new(
            code::filter::BWRAP,
            "there are no filters for this machine",
            "use x86-64 or aarch64",
        ))
    })?;
    let source = Source::open(&arguments.profile)?;
    let variant = Variant { arch, knobs: arguments.knobs.clone() };
    let line = Line::read(&arguments.bwrap)?;
    let profile = source.profile(&variant)?;
    if executes(&profile, arch) {
        let filter = source.filter(&variant)?;
        let error = become_bwrap(&line, &write_raw(&filter));
        return Err(not_started(&error));
    }
    let place = line.place(arguments.launcher_at.as_deref())?;
    let program = line.program()?;
    eprintln!(
        "note: {} lets no program be executed: the launcher, {place} in the sandbox, loads it and executes {}",
        source.name,
        program.display()
    );
    parked::run(&source, &variant, &profile, &line, &place)
}

/// Can bwrap execute a program under this profile, whatever the address of its name?
fn executes(profile: &Profile, arch: Arch) -> bool {
    let decision = lookup("execve").and_then(|call| call.number(arch)).and_then(|number| {
        let table = profile.table(arch)?;
        Some(table.get(number).cloned().unwrap_or_else(|| Decision::always(table.missing(number))))
    });
    decision.and_then(|decision| decision.unconditional()).is_some_and(Action::permits)
}

/// Returns only if it fails.
fn become_bwrap(line: &Line<'_>, filter: &[u8]) -> io::Error {
    let memory = match in_memory("zerocap-filter", filter) {
        Ok(memory) => memory,
        Err(error) => return error,
    };
    // bwrap finds it under its number, reads it and closes it.
    if let Err(error) = fcntl_setfd(&memory, FdFlags::empty()) {
        return error.into();
    }
    let mut command = Command::new("bwrap");
    command.args(line.options).arg(line.how()).arg(memory.as_raw_fd().to_string());
    command.arg("--").args(line.command).exec()
}

/// A file without a name, to be read from its beginning.
fn in_memory(name: &str, content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn not_started(error: &io::Error) -> Failure {
    let (status, hint) = match error.kind() {
        io::ErrorKind::NotFound => (NO_BWRAP, "install bubblewrap"),
        _ => (NOT_STARTED, "look at the limits on processes, memory and open files"),
    };
    Failure::with_status(status, ZcError::new(code::filter::BWRAP, format!("bwrap cannot be started: {error}"), hint))
}
