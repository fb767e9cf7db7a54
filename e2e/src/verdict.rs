//! How a test ends: it held, it failed, or it could not be tried here.

use libtest_mimic::{Completion, Failed};

/// Why a test cannot be tried on this machine; printed and counted, never silent.
#[derive(Debug, Clone)]
pub struct Skip(pub String);

/// What a test body may end with beside success.
#[derive(Debug)]
pub enum Outcome {
    /// The claim does not hold.
    Failed(String),
    /// The claim cannot be tried here.
    Skipped(Skip),
}

/// The type of every test body.
pub type TestResult = Result<(), Outcome>;

impl<E: std::fmt::Display> From<E> for Outcome {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Ends a test as failed, with a message.
pub fn fail<T>(message: impl Into<String>) -> Result<T, Outcome> {
    Err(Outcome::Failed(message.into()))
}

/// Ends a test as skipped, with the reason.
pub fn skip<T>(reason: impl Into<String>) -> Result<T, Outcome> {
    Err(Outcome::Skipped(Skip(reason.into())))
}

/// Translates for the test runner.
pub fn completion(result: TestResult) -> Result<Completion, Failed> {
    match result {
        Ok(()) => Ok(Completion::Completed),
        Err(Outcome::Skipped(Skip(reason))) => Ok(Completion::ignored_with(reason)),
        Err(Outcome::Failed(message)) => Err(Failed::from(message)),
    }
}

/// Fails the test unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Outcome::Failed(format!($($message)+)));
        }
    };
}

/// Fails the test unless both sides are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err($crate::Outcome::Failed(format!("{}: {left:?}, not {right:?}", format!($($message)+))));
                }
            }
        }
    };
}
