//! The command line of `zerocap try`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::run::args::Policy;

const HELP: &str = "\
Examples:
  What could somebody do who takes over this build?
    zerocap try -- make

  Only the table, for a stricter policy:
    zerocap try --annotation zerocap.io/fs-write=/tmp

Each attempt is made twice by this program: as it is, and confined as CMD is. It touches only what zerocap has made for it: \
listeners on loopback, a process that waits, a folder. \"yes\" means that an attacker inside CMD can do it.

Exit status: that of CMD, as with `zerocap run`; without CMD 0";

/// `zerocap try`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub policy: Policy,

    /// How to show it; with json, standard output has the document only and CMD's goes to standard error
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// The program and its arguments, run confined before the attempts
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// One attempt, made by a process of its own: `zerocap try` starts it.
#[derive(Debug, Args)]
pub struct Probe {
    /// The attempt
    pub name: String,
    /// What it is pointed at
    pub world: Vec<String>,
}
