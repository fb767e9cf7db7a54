//! `zerocap seccomp test`: a command under a profile, and what it was refused.
//!
//! The filter that is loaded hands every call that the profile refuses to a tracer, this process, instead of refusing it.
//! The tracer knows the profile's answer, writes the call down and gives that answer. Calls that the profile permits never
//! leave the kernel. The tracer needs no privilege: it traces its own child, and whatever that starts.

mod child;
mod refusals;
mod registers;
mod tracer;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use zerocap_annotations::{ZcError, code};
use zerocap_seccomp::{Action, Arch, Insn, opcode};

pub use self::child::{Arguments as ChildArguments, run as run_child};
use self::refusals::Refusals;
use super::names::{Knobs, Variant};
use super::source::Source;
use super::write;
use crate::args::Output;
use crate::failure::Failure;

const HELP: &str = "\
The report goes to standard error when the command has ended, so that its output stays its own; --report puts it into a \
file. Children and threads are followed. What the command leaves running is ended.

  What does a test suite need that strict refuses?
    zerocap seccomp test strict -- make check

  With a list of one's own, for a program to read:
    zerocap seccomp test list.toml --output json --report refused.json -- ./server --self-test

The command runs without new privileges and is traced: a debugger inside it cannot attach, programs that gain privileges do not, and \
stopping it from the terminal does not hold it. A call that the profile answers with a signal or the end of a thread ends the process.

Exit status: that of the command, or 128 plus the number of the signal that ended it; 159 if the profile did. If nothing ran:
  2    the command line or the profile cannot be understood
  125  tracing is not possible here
  126  the command cannot be executed
  127  the command does not exist";

/// Nothing ran.
const NOT_STARTED: u8 = 125;
/// What the loaded filter hands to the tracer with a call.
const REFUSED: u16 = 0x7a63;

/// `zerocap seccomp test`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// A preset or a file
    #[arg(default_value = "general")]
    profile: String,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Write the report to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    knobs: Knobs,
}

/// Runs the command and reports.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Some(native) = Arch::native().filter(|arch| *arch == Arch::X86_64) else {
        let error =
            ZcError::new(code::filter::TRACE, "calls can be written down on x86-64 only", "use --seccomp of bwrap");
        return Err(Failure::with_status(NOT_STARTED, error));
    };
    let source = Source::open(&arguments.profile)?;
    let filter = source.filter(&Variant { arch: native, knobs: arguments.knobs.clone() })?;
    let handing = handing_over(&filter).ok_or_else(|| {
        let message = format!("{}: this filter computes its answers, so they cannot be told to anybody", source.name);
        Failure::bad_input(ZcError::new(code::filter::NOT_COMPILABLE, message, "use the profile that it was made from"))
    })?;
    let mut refusals = Refusals::new(native);
    let (status, ran) = tracer::trace(&arguments.command, &filter, &handing, &mut refusals).map_err(|error| {
        let message = format!("the command cannot be traced: {error}");
        let hint =
            "look at the limits on processes, at kernel.yama.ptrace_scope (3 forbids it), and whether /proc is mounted";
        Failure::with_status(NOT_STARTED, ZcError::new(code::filter::TRACE, message, hint))
    })?;
    if !ran {
        // The child has said why.
        return Ok(ExitCode::from(status));
    }
    let report = match arguments.output {
        Output::Json => format!("{:#}\n", refusals.json(&source.name, status)),
        Output::Table => refusals.table(&source.name),
    };
    match &arguments.report {
        Some(path) => write::output(Some(path), report.as_bytes(), false)?,
        None => eprint!("{report}"),
    }
    Ok(ExitCode::from(status))
}

/// The filter that hands over every call which this one does not permit. `None` if its answers are no constants.
fn handing_over(filter: &[Insn]) -> Option<Vec<Insn>> {
    filter
        .iter()
        .map(|insn| match insn.code {
            opcode::RET_A => None,
            opcode::RET_K if !Action::from_ret(insn.k).permits() => {
                Some(Insn { k: Action::Trace(REFUSED).ret(), ..*insn })
            }
            _ => Some(*insn),
        })
        .collect()
}
