//! The hand-over with real engines: runc, crun and our own create containers whose first program is the launcher, and execute into
//! them. Needs root and the engines (in PATH, or where `hack/node` keeps its tools); what is missing is said and counted.

mod deaths;
mod hostile;
mod life;
mod programs;
mod rig;
mod truth;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};
use rig::Engine;

type Body = fn(&Engine);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Containers are orphaned by their engine and become this program's children, as they become the shim's.
    let subreaper = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let mut trials = Vec::new();
    for tests in [life::TESTS, deaths::TESTS, programs::TESTS, truth::TESTS, hostile::TESTS] {
        for name in rig::ENGINES {
            trials.extend(tests.iter().map(|&(test, body)| trial(test, name, body)));
        }
    }
    if let Err(error) = subreaper {
        eprintln!("this program cannot adopt containers: {error}");
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What an engine itself refuses, so that there is nothing to hand over.
const BEYOND: [(&str, &str, &str); 3] = [
    ("no_proc_in_the_container", "runc", "runc reads the last capability in /proc"),
    ("no_proc_in_the_container", "zerocap-engine", "libcontainer works through /proc"),
    (
        "no_new_privs_that_is_not_set",
        "zerocap-engine",
        "without it and capabilities libcontainer cannot load a profile",
    ),
];

fn trial(test: &'static str, engine: &'static str, body: Body) -> Trial {
    let beyond = BEYOND.iter().find(|(name, by, _)| (*name, *by) == (test, engine)).map(|(_, _, reason)| *reason);
    Trial::ignorable_test(format!("{test}::{engine}"), move || match Engine::find(engine) {
        Ok(_) if beyond.is_some() => Ok(Completion::ignored_with(beyond.unwrap_or_default())),
        Ok(engine) => {
            body(&engine);
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}
