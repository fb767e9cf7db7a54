//! `zerocap seccomp`: profiles as people write them, the filters that they become, and programs under them.

mod compile;
mod lint;
mod names;
mod presets;
mod source;
pub mod write;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Failure;

const EXIT: &str = "\
PROFILE is the name of a preset, or a file: a list in TOML (docs/seccomp.md describes it), an OCI profile or config.json, \
or a compiled filter as bubblewrap takes it. A file that is called like a preset is written ./general.

Exit status, unless a command says otherwise:
  0  done
  2  the command line or a file cannot be understood; no output file was touched";

/// `zerocap seccomp`.
#[derive(Debug, Args)]
#[command(after_long_help = EXIT)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the presets, or show every line of one with its reason
    Presets(presets::Arguments),
    /// Compile a profile to a filter, or write it as OCI JSON
    Compile(compile::Arguments),
    /// Show what is wrong with a profile: what was written, what the kernel does, what to write
    Lint(lint::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Presets(a) => presets::run(a),
        Command::Compile(a) => compile::run(a),
        Command::Lint(a) => lint::run(a),
    }
}
