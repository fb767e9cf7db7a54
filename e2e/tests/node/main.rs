//! The tests that need a node. One node is started and shared; each test makes pods of its own.
//!
//! `cargo test -p zerocap-e2e --test node -- FILTER`. What cannot be tried on this machine is counted as ignored, with
//! its reason; the list is printed at the end.

mod attacks;
mod clients;
mod confined;
mod egress;
mod engines;
mod fence;
mod floor;
mod frozen;
mod handover;
mod images;
mod inference;
mod install;
mod knobs;
mod lists;
mod names;
mod names_pods;
mod often;
mod over;
mod presets;
mod programs;
mod refused;
mod seccomp_names;
mod status;
mod systemd;
mod upgrade;
mod works;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};
use zerocap_e2e::verdict::{Outcome, Skip, completion, fail, skip};
use zerocap_e2e::{Node, TestResult, leak, node};

/// containerd's own shim: what we are compared with.
const REFERENCES: [&str; 2] = ["runc", "crun"];
/// Ours, with each engine.
const ENGINES: [&str; 4] = ["zerocap-runc", "zerocap-crun", "zerocap-embedded", YOUKI];
/// Nodes have this one where `make youki` built the engine.
const YOUKI: &str = "zerocap-youki";

/// Something that an engine cannot do here, for a reason of its own.
#[derive(Clone, Copy)]
struct Gap {
    /// The beginning of the tests' names.
    tests: &'static str,
    /// There only where this exists.
    only_with: &'static str,
    /// What the failure says. Any other failure is one: an attack that gets through most of all.
    says: &'static str,
    reason: &'static str,
}

/// What does not work with youki 0.7; docs/engines.md.
const YOUKI_GAPS: [Gap; 3] = [
    Gap { tests: "works::shared_processes", ..SHARED_PIDS },
    SHARED_PIDS,
    Gap {
        tests: "works::read_only_files",
        only_with: "/",
        says: "the terminal:",
        reason: "youki leaves a terminal to root: a program cannot open its own again",
    },
];
const SHARED_PIDS: Gap = Gap {
    tests: "attacks::neighbour",
    only_with: "/sys/fs/cgroup/memory",
    says: "failed to prepare rootfs",
    reason: "youki cannot share a PID namespace where cgroups are version 1: it looks itself up in the node's /proc",
};

/// A known gap is a skip with its reason; one that has closed is a failure, so that the list stays true.
fn judged(result: TestResult, handler: &str, test: &str) -> TestResult {
    let known = |gap: &&Gap| handler == YOUKI && test.starts_with(gap.tests) && Path::new(gap.only_with).exists();
    match (result, YOUKI_GAPS.iter().find(known)) {
        (Ok(()), Some(gap)) => fail(format!("works now, take it off the list of gaps: {}", gap.reason)),
        (Err(Outcome::Failed(text)), Some(gap)) if text.contains(gap.says) => skip(gap.reason),
        (result, _) => result,
    }
}

/// The tests of this program, gathered by module.
struct Suite {
    node: Option<Arc<Node>>,
    obstacle: Option<String>,
    skipped: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    results: Arc<engines::Results>,
    trials: Vec<Trial>,
}

impl Suite {
    /// Adds a test that is run once for each handler.
    fn each(&mut self, name: &str, handlers: &[&'static str], body: fn(&Node, &str) -> TestResult) {
        for &handler in handlers {
            self.with(format!("{name}::{handler}"), handler, move |node| body(node, handler));
        }
    }

    /// Whether there is a node, and it has no youki.
    fn lacks_youki(&self) -> bool {
        self.node.as_ref().is_some_and(|node| !node.has_handler(YOUKI))
    }

    /// Adds one test.
    fn with(&mut self, name: String, handler: &str, body: impl FnOnce(&Node) -> TestResult + Send + 'static) {
        if handler == YOUKI && self.lacks_youki() {
            return;
        }
        let (node, obstacle, skipped) = (self.node.clone(), self.obstacle.clone(), Arc::clone(&self.skipped));
        let results = Arc::clone(&self.results);
        let handler = handler.to_owned();
        let (shown, ours) = (name.clone(), handler.starts_with("zerocap"));
        self.trials.push(Trial::ignorable_test(name, move || {
            let result = match &node {
                None => skip(obstacle.unwrap_or_default()),
                Some(node) if ours && node.program("containerd-shim-zerocap-v2").is_none() => {
                    skip("zerocap is not built: run `make build`")
                }
                Some(node) => judged(body(node), &handler, &shown),
            };
            results.add(&shown, &result);
            if let (Err(Outcome::Skipped(Skip(reason))), Ok(mut list)) = (&result, skipped.lock()) {
                list.entry(reason.clone()).or_default().push(shown);
            }
            completion(result)
        }));
    }
}

/// Builds and imports a set of images at its first use.
fn import_once(node: &Node, set: &str) -> std::io::Result<()> {
    static DONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut done = DONE.lock().map_err(|_| std::io::Error::other("an import panicked"))?;
    if !done.contains(set) {
        node.import(set)?;
        done.insert(set.to_owned());
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut suite = Suite {
        node: None,
        obstacle: node::obstacle(),
        skipped: Arc::default(),
        results: Arc::default(),
        trials: Vec::new(),
    };
    if suite.obstacle.is_none() && !arguments.list {
        match Node::start() {
            Ok(node) => suite.node = Some(Arc::new(node)),
            // An obstacle is something that the machine lacks; this is a fault.
            Err(error) => {
                eprintln!("the node does not start: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if suite.lacks_youki() {
        // Counted once, not once for each of its tests.
        suite.with(format!("engines::{YOUKI}"), "", |_| skip("no youki on this machine: run `make youki`"));
    }
    confined::add(&mut suite);
    works::add(&mut suite);
    images::add(&mut suite);
    inference::add(&mut suite);
    knobs::add(&mut suite);
    install::add(&mut suite);
    lists::add(&mut suite);
    programs::add(&mut suite);
    refused::add(&mut suite);
    status::add(&mut suite);
    systemd::add(&mut suite);
    frozen::add(&mut suite);
    floor::add(&mut suite);
    handover::add(&mut suite);
    egress::add(&mut suite);
    fence::add(&mut suite);
    names::add(&mut suite);
    names_pods::add(&mut suite);
    clients::add(&mut suite);
    often::add(&mut suite);
    over::add(&mut suite);
    presets::add(&mut suite);
    seccomp_names::add(&mut suite);
    upgrade::add(&mut suite);
    attacks::add(&mut suite);
    let Suite { node, skipped, results, trials, .. } = suite;

    let before = node.as_ref().map(|n| leak::inventory(n, None));
    let mut conclusion = libtest_mimic::run(&arguments, trials);
    if let (Some(node), Some(before)) = (node, before) {
        match before.and_then(|before| leak::appeared(&node, &before, None)) {
            Ok(new) if new.is_empty() => conclusion.num_passed += 1,
            Ok(new) => {
                conclusion.num_failed += 1;
                println!("left behind on the node:\n  {}", new.join("\n  "));
            }
            Err(error) => {
                conclusion.num_failed += 1;
                println!("the node cannot be inspected: {error}");
            }
        }
        if let Some(Err(error)) = Arc::into_inner(node).map(|mut node| node.down()) {
            conclusion.num_failed += 1;
            println!("the node does not go down: {error}");
        }
    }
    if let Ok(list) = skipped.lock() {
        for (reason, names) in list.iter() {
            println!("skipped, {reason}:\n  {}", names.join("\n  "));
        }
    }
    if let Err(error) = results.write() {
        conclusion.num_failed += 1;
        println!("{error}");
    }
    println!(
        "\n{} passed, {} failed, {} skipped",
        conclusion.num_passed, conclusion.num_failed, conclusion.num_ignored
    );
    conclusion.exit_code()
}
