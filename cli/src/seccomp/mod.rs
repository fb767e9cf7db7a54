//! `zerocap seccomp`: profiles as people write them, the filters that they become, and programs under them.

mod bwrap;
mod compile;
mod diff;
mod disasm;
mod explain;
mod lint;
mod names;
mod presets;
mod source;
mod test;
mod words;
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
    /// Run bubblewrap with a profile's filter
    Bwrap(bwrap::Arguments),
    /// Show a filter instruction by instruction
    Disasm(disasm::Arguments),
    /// Tell which rule of a profile decides a call, and why
    Explain(explain::Arguments),
    /// Compare two profiles by meaning: what is newly allowed, what is newly refused
    Diff(diff::Arguments),
    /// Run a command under a profile and tell which calls it was refused
    Test(test::Arguments),
    /// What `test` runs: the process that becomes the command
    #[command(hide = true)]
    TestChild(test::ChildArguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Presets(a) => presets::run(a),
        Command::Compile(a) => compile::run(a),
        Command::Lint(a) => lint::run(a),
        Command::Bwrap(a) => bwrap::run(a),
        Command::Disasm(a) => disasm::run(a),
        Command::Explain(a) => explain::run(a),
        Command::Diff(a) => diff::run(a),
        Command::Test(a) => test::run(a),
        Command::TestChild(a) => test::run_child(a),
    }
}
