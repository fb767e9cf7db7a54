//! Standard output. A reader that goes away (`zerocap explain … | head`) ends the program without a word.

use std::fmt;
use std::io::{self, Write};
use std::process;

/// The exit status where there is no answer, or nobody to give it to.
const NO_ANSWER: i32 = 2;

/// Writes, or ends the program: without its output there is nothing left to do.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(text) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("error: standard output: {error}");
        }
        process::exit(NO_ANSWER);
    }
}

/// `print!`, without its panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::write(format_args!($($text)*)) };
}

/// `println!`, without its panic.
macro_rules! outln {
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {out, outln};
