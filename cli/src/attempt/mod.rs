//! `zerocap try`: what an attacker inside a program could do, without and with zerocap.

pub mod args;
mod show;
mod world;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::pipe::{PipeFlags, pipe_with};
use zerocap_annotations::{ZcError, code};
use zerocap_probe::{Outcome, Probe, World};

pub use args::Arguments;
use args::Output;
use world::Made;

use crate::failure::Failure;
use crate::out::outln;
use crate::run::{Decision, Shared, failed, quiet, supervise};

/// One row of the table.
struct Row {
    probe: &'static Probe,
    before: Outcome,
    after: Outcome,
}

/// Runs the program, then makes every attempt twice.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    // Without a program there is still a policy.
    let nothing = [OsString::from("true")];
    let command = if arguments.command.is_empty() { &nothing[..] } else { &arguments.command };
    let decision = Decision::of(&arguments.policy, command)?;
    let status = if arguments.command.is_empty() {
        ExitCode::SUCCESS
    } else {
        let output = match arguments.output {
            Output::Table => Stdio::inherit(),
            Output::Json => io::stderr().into(),
        };
        supervise(&decision, command, output, |_| Ok(()))?
    };
    let rows = rows(&decision).map_err(|error| failed(unmade(&error)))?;
    match arguments.output {
        Output::Table => show::table(&decision, &rows),
        Output::Json => show::json(&decision, &rows),
    }
    Ok(status)
}

/// Makes one attempt, in this process.
pub fn probe(arguments: &args::Probe) -> Result<ExitCode, Failure> {
    if arguments.name == world::WAIT {
        let _ = io::stdin().read(&mut [0]);
        return Ok(ExitCode::SUCCESS);
    }
    let known = Probe::find(&arguments.name).zip(World::from_arguments(&arguments.world));
    let Some((probe, world)) = known else {
        let message = "this command is for `zerocap try`, which starts it";
        return Err(Failure::bad_input(ZcError::new(code::node::RUN_START, message, "call zerocap try")));
    };
    outln!("{}", probe.attempt(&world));
    Ok(ExitCode::SUCCESS)
}

fn rows(decision: &Decision) -> io::Result<Vec<Row>> {
    let program = std::env::current_exe()?;
    let made = Made::new(&program, decision.proxy_port)?;
    let row = |probe: &'static Probe| -> io::Result<Row> {
        let words = words(&program, probe, &made.world);
        Ok(Row { probe, before: outside(&words, &made)?, after: inside(decision, &words)? })
    };
    Probe::all().iter().map(row).collect()
}

fn words(program: &Path, probe: &Probe, world: &World) -> Vec<OsString> {
    let mut words = vec![program.into(), "probe".into(), probe.name.into()];
    words.extend(world.to_arguments().map(OsString::from));
    words
}

/// As any program of this machine makes it, with what was left open.
fn outside(words: &[OsString], made: &Made) -> io::Result<Outcome> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
    let left_open = FdMapping { parent_fd: made.left_open()?, child_fd: made.world.descriptor };
    command.fd_mappings(vec![left_open]).map_err(io::Error::other)?;
    let output = command.output()?;
    Ok(judge(&String::from_utf8_lossy(&output.stdout), output.status.code()))
}

/// Confined as the program is.
fn inside(decision: &Decision, words: &[OsString]) -> io::Result<Outcome> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let shared = Shared { output: write.into(), ..quiet()? };
    let child = match crate::run::Child::start(decision, words, shared, |_, _| Ok(())) {
        Ok(child) => child,
        // For example where fs-execute does not list this program.
        Err(error) => return Ok(Outcome::Untried(error.message)),
    };
    let mut said = String::new();
    File::from(read).take(MAX_SAID).read_to_string(&mut said)?;
    Ok(judge(&said, i32::try_from(child.wait()?).ok()))
}

/// Far above one line.
const MAX_SAID: u64 = 4096;
/// 128 + SIGSYS.
const KILLED_BY_FILTER: i32 = 159;

fn judge(said: &str, status: Option<i32>) -> Outcome {
    match (said.parse(), status) {
        (Ok(outcome), _) => outcome,
        (Err(()), Some(KILLED_BY_FILTER)) => Outcome::Refused("killed".to_owned()),
        (Err(()), Some(status)) => Outcome::Untried(format!("ended with status {status}")),
        (Err(()), None) => Outcome::Untried("was killed".to_owned()),
    }
}

fn unmade(error: &io::Error) -> ZcError {
    ZcError::new(
        code::node::RUN_START,
        format!("what the attempts need cannot be made: {error}"),
        "look at loopback, the folder for temporary files, and the limits on processes",
    )
}
