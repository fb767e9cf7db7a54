//! `zerocap seccomp disasm`.

use std::process::ExitCode;

use clap::Args;
use zerocap_seccomp::disassemble;

use super::names::Variant;
use super::source::Source;
use crate::failure::Failure;
use crate::out::outln;

const HELP: &str = "\
  What is in a filter that somebody compiled?
    zerocap seccomp disasm filter.bpf

  What does a list become?
    zerocap seccomp disasm list.toml --arch aarch64

Exit status:
  0  the filter was shown
  2  the profile cannot be understood or compiled";

/// `zerocap seccomp disasm`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// A preset or a file
    profile: String,

    #[command(flatten)]
    variant: Variant,
}

/// Shows the filter.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let filter = Source::open(&arguments.profile)?.filter(&arguments.variant)?;
    for line in disassemble(&filter) {
        outln!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
