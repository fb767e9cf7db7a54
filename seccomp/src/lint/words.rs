//! Answers and calls in the words of a report.

use super::signature::parameter;
use crate::oci::errno_name;
use crate::{Action, Arch};

/// `EPERM`, or the number.
pub(super) fn errno(number: u16) -> String {
    errno_name(number).map_or_else(|| format!("errno {number}"), str::to_owned)
}

/// What happens to the call, as the end of a sentence that begins with the call.
pub(super) fn answer(action: Action) -> String {
    match action {
        Action::Allow => "is made".to_owned(),
        Action::Log => "is made and logged".to_owned(),
        Action::Trace(_) => "waits for a tracer, without one fails with ENOSYS".to_owned(),
        Action::Notify => "waits for the listener, without one fails with ENOSYS".to_owned(),
        Action::Errno(0) => "is not made and reports success".to_owned(),
        Action::Errno(number) => format!("fails with {}", errno(number)),
        Action::Trap => "gets SIGSYS".to_owned(),
        Action::KillThread => "kills the thread".to_owned(),
        Action::KillProcess => "kills the process".to_owned(),
    }
}

/// A call with arguments, as in `openat(_, _, 0x241)`: those that are given, the others open.
pub(super) fn call(name: &str, args: &[(u8, u64)]) -> String {
    let last = args.iter().map(|(index, _)| usize::from(*index) + 1).max().unwrap_or(0);
    let shown: Vec<String> = (0..last)
        .map(|index| match args.iter().find(|(given, _)| usize::from(*given) == index) {
            Some((_, value)) => number(*value),
            None => "_".to_owned(),
        })
        .collect();
    format!("{name}({})", shown.join(", "))
}

/// A number as a person reads it: small ones in decimal.
pub(super) fn number(value: u64) -> String {
    if value < 256 { value.to_string() } else { format!("{value:#x}") }
}

/// The argument with its name, as in `argument 2 (flags)`.
pub(super) fn argument(call: &str, index: u8) -> String {
    match parameter(call, index) {
        Some(parameter) => format!("argument {index} ({})", parameter.name),
        None => format!("argument {index}"),
    }
}

/// `a, b and c`, at most eight of them.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    const SHOWN: usize = 8;
    match items.get(..SHOWN) {
        Some(shown) if items.len() > SHOWN => {
            let shown: Vec<&str> = shown.iter().map(AsRef::as_ref).collect();
            format!("{} and {} more", shown.join(", "), items.len() - SHOWN)
        }
        _ => all(items),
    }
}

/// `a, b and c`, all of them.
pub(super) fn all<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// Where a call of this ABI comes from.
pub(super) fn abi(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::X32 => "x32",
        Arch::I386 => "i386",
        Arch::Aarch64 => "aarch64",
        Arch::Arm => "arm",
    }
}
