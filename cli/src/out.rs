//! Standard output. A reader that goes away (`zerocap explain … | head`) ends the program without a word.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status where there is no answer, or nobody to give it to.
const NO_ANSWER: i32 = 2;

/// Whether standard error is written to instead.
static STDERR: AtomicBool = AtomicBool::new(false);

/// Lets `show` write to standard error: standard output is another program's.
pub(crate) fn on_stderr(show: impl FnOnce()) {
    STDERR.store(true, Ordering::Relaxed);
    show();
    STDERR.store(false, Ordering::Relaxed);
}

/// Writes, or ends the program: without its output there is nothing left to do.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    let written = if STDERR.load(Ordering::Relaxed) {
        io::stderr().lock().write_fmt(text)
    } else {
        io::stdout().lock().write_fmt(text)
    };
    if let Err(error) = written {
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
