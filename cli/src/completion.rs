//! `zerocap completion`.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Arguments, Completion};
use crate::failure::Failure;

/// Prints the script.
pub fn run(arguments: &Completion) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "zerocap", &mut script);
    // A reader that has seen enough is no error.
    drop(io::Write::write_all(&mut io::stdout(), &script));
    Ok(ExitCode::SUCCESS)
}
