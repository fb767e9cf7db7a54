//! bubblewrap with the launcher between it and the command.
//!
//! bwrap executes the launcher, the launcher loads the filter and executes the command: that call passes by the cookie.
//! The plan, the launcher's word and GO go by descriptors 3 to 5, as in a container.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{SealFlags, fcntl_add_seals};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use zerocap_annotations::{ZcError, code};
use zerocap_plan::record::{Failure as LauncherFailure, RECORD_LEN, Record, Step};
use zerocap_plan::{Filter, GO, GO_FD, LaunchPlan, PLAN_FD, RECORD_FD, Role};
use zerocap_seccomp::{Gate, Profile};

use super::line::Line;
use super::{NOT_STARTED, in_memory, not_started};
use crate::failure::Failure;
use crate::run::signals::{Mask, Signals};
use crate::seccomp::names::Variant;
use crate::seccomp::source::Source;

/// What may be handed to bwrap by whoever calls this program; above it the launcher's file finds a number.
const MOST_DESCRIPTORS: i32 = 1024;

/// Runs it to its end.
pub fn run(
    source: &Source,
    variant: &Variant,
    profile: &Profile,
    line: &Line<'_>,
    place: &str,
) -> Result<ExitCode, Failure> {
    let plan = plan(source, variant, profile)?;
    let broken = |error: io::Error| not_started(&error);
    let number = free_descriptor()?;
    let signals = Signals::hold().map_err(broken)?;
    let (mut child, mut word, mut go) = start(&plan, line, place, number, signals.before()).map_err(broken)?;
    let handle = Pid::from_raw(child.id().cast_signed())
        .ok_or_else(|| io::Error::other("a child without number"))
        .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
    signals.pass_on(handle.map_err(broken)?).map_err(broken)?;

    let program = line.program()?.to_string_lossy().into_owned();
    let mut refused = None;
    while let Some(record) = next(&mut word) {
        match record {
            Record::Ready(_) => {
                // A launcher that is gone meanwhile has bwrap say so.
                let _ = go.write_all(&[GO]);
            }
            Record::Error(failure) => refused = Some(failure),
        }
    }
    drop(go);
    let status = ended(&mut child).map_err(broken)?;
    match refused {
        Some(failure) => Err(Failure::with_status(NOT_STARTED, in_words(&failure, &program))),
        None => Ok(ExitCode::from(status)),
    }
}

/// One filter, with the gate for the launcher's last calls, and nothing else.
fn plan(source: &Source, variant: &Variant, profile: &Profile) -> Result<Vec<u8>, Failure> {
    let program = source.program(variant, Gate::LastCalls)?;
    let insns = program.insns.iter().map(|i| zerocap_plan::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let cookie =
        program.cookie.iter().map(|site| zerocap_plan::CookieSite { insn: site.insn, word: site.word }).collect();
    let plan = LaunchPlan {
        role: Role::Init,
        landlock: None,
        forbidden_connect: None,
        native_abi_only: profile.foreign.refuses() && profile.tables().all(|(arch, _)| arch == variant.arch),
        filters: vec![Filter { insns, cookie, spec_allow: true }],
    };
    plan.encode().map_err(|error| {
        let message = format!("{}: {error}", source.name);
        Failure::bad_input(ZcError::new(code::filter::NOT_COMPILABLE, message, "use a smaller profile"))
    })
}

/// The hand-over takes 3 to 5; the launcher's file takes the next number that nobody uses.
fn free_descriptor() -> Result<i32, Failure> {
    let open = |number: i32| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    if let Some(number) = (PLAN_FD..=GO_FD).find(|number| open(*number)) {
        let message = format!("descriptor {number} is in use, and the launcher needs 3 to 5");
        let hint = "give bwrap other numbers";
        return Err(Failure::bad_input(ZcError::new(code::filter::BWRAP, message, hint)));
    }
    (GO_FD + 1..MOST_DESCRIPTORS).find(|number| !open(*number)).ok_or_else(|| {
        let message = format!("every descriptor up to {MOST_DESCRIPTORS} is in use");
        Failure::bad_input(ZcError::new(code::filter::BWRAP, message, "close some"))
    })
}

fn start(plan: &[u8], line: &Line<'_>, place: &str, number: i32, mask: Mask) -> io::Result<(Child, File, File)> {
    let sealed = in_memory("zerocap-plan", plan)?;
    fcntl_add_seals(&sealed, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let launcher = in_memory("zerocap-launcher", zerocap_launcher::BYTES)?;
    let (word, tell) = pipe_with(PipeFlags::CLOEXEC)?;
    let (wait, go) = pipe_with(PipeFlags::CLOEXEC)?;
    let mapping = |parent_fd, child_fd| FdMapping { parent_fd, child_fd };
    let mut command = Command::new("bwrap");
    command.args(line.options).arg("--perms").arg(format!("{:04o}", zerocap_launcher::MODE));
    command.arg("--ro-bind-data").arg(number.to_string()).args([place, "--", place]).args(line.command);
    command
        .fd_mappings(vec![
            mapping(sealed.into(), PLAN_FD),
            mapping(tell, RECORD_FD),
            mapping(wait, GO_FD),
            mapping(launcher.into(), number),
        ])
        .map_err(io::Error::other)?;
    // In a thread of its own, since a child has its maker's signal mask.
    let child = std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            mask.restore()?;
            command.spawn()
        });
        maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes the child ended")))
    })?;
    // With the command go this process's copies of the sandbox's ends.
    drop(command);
    Ok((child, word.into(), go.into()))
}

/// What the launcher says next; `None` when it is gone or has become the command.
fn next(word: &mut File) -> Option<Record> {
    let mut bytes = [0; RECORD_LEN];
    word.read_exact(&mut bytes).ok()?;
    Record::decode(&bytes)
}

fn ended(child: &mut Child) -> io::Result<u8> {
    let status = child.wait()?;
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    Ok(u8::try_from(number).unwrap_or(u8::MAX))
}

fn in_words(failure: &LauncherFailure, program: &str) -> ZcError {
    let error = io::Error::from_raw_os_error(i32::from(failure.errno));
    let (message, hint) = match failure.step {
        Step::Execute | Step::Program => {
            (format!("{program} cannot be executed: {error}"), "name a program of the sandbox")
        }
        Step::Stdio => (
            format!("descriptor {} is a socket or a folder", failure.detail),
            "the launcher takes pipes, files and terminals as standard input and outputs",
        ),
        step => (
            format!("the launcher failed at step {step:?}: {error}"),
            "look at the sandbox's own filters and at its /proc",
        ),
    };
    ZcError::new(code::filter::BWRAP, message, hint)
}
