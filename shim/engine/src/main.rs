//! `zerocap-engine`: what runc does for a shim, over libcontainer.
//!
//! The command line, the log file and the error texts are runc's, so that a shim cannot tell the difference. It is a
//! program of its own because libcontainer must not be called from a process with several threads and changes
//! process-wide state: this one has a single thread and does one thing.
//!
//! Where libcontainer is more generous than runc, this engine is not: see `workload`.

mod args;
mod bundle;
mod cgroup_mount;
mod command;
mod console;
mod descriptors;
mod diagnosis;
mod log;
mod state;
mod sys;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Action, Arguments};
use crate::diagnosis::Diagnosis;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match diagnosed(&arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            log::error(&arguments.global, &error);
            ExitCode::FAILURE
        }
    }
}

/// Carries out the command, and finds the cause of a failure.
fn diagnosed(arguments: &Arguments) -> anyhow::Result<u8> {
    // First, while the numbers from 3 on are as the shim left them.
    descriptors::scrub_socket_activation()?;
    descriptors::keep(arguments.action.preserved())?;
    let diagnosis = Diagnosis::begin()?;
    run(arguments).map_err(|error| diagnosis.explain(error))
}

/// Carries out the command; the result is the exit status (that of the workload for an attached exec).
fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let root = arguments.root();
    match &arguments.action {
        Action::Create(a) => command::create::create(a, &root, arguments.global.systemd_cgroup)?,
        Action::Start(a) => command::start::start(a, &root)?,
        Action::State(a) => command::state::state(a, &root)?,
        Action::Kill(a) => command::kill::kill(a, &root)?,
        Action::Delete(a) => command::delete::delete(a, &root)?,
        Action::Exec(a) => return command::exec::exec(a, &root),
        Action::Ps(a) => command::ps::ps(a, &root)?,
        Action::Pause(a) => command::freeze::pause(a, &root)?,
        Action::Resume(a) => command::freeze::resume(a, &root)?,
        Action::Update(a) => command::update::update(a, &root)?,
        Action::Features(_) => command::features::features()?,
    }
    Ok(0)
}
