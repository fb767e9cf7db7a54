//! How a command ends without an answer, or with "no".

use std::process::ExitCode;

use zerocap_annotations::ZcError;

/// The answer is "no": refused, not confined.
pub const NO: u8 = 1;
/// There is no answer: the input cannot be understood.
pub const BAD_INPUT: u8 = 2;

/// An error with the exit status that it means. It is told in one line on stderr.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    error: ZcError,
}

impl Failure {
    /// What was asked for is refused.
    pub fn refused(error: ZcError) -> Self {
        Self { status: NO, error }
    }

    /// What was given cannot be used.
    pub fn bad_input(error: impl Into<ZcError>) -> Self {
        Self { status: BAD_INPUT, error: error.into() }
    }

    /// Ends with a status of the command's own.
    pub fn with_status(status: u8, error: ZcError) -> Self {
        Self { status, error }
    }

    /// Tells the error.
    pub fn tell(self) -> ExitCode {
        eprintln!("error: {}", self.error);
        ExitCode::from(self.status)
    }
}
