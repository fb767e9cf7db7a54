//! Every attack of the corpus, under zerocap and, in the same run, its control under plain runc.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use zerocap_e2e::attack::PROGRAM;
use zerocap_e2e::attack::run::{self, Verdict, Verdicts};
use zerocap_e2e::attack::table::{GROUPS, Group, NOT_COVERED, OPEN, World};
use zerocap_e2e::verdict::{Outcome, Skip, fail, skip};
use zerocap_e2e::{Node, Profile, TestResult, ensure};

use crate::{ENGINES, Suite};

/// How the attacker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Exec,
    Init,
}

type Key = (String, World, Profile, Way);
type Shared = Arc<OnceLock<Result<Verdicts, String>>>;

pub fn add(suite: &mut Suite) {
    suite.each("attacks::other_ports_than_listed", &ENGINES, other_ports);
    for name in NOT_COVERED {
        let handler = ENGINES[1];
        suite.with(format!("attacks::lists::{name}::{handler}"), handler, move |node| not_covered(node, handler, name));
    }
    for group in GROUPS {
        for name in group.names {
            for handler in ENGINES {
                suite.with(
                    format!("attacks::{:?}::{name}::{handler}", group.world).to_lowercase(),
                    handler,
                    move |node| attack(node, handler, group, name, Way::Exec),
                );
            }
            // Init is no neighbour of itself.
            if group.world == World::Network && !name.ends_with("_init") {
                let handler = ENGINES[1];
                suite.with(format!("attacks::init::{name}::{handler}"), handler, move |node| {
                    attack(node, handler, group, name, Way::Init)
                });
            }
        }
    }
}

/// With one port to listen on, no other can be bound, and the proxy's least of all.
fn other_ports(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/listen", "8080").start()?;
    let main = pod.container("main").image("attacks").command(&["sleep", "100000"]).start()?;
    for name in ["bind_tcp", "bind_tcp6", "bind_proxy_port", "tcp4", "udp4"] {
        let said = main.exec(&["/attacks", name])?.stdout;
        ensure!(said.contains(&format!("{name} REFUSED")), "with `listen: 8080`: {said}");
    }
    Ok(())
}

/// What no promise covers is tried as well, and said.
fn not_covered(node: &Node, handler: &str, name: &str) -> TestResult {
    match verdict(node, (handler.to_owned(), World::Lists, Profile::Restricted, Way::Exec), name)? {
        Verdict::Succeeded(_) => skip("gets through, and no promise covers it: Landlock has no right for metadata"),
        _ => Ok(()),
    }
}

fn attack(node: &Node, handler: &str, group: &Group, name: &str, way: Way) -> TestResult {
    let control = verdict(node, ("runc".to_owned(), group.world, group.control, Way::Exec), name)?;
    if control.absent() {
        return skip(format!("no control here: this kernel lacks it ({control:?})"));
    }
    ensure!(
        control.succeeded(),
        "the control under runc ({:?}) does not succeed, so nothing is shown: {control:?}",
        group.control
    );
    let ours = verdict(node, (handler.to_owned(), group.world, Profile::Restricted, way), name)?;
    match OPEN.iter().find(|open| open.name == name) {
        Some(open) if ours.succeeded() => skip(format!("gets through, and the report says so: {}", open.reason)),
        Some(open) if !open.newer_kernel => fail("is refused now: take it off the list of open ways".to_owned()),
        None if ours.succeeded() => fail(format!("would break `{}`: {ours:?}", group.promise)),
        None if ours.says_nothing() => fail(format!("was not tried, so nothing is shown: {ours:?}")),
        Some(_) | None => Ok(()),
    }
}

/// One attack's verdict; all attacks of a world run in one pod, at the first question.
fn verdict(node: &Node, key: Key, name: &str) -> Result<Verdict, Outcome> {
    static RUNS: Mutex<BTreeMap<Key, Shared>> = Mutex::new(BTreeMap::new());
    let run = Arc::clone(RUNS.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
    let verdicts = run.get_or_init(|| {
        go(node, &key).map_err(|e| match e {
            Outcome::Failed(message) | Outcome::Skipped(Skip(message)) => message,
        })
    });
    match verdicts {
        Ok(verdicts) => verdicts.get(name).cloned().ok_or_else(|| Outcome::Failed("no verdict".to_owned())),
        Err(message) => fail(format!("the attacks could not be run: {message}")),
    }
}

fn go(node: &Node, (handler, world, profile, way): &Key) -> Result<Verdicts, Outcome> {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let control = handler == "runc";
    let of_world = GROUPS.iter().filter(|g| g.world == *world && (!control || g.control == *profile));
    let mut names: Vec<&str> = of_world.flat_map(|g| g.names.iter().copied()).collect();
    if *world == World::Lists {
        names.extend(NOT_COVERED);
    }
    match way {
        Way::Exec => run::by_exec(node, handler, *world, *profile, &names),
        Way::Init => {
            let names: Vec<&str> = names.into_iter().filter(|n| !n.ends_with("_init")).collect();
            run::by_init(node, handler, *world, &names)
        }
    }
}
