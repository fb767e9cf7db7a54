//! The hand-over with real engines: runc and crun create containers whose first program is the launcher, and execute into
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

fn trial(test: &str, engine: &'static str, body: Body) -> Trial {
    Trial::ignorable_test(format!("{test}::{engine}"), move || match Engine::find(engine) {
        Ok(engine) => {
            body(&engine);
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}
