//! `zerocap run`: a program of this machine, confined as a container's would be, without a container.

pub mod args;
mod child;
mod decide;
mod launcher;
mod privileges;
pub(crate) mod signals;

use std::process::{ExitCode, Stdio};

use serde_json::json;
use zerocap_annotations::report::Report;
use zerocap_annotations::{ZcError, code};

pub use args::Arguments;
use args::Output;
pub use child::{Child, Shared};
pub use decide::Decision;
use signals::Signals;

use crate::failure::Failure;
use crate::out::{self, outln};
use crate::seccomp::write;
use crate::status;

/// Nothing ran, for a reason of zerocap's.
const FAILED: u8 = 125;
/// The program is there and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// The program is not there.
const NOT_FOUND: u8 = 127;

/// Runs the program and ends as it ends.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let decision = Decision::of(&arguments.policy, &arguments.command)?;
    let tell = |report: &Report| -> Result<(), ZcError> {
        match arguments.output {
            Output::None => {}
            Output::Json => out::on_stderr(|| outln!("{:#}", json!(report))),
            Output::Table => out::on_stderr(|| show(report)),
        }
        match &arguments.report {
            Some(path) => write::file(path, format!("{:#}\n", json!(report)).as_bytes()).map_err(|error| {
                let message = format!("{}: {error}", path.display());
                ZcError::new(code::filter::OUTPUT, message, "look at the folder: space, permissions")
            }),
            None => Ok(()),
        }
    };
    supervise(&decision, &arguments.command, Stdio::inherit(), tell)
}

/// Runs a program in the place of this process: its signals, its stops, its status.
pub fn supervise(
    decision: &Decision,
    command: &[std::ffi::OsString],
    output: Stdio,
    tell: impl FnOnce(&Report) -> Result<(), ZcError>,
) -> Result<ExitCode, Failure> {
    let signals = Signals::hold().map_err(|error| failed(broken(&error)))?;
    let shared =
        Shared { input: Stdio::inherit(), output, error: Stdio::inherit(), mask: signals.before(), follow_stops: true };
    let child = Child::start(decision, command, shared, |report, handle| {
        tell(&report)?;
        let handle = handle.try_clone().map_err(|error| broken(&error))?;
        signals.pass_on(handle).map_err(|error| broken(&error))
    });
    let status = child.map_err(failed)?.wait().map_err(|error| failed(broken(&error)))?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

/// For a program that is started on the way: it reads nothing, and its stops are its own.
pub fn quiet() -> std::io::Result<Shared> {
    Ok(Shared {
        input: Stdio::null(),
        output: Stdio::null(),
        error: Stdio::null(),
        mask: signals::Mask::now()?,
        follow_stops: false,
    })
}

/// The report for people.
fn show(report: &Report) {
    status::policy_table(report);
    status::promise_table(report);
    status::verified_table(report);
    status::notes(report);
}

/// A failure with the status that shells have for it.
pub fn failed(error: ZcError) -> Failure {
    let status = match error.code {
        code::handover::PROGRAM_NOT_FOUND => NOT_FOUND,
        code::handover::PROGRAM_NOT_EXECUTABLE | code::handover::PROGRAM_FORMAT | code::handover::EXECVE => {
            NOT_EXECUTABLE
        }
        _ => FAILED,
    };
    Failure::with_status(status, error)
}

fn broken(error: &std::io::Error) -> ZcError {
    ZcError::new(
        code::node::RUN_START,
        format!("the program cannot be looked after: {error}"),
        "look at the limits on processes, memory and open files",
    )
}
