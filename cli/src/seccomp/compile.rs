//! `zerocap seccomp compile`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use zerocap_seccomp::walk::write_raw;
use zerocap_seccomp::{Action, by_name};

use super::names::{self, Variant};
use super::source::Source;
use super::write;
use crate::failure::Failure;

const HELP: &str = "\
Examples:
  A filter for bubblewrap:
    zerocap seccomp compile general -o general.bpf
    bwrap --seccomp 3 3<general.bpf …

  A list of one's own, for another machine:
    zerocap seccomp compile list.toml --arch aarch64 -o list.bpf

  For a container engine, by name only; what depends on arguments is listed on standard error:
    zerocap seccomp compile strict --to oci -o strict.json

The filter is the array of `struct sock_filter` that the kernel takes, little endian.

Exit status:
  0  the profile was compiled
  2  it cannot be understood or compiled; no output file was touched";

/// `zerocap seccomp compile`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// A preset or a file
    profile: String,

    /// Write to this file instead of standard output, under a temporary name that becomes this one
    #[arg(short, long = "out", value_name = "FILE")]
    out: Option<PathBuf>,

    /// What to write
    #[arg(long, value_enum, default_value_t = Form::Bpf)]
    to: Form,

    #[command(flatten)]
    variant: Variant,
}

/// Forms of a compiled profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A filter as the kernel and bubblewrap take it
    Bpf,
    /// `linux.seccomp` of an OCI spec, by name only
    Oci,
}

/// Compiles.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let source = Source::open(&arguments.profile)?;
    let out = arguments.out.as_deref();
    match arguments.to {
        Form::Bpf => write::output(out, &write_raw(&source.filter(&arguments.variant)?), true)?,
        Form::Oci => {
            let profile = source.profile(&arguments.variant)?;
            let written = by_name::write(&profile, arguments.variant.arch);
            write::output(out, format!("{:#}\n", written.seccomp).as_bytes(), false)?;
            report(&written, profile.foreign);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the JSON does not say.
fn report(written: &by_name::ByName, foreign: Action) {
    if !written.moved.is_empty() {
        eprintln!(
            "note: moved to the last layer, since OCI JSON cannot carry their conditions: {}",
            written.moved.join(", ")
        );
    }
    if let Some(unknown) = written.unknown {
        eprintln!("note: calls without a name are refused here; the profile answers {}", names::action(unknown));
    }
    if foreign != Action::KillThread {
        let answer = names::action(foreign);
        eprintln!("note: an engine ends the thread at a call of another ABI; the profile answers {answer}");
    }
}
