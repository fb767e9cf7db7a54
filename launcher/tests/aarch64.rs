//! The launcher for 64-bit ARM, wherever `hack/launcher-aarch64` can build it; run by an emulator, which knows neither
//! Landlock nor seccomp. Its filters are proven with the interpreter (`last_calls.rs`), its plan decoder is the same.

mod common;
#[path = "common/elf.rs"]
mod elf;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use common::{Start, bare, text};
use libtest_mimic::{Arguments, Completion, Trial};
use zerocap_plan::LaunchPlan;
use zerocap_plan::record::{Failure, Program, Step};

/// The program and the emulator.
struct Build {
    launcher: PathBuf,
    emulator: PathBuf,
}

type Body = fn(&Build);

const TESTS: [(&str, Body); 4] = [
    ("aarch64::the_file", the_file),
    ("aarch64::hand_over", hand_over),
    ("aarch64::search", search),
    ("aarch64::refusals", refusals),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let build = if arguments.list { Err(String::new()) } else { build() };
    let build = Arc::new(build);
    let trials = TESTS.map(|(name, body)| {
        let build = Arc::clone(&build);
        Trial::ignorable_test(name, move || match &*build {
            Ok(build) => {
                body(build);
                Ok(Completion::Completed)
            }
            Err(reason) if reason.is_empty() => Err("the build failed".into()),
            Err(reason) => Ok(Completion::ignored_with(reason)),
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// What the script built; why it cannot be had; nothing if it failed.
fn build() -> Result<Build, String> {
    const CANNOT: i32 = 3;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/launcher-aarch64");
    let output = Command::new(script).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match (output.status.code(), text(&output.stdout).split_once('\n')) {
        (Some(0), Some((launcher, emulator))) => Ok(Build { launcher: launcher.into(), emulator: emulator.into() }),
        (Some(CANNOT), _) => Err(said.lines().last().unwrap_or("it cannot be built here").to_owned()),
        _ => {
            eprintln!("{said}");
            Err(String::new())
        }
    }
}

fn start(build: &Build, plan: &LaunchPlan, arguments: &[&str]) -> Start {
    let mut all = vec![build.launcher.to_str().unwrap()];
    all.extend(arguments);
    Start::new(plan, all).by_path(&build.emulator)
}

fn the_file(build: &Build) {
    let bytes = fs::read(&build.launcher).unwrap();
    const EM_AARCH64: u16 = 183;
    elf::is_a_small_program_for(EM_AARCH64, &bytes);
    elf::needs_nothing_at_run_time(&bytes);
    elf::has_no_memory_that_is_writable_and_executable(&bytes);
    elf::has_no_panic_compiled_in(&bytes);
}

fn hand_over(build: &Build) {
    let (ready, output) = start(build, &bare(), &["sh", "-c", "echo \"$1\"", "sh", "one two"]).works();
    assert_eq!((text(&output.stdout), ready.filters), ("one two", 0));
    let mut running = start(build, &bare(), &["echo", "ran"]).spawn();
    running.ready();
    running.leave();
    assert_eq!(running.record(), None);
    let output = running.end();
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(125)));
}

fn search(build: &Build) {
    let failure = start(build, &bare(), &["no-such-program"]).fails();
    assert_eq!(failure, Failure { step: Step::Program, errno: 2, detail: Program::NotInPath as u32 });
    let failure = start(build, &bare(), &["/etc"]).fails();
    assert_eq!(failure, Failure { step: Step::Program, errno: 21, detail: Program::IsDirectory as u32 });
}

fn refusals(build: &Build) {
    assert_eq!(start(build, &bare(), &["true"]).privileged().fails().step, Step::NoNewPrivs);
    assert_eq!(start(build, &bare(), &[]).fails().step, Step::Arguments);
    let mut arguments = vec![build.launcher.to_str().unwrap()];
    arguments.push("true");
    let broken = Start::raw(vec![0; 64], arguments).by_path(&build.emulator);
    assert_eq!(broken.fails().step, Step::Plan);
}
