//! Runs every scenario under both shims and compares what they saw.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::allowed::{self, Allowed};
use crate::page;
use crate::scenarios::{self, Scenario, checkpoints};
use crate::{faults, restore, soak};
use zerocap_e2e::task::trace;
use zerocap_e2e::task::{self, BASE, Run, Shim};

const ENGINES: [&str; 2] = ["runc", "crun"];
/// How often a scenario is run before a difference counts.
const ATTEMPTS: usize = 8;

/// Runs what `arguments` select.
pub fn run(arguments: &Arguments) -> ExitCode {
    let list = match allowed::read() {
        Ok(list) => list,
        Err(error) => {
            eprintln!("allowed.toml: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.list
        && let Err(error) = task::prepare()
    {
        eprintln!("cannot prepare {BASE}: {error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = few_descriptors() {
        eprintln!("cannot lower the limit of descriptors: {error}");
        return ExitCode::FAILURE;
    }
    let page = page::check(&scenarios::all(), &list);
    let used = Arc::new(Mutex::new(vec![false; list.difference.len()]));
    let allowed = Arc::new(list.difference);
    let mut trials = vec![
        Trial::test("page::is_up_to_date", || page.map_err(Failed::from)),
        Trial::test("trace::is_cleaned", || trace::check().map_err(Failed::from)),
        Trial::test("allowed::few_with_reasons", {
            let allowed = allowed.clone();
            move || allowed::check(&allowed).map_err(Failed::from)
        }),
    ];
    let mut skipped = Vec::new();
    for scenario in scenarios::all() {
        let scenario = Arc::new(scenario);
        for engine in ENGINES {
            let cannot = scenario.criu.then(|| checkpoints::obstacle(engine)).flatten();
            let (scenario, allowed, used) = (scenario.clone(), allowed.clone(), used.clone());
            let name = format!("{}::{engine}", scenario.name);
            if let Some(reason) = cannot {
                skipped.push(format!("skipped, {reason}: {name}"));
            }
            let trial = Trial::test(name, move || {
                repeatedly(&scenario, engine, || same(&scenario, engine, &allowed, &used)).map_err(Failed::from)
            });
            trials.push(trial.with_ignored_flag(cannot.is_some()));
        }
    }
    for engine in ENGINES {
        trials.push(Trial::test(format!("restore::goes_on::{engine}"), move || {
            restore::goes_on(engine).map_err(Failed::from)
        }));
        trials.push(Trial::test(format!("restore::is_refused::{engine}"), move || {
            restore::is_refused(engine).map_err(Failed::from)
        }));
        for shim in [Shim::Plain, Shim::Confined] {
            let named = |name: &str| format!("{name}::{engine}_{shim:?}").to_lowercase();
            for (name, row) in faults::TABLE {
                trials.push(Trial::test(named(&format!("faults::{name}")), move || {
                    faults::row(row, shim, engine).map_err(Failed::from)
                }));
            }
            trials.push(Trial::test(named("soak::execs"), move || soak::execs(shim, engine).map_err(Failed::from)));
            trials.push(Trial::test(named("soak::pods"), move || soak::pods(shim, engine).map_err(Failed::from)));
        }
    }
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let mut conclusion = libtest_mimic::run(arguments, trials);
    if whole {
        skipped.iter().for_each(|line| println!("{line}"));
    }
    if whole && !conclusion.has_failed() {
        let used = used.lock().unwrap_or_else(PoisonError::into_inner);
        for (difference, _) in allowed.iter().zip(used.iter()).filter(|(_, used)| !**used) {
            println!("not a difference any more, take it off the list: {}", difference.id);
            conclusion.num_failed += 1;
        }
    }
    conclusion.exit_code()
}

/// As few descriptors as systemd allows a service that does not ask for more: shims begin with that.
fn few_descriptors() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(1024, |most| most.min(1024));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit })?)
}

fn one(scenario: &Scenario, shim: Shim, engine: &'static str) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let begin = std::time::Instant::now();
    let result = runtime.block_on(async {
        let run = Run::start(shim, engine).await.map_err(|error| format!("{shim:?} does not start: {error}"))?;
        if let Err(stuck) = (scenario.body)(&run).await {
            run.note(&format!("stuck: {stuck}"));
        }
        run.finish().await
    });
    if std::env::var_os("ZEROCAP_SHOW_TIME").is_some() {
        println!("{} {engine} {shim:?}: {:?}", scenario.name, begin.elapsed());
    }
    result
}

/// A shim under load has races of its own, the reference too: what counts is a difference that shows every time.
/// One that does not is told, so that it can be looked for.
fn repeatedly(scenario: &Scenario, engine: &str, attempt: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let mut last = attempt();
    for _ in 1..ATTEMPTS {
        match &last {
            Ok(()) => break,
            Err(difference) => println!("{} with {engine} differs, once more:{difference}", scenario.name),
        }
        last = attempt();
    }
    last
}

fn same(scenario: &Scenario, engine: &'static str, allowed: &[Allowed], used: &Mutex<Vec<bool>>) -> Result<(), String> {
    let reference = one(scenario, Shim::Reference, engine)?;
    let shims: &[Shim] = if scenario.confined { &[Shim::Plain, Shim::Confined] } else { &[Shim::Plain] };
    let mut differences = String::new();
    for &shim in shims {
        let ours = one(scenario, shim, engine)?;
        let mut note = |index: usize| used.lock().unwrap_or_else(PoisonError::into_inner)[index] = true;
        let diff = allowed::differences(scenario.name, engine, shim, &reference, &ours, allowed, &mut note);
        if !diff.is_empty() {
            differences.push_str(&format!("\n{shim:?} differs from containerd's shim:\n{}", diff.join("\n")));
        }
    }
    if std::env::var_os("ZEROCAP_SHOW_TRACE").is_some() {
        println!("{}\n  {}", scenario.name, reference.join("\n  "));
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}
