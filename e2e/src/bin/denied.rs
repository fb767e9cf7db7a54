//! Runs a program as on a kernel that lacks something: `zerocap-denied NUMBER… -- PROGRAM ARGUMENT…`. The system calls with these numbers
//! fail with ENOSYS, in it and in all that it starts.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let numbers: Vec<i64> =
        arguments.by_ref().take_while(|word| word != "--").filter_map(|word| word.parse().ok()).collect();
    let Some(program) = arguments.next() else {
        eprintln!("usage: zerocap-denied NUMBER… -- PROGRAM ARGUMENT…");
        return ExitCode::from(2);
    };
    if let Err(error) = deny(&numbers) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("error: {program}: {error}");
    ExitCode::FAILURE
}

fn deny(numbers: &[i64]) -> Result<(), Box<dyn std::error::Error>> {
    let rules: BTreeMap<i64, Vec<_>> = numbers.iter().map(|number| (*number, Vec::new())).collect();
    let missing = SeccompAction::Errno(rustix::io::Errno::NOSYS.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}
