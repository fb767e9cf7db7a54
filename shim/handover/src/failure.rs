//! Every way in which a hand-over fails, as one line with a code.

use std::io;

use zerocap_annotations::ZcError;
use zerocap_annotations::code::{Code, handover as code};
use zerocap_plan::PlanError;
use zerocap_plan::record::{Failure, Program, Step};

use super::Death;

const EINVAL: u16 = 22;
const ELOOP: u16 = 40;

/// What the messages of one start name.
#[derive(Debug)]
pub(super) struct Workload {
    /// The program, as the container's configuration names it.
    pub(super) program: String,
    /// The paths of the plan's rules, in order.
    pub(super) paths: Vec<Vec<u8>>,
}

/// An error whose hint is the table's cure.
pub(super) fn error(code: Code, message: impl Into<String>) -> ZcError {
    let cure = code.entry().map_or("", |entry| entry.cure);
    ZcError::new(code, message, cure.trim_end_matches('.'))
}

pub(super) fn plan(cause: PlanError) -> ZcError {
    error(code::PLAN_TOO_LARGE, cause.to_string())
}

pub(super) fn channel(cause: io::Error) -> ZcError {
    error(code::CHANNEL, format!("the hand-over cannot be prepared: {cause}"))
}

pub(super) fn record(cause: io::Error) -> ZcError {
    error(code::BAD_RECORD, format!("the hand-over brought something unexpected: {cause}"))
}

pub(super) fn twice_ready() -> ZcError {
    error(code::BAD_RECORD, "the launcher said READY twice")
}

pub(super) fn not_ready() -> ZcError {
    error(code::NOT_READY_IN_TIME, "the launcher was not ready in time")
}

pub(super) fn stuck() -> ZcError {
    error(code::NOT_READY_IN_TIME, "the launcher did not execute the program in time after GO")
}

pub(super) fn ended_before_ready(death: Option<&Death>) -> ZcError {
    error(code::DIED_BEFORE_READY, format!("the launcher {} before it was ready", ended(death)))
}

pub(super) fn ended_after_go(death: &Death) -> ZcError {
    error(code::DIED_AFTER_GO, format!("the launcher {} between GO and execve", ended(Some(death))))
}

pub(super) fn go(cause: &io::Error, death: Option<&Death>) -> ZcError {
    error(code::GO_FAILED, format!("the launcher {} while it was parked ({cause})", ended(death)))
}

fn ended(death: Option<&Death>) -> String {
    match death.map(|death| death.status) {
        None => "ended".to_owned(),
        Some(159) => "was killed by a seccomp filter (SIGSYS)".to_owned(),
        Some(status @ 129..) => format!("was killed by signal {}", status - 128),
        Some(status) => format!("ended with status {status}"),
    }
}

impl Workload {
    /// The sentence for a record in which the launcher says what failed.
    pub(super) fn refusal(&self, failure: &Failure) -> ZcError {
        let kernel = io::Error::from_raw_os_error(i32::from(failure.errno));
        let (code, message) = match failure.step {
            Step::Program | Step::Execute => return self.program(failure, &kernel),
            Step::Undumpable => (code::DUMPABLE, format!("the launcher cannot make itself undumpable: {kernel}")),
            Step::Plan if failure.errno != 0 => {
                (code::PLAN_REJECTED, format!("the launcher cannot read its plan: {kernel}"))
            }
            Step::Plan => {
                (code::PLAN_REJECTED, format!("the launcher does not accept its plan (reason {})", failure.detail))
            }
            Step::Arguments => (code::PROGRAM_NOT_FOUND, "the container's command is empty".to_owned()),
            Step::Descriptors => {
                (code::DESCRIPTORS, format!("descriptor {} cannot be closed: {kernel}", failure.detail))
            }
            Step::Stdio if failure.errno != 0 => {
                (code::STDIO_REFUSED, format!("descriptor {} cannot be looked at: {kernel}", failure.detail))
            }
            Step::Stdio => (code::STDIO_REFUSED, format!("descriptor {} is a directory or a socket", failure.detail)),
            Step::WorkingDirectory => {
                (code::CWD_OUTSIDE, format!("the working directory is not in the container: {kernel}"))
            }
            Step::NoNewPrivs => (code::NO_NEW_PRIVS, "no_new_privs is not set".to_owned()),
            Step::Ruleset => (code::LANDLOCK, format!("the Landlock ruleset cannot be made: {kernel}")),
            // Landlock knows the path, not the right.
            Step::PathRule if failure.errno == EINVAL => {
                (code::LANDLOCK, format!("Landlock refuses the rule for {}: {kernel}", self.path(failure.detail)))
            }
            Step::PathRule if failure.errno == ELOOP => {
                let path = self.path(failure.detail);
                (code::PATH_THROUGH_LINK, format!("{path} leads through a symbolic link in the container"))
            }
            Step::PathRule => {
                let path = self.path(failure.detail);
                (code::PATH_MISSING, format!("{path} cannot be opened in the container: {kernel}"))
            }
            Step::PortRule => (code::LANDLOCK, format!("Landlock refuses the port rule {}: {kernel}", failure.detail)),
            Step::Restrict => (code::LANDLOCK, format!("the Landlock domain cannot be entered: {kernel}")),
            Step::ForbiddenConnect if failure.errno == 0 => {
                (code::CONNECT_NOT_REFUSED, "the forbidden connect succeeded: Landlock does not refuse it".to_owned())
            }
            Step::ForbiddenConnect => {
                (code::CONNECT_NOT_REFUSED, format!("the forbidden connect ended with {kernel}, not Permission denied"))
            }
            Step::Random | Step::Name => (code::COOKIE, format!("the launcher cannot draw its cookie: {kernel}")),
            Step::Filter => (code::FILTER, format!("filter {} cannot be loaded: {kernel}", failure.detail)),
            Step::Go if failure.errno == 0 => {
                (code::BAD_RECORD, "the launcher received something else than GO".to_owned())
            }
            Step::Go => (code::GO_FAILED, format!("the launcher cannot wait for GO: {kernel}")),
            _ => (code::BAD_RECORD, "the launcher failed at a step that this shim does not know".to_owned()),
        };
        error(code, message)
    }

    /// The engines' sentences, so that what people search for is found.
    fn program(&self, failure: &Failure, kernel: &io::Error) -> ZcError {
        let name = zerocap_annotations::quote(&self.program);
        let reason = Program::from_number(failure.detail).unwrap_or(Program::Other);
        let (code, message) = match reason {
            Program::NotInPath => {
                (code::PROGRAM_NOT_FOUND, format!("exec: {name}: executable file not found in $PATH"))
            }
            Program::NoSuchFile => (code::PROGRAM_NOT_FOUND, format!("exec: {name}: no such file or directory")),
            Program::BadInterpreter => (
                code::PROGRAM_NOT_FOUND,
                format!(
                    "exec: {name}: no such file or directory (the program is there, its interpreter or loader is not)"
                ),
            ),
            Program::IsDirectory => (code::PROGRAM_NOT_EXECUTABLE, format!("exec: {name}: is a directory")),
            Program::PermissionDenied => (code::PROGRAM_NOT_EXECUTABLE, format!("exec: {name}: permission denied")),
            Program::ExecFormat => (code::PROGRAM_FORMAT, format!("exec: {name}: exec format error")),
            Program::ForeignAbi => (
                code::PROGRAM_FORMAT,
                format!("exec: {name}: exec format error (a 32-bit program, whose system calls the policy refuses)"),
            ),
            Program::TooLong => (code::EXECVE, format!("exec: {name}: argument list too long")),
            _ => (code::EXECVE, format!("exec: {name}: {kernel}")),
        };
        error(code, message)
    }

    fn path(&self, index: u32) -> String {
        let path = usize::try_from(index).ok().and_then(|index| self.paths.get(index));
        path.map_or_else(|| "a path".to_owned(), |path| zerocap_annotations::quote(&String::from_utf8_lossy(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload { program: "my\nprogram".to_owned(), paths: vec![b"/da\nta".to_vec()] }
    }

    /// Whatever a record says, it becomes one bounded line with a code of this room and a hint.
    #[test]
    fn each_failure_is_one_line_with_a_code() {
        for &step in Step::ALL {
            for errno in [0, 1, 2, EINVAL, 38, ELOOP, u16::MAX] {
                for detail in [0, 1, 7, u32::MAX] {
                    let error = workload().refusal(&Failure { step, errno, detail });
                    let text = error.to_string();
                    assert!(text.starts_with("ZC06") && !text.contains('\n') && text.len() < 600, "{text}");
                    assert!(error.code.entry().is_some() && !error.hint.is_empty(), "{text}");
                }
            }
        }
    }

    #[test]
    fn sentences_name_what_failed() {
        let said = |step, errno, detail| workload().refusal(&Failure { step, errno, detail }).message;
        assert_eq!(
            said(Step::PathRule, 2, 0),
            "\"/da\\nta\" cannot be opened in the container: No such file or directory (os error 2)"
        );
        assert_eq!(said(Step::PathRule, ELOOP, 0), "\"/da\\nta\" leads through a symbolic link in the container");
        assert_eq!(
            said(Step::PathRule, EINVAL, 9),
            "Landlock refuses the rule for a path: Invalid argument (os error 22)"
        );
        assert_eq!(said(Step::Stdio, 0, 2), "descriptor 2 is a directory or a socket");
        assert_eq!(said(Step::ForbiddenConnect, 0, 0), "the forbidden connect succeeded: Landlock does not refuse it");
        let reason = |program: Program| said(Step::Program, 13, program as u32);
        assert_eq!(reason(Program::NotInPath), "exec: \"my\\nprogram\": executable file not found in $PATH");
        assert_eq!(reason(Program::Other), "exec: \"my\\nprogram\": Permission denied (os error 13)");
    }

    #[test]
    fn deaths_are_told_apart() {
        let death = |status| Death { status, comm: Vec::new() };
        assert_eq!(ended(None), "ended");
        assert_eq!(ended(Some(&death(1))), "ended with status 1");
        assert_eq!(ended(Some(&death(137))), "was killed by signal 9");
        assert!(ended(Some(&death(159))).contains("SIGSYS"));
    }
}
