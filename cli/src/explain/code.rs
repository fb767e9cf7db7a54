//! The pages of the error codes.

use crate::out::outln;
use std::process::ExitCode;

use zerocap_annotations::{ZcError, code, quote};

use crate::failure::Failure;

/// Prints every code with its title.
pub fn list() {
    for entry in code::all() {
        outln!("{}  {}", entry.code, entry.title);
    }
}

/// Prints the page of one code.
pub fn page(text: &str) -> Result<ExitCode, Failure> {
    let Some(entry) = code::lookup(text) else {
        let message = format!("there is no code {}", quote(text));
        let hint = "write a code as in ZC0102; `zerocap explain --list` shows all";
        return Err(Failure::bad_input(ZcError::new(code::node::UNKNOWN_CODE, message, hint)));
    };
    outln!("{}: {}\n", entry.code, entry.title);
    outln!("Why\n{}\n", indented(entry.cause));
    outln!("What to do\n{}\n", indented(entry.cure));
    outln!("Example\n{}", indented(entry.example));
    Ok(ExitCode::SUCCESS)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
