//! The command line of `zerocap run` and `zerocap try`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

const HELP: &str = "\
Examples:
  A build step that reaches nothing but the proxy on port 3128:
    zerocap run -- make

  The same, and nothing outside the list is written:
    zerocap run --annotation zerocap.io/fs-write=/tmp -- make test

  What is enforced, and what is not for want of a container:
    zerocap run --output table -- true

The program keeps its environment, working directory, standard descriptors and terminal; every other descriptor is closed. \
Signals that are sent to zerocap are passed on. Root loses its capabilities and stays uid 0 unless --user says otherwise.

Exit status:
  that of the program, or 128 + the signal that ended it
  125  zerocap refused or failed; nothing ran
  126  the program cannot be executed
  127  the program is not found
  2    the command line cannot be understood";

/// `zerocap run`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub policy: Policy,

    /// Tell on standard error what is enforced, before the program runs
    #[arg(long, value_enum, default_value_t = Output::None)]
    pub output: Output,

    /// Write the enforcement report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What decides.
#[derive(Debug, Args)]
pub struct Policy {
    /// An annotation as a pod has it; may be given several times. Without one for the mode: network-enforcement=platform
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::args::key_value)]
    pub annotation: Vec<(String, String)>,

    /// A floor file; without it there is no floor
    #[arg(long, value_name = "FILE")]
    pub floor: Option<PathBuf>,

    /// Run as this user and group, by number, without further groups; the group is the user's number if it is not given
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<User>,
}

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        // The last number means "leave as it is" to the kernel.
        let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
        match (number(uid), number(gid)) {
            (Some(uid), Some(gid)) => Ok(Self { uid, gid }),
            _ => Err("write numbers, as in 65534 or 1000:100".to_owned()),
        }
    }
}

/// Forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Say nothing
    None,
    /// For people
    Table,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!("7".parse(), Ok(User { uid: 7, gid: 7 }));
        assert_eq!("7:8".parse(), Ok(User { uid: 7, gid: 8 }));
        for bad in ["", "root", "-1", "1:", ":1", "1:2:3", "4294967295", "0:4294967295", "4294967296"] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }
}
