//! One column of docs/matrix.md: what platform mode is on this machine's kernel, by trying. `hack/matrix` runs it in
//! emulated machines; it runs on any machine that can run a private node. Prints a JSON object after each step, with all that is known by
//! then: the last one counts, also where the machine's time ran out. Arguments are the worlds of which the attacks are run; without any, all.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;

use serde_json::{Value, json};
use zerocap_e2e::attack::PROGRAM;
use zerocap_e2e::attack::run::{self, Verdict, Verdicts};
use zerocap_e2e::attack::table::{GROUPS, OPEN, World};
use zerocap_e2e::verdict::{Outcome, Skip};
use zerocap_e2e::{Node, Profile, node};

/// The handlers that are tried; `runc` is the control.
const OURS: [&str; 3] = ["zerocap-runc", "zerocap-crun", "zerocap-embedded"];
/// Where they can be tried.
const WORLDS: [World; 5] = [World::Network, World::Datagrams, World::Neighbour, World::ReadOnly, World::Lists];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let named = |world: &World| wanted.is_empty() || wanted.contains(&format!("{world:?}").to_lowercase());
    let worlds: Vec<World> = WORLDS.into_iter().filter(named).collect();
    if let Some(obstacle) = node::obstacle() {
        eprintln!("matrix: no node can run here: {obstacle}");
        return ExitCode::FAILURE;
    }
    let result = Node::start().map_err(Outcome::from).and_then(|mut node| {
        let column = column(&node, &worlds, |so_far| println!("{so_far}"));
        node.down()?;
        column
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Outcome::Failed(message) | Outcome::Skipped(Skip(message))) => {
            eprintln!("matrix: {message}");
            ExitCode::FAILURE
        }
    }
}

fn column(node: &Node, worlds: &[World], tell: impl Fn(&Value)) -> Result<(), Outcome> {
    eprintln!("matrix: asking `zerocap check`");
    let output = node.exec(&["zerocap", "check", "--output", "json"])?;
    let check: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| Outcome::Failed(format!("zerocap check: {e}: {}", String::from_utf8_lossy(&output.stderr))))?;
    node.import(&format!("attacks={PROGRAM}"))?;
    // Where platform mode as a whole is refused, what can be kept is asked for by name.
    let refused = !check["platform-mode"]["refusal"].is_null();
    let require = refused.then(|| kept(&check));
    let mut attacks = BTreeMap::new();
    let steps = worlds.iter().flat_map(|world| OURS.map(|handler| format!("{world:?} under {handler}")));
    let mut untried: VecDeque<String> = steps.collect();
    for &world in worlds {
        let control = verdicts_of_the_control(node, world)?;
        for handler in OURS {
            eprintln!("matrix: attacks of the world {world:?} under {handler}");
            let verdicts = under(node, handler, world, require.as_deref());
            attacks.entry(handler).or_insert_with(Vec::new).extend(rows(
                world,
                &control,
                verdicts.as_ref().map_err(|e| e.as_str()),
            ));
            untried.pop_front();
            tell(&json!({ "check": check, "require": require, "attacks": attacks, "untried": untried }));
        }
    }
    Ok(())
}

/// The promises that this kernel can keep at least in part.
fn kept(check: &Value) -> String {
    let promises = check["platform-mode"]["report"]["promises"].as_array().cloned().unwrap_or_default();
    let names = promises.iter().filter(|p| p["state"] == "kept").filter_map(|p| p["promise"].as_str());
    names.collect::<Vec<_>>().join(",")
}

fn names(world: World, profile: Option<Profile>) -> Vec<&'static str> {
    let of_world = GROUPS.iter().filter(|g| g.world == world && profile.is_none_or(|p| g.control == p));
    of_world.flat_map(|g| g.names.iter().copied()).collect()
}

fn verdicts_of_the_control(node: &Node, world: World) -> Result<Verdicts, Outcome> {
    let mut all = Verdicts::new();
    for profile in [Profile::Restricted, Profile::Unconfined, Profile::Escalating, Profile::Root] {
        let names = names(world, Some(profile));
        if !names.is_empty() {
            eprintln!("matrix: the controls of the world {world:?}, {profile:?}");
            all.extend(run::by_exec(node, "runc", world, profile, &names)?);
        }
    }
    Ok(all)
}

fn under(node: &Node, handler: &str, world: World, require: Option<&str>) -> Result<Verdicts, String> {
    let go = || -> Result<Verdicts, Outcome> {
        let mut builder = world.pod(node, handler);
        if let Some(require) = require {
            builder = builder.annotate("zerocap.io/require", require);
        }
        let pod = builder.start()?;
        let _neighbour = run::neighbour(&pod, world)?;
        let attacker = world.container(&pod)?.command(&["sleep", "100000"]).start()?;
        run::in_container(node, &pod, &attacker, world, &names(world, None))
    };
    go().map_err(|outcome| match outcome {
        Outcome::Failed(message) | Outcome::Skipped(Skip(message)) => message,
    })
}

/// One row per attack: its promise, and what became of it in the control and under ours.
fn rows(world: World, control: &Verdicts, ours: Result<&Verdicts, &str>) -> Vec<Value> {
    let word = |verdict: Option<&Verdict>| match verdict {
        Some(verdict) if verdict.absent() => "absent",
        Some(Verdict::Succeeded(_)) => "through",
        Some(verdict) if verdict.says_nothing() => "untried",
        Some(_) => "refused",
        None => "no answer",
    };
    let mut rows = Vec::new();
    for group in GROUPS.iter().filter(|g| g.world == world) {
        for name in group.names {
            let (ours, error) = match ours {
                Ok(verdicts) => (verdicts.get(*name), None),
                Err(error) => (None, Some(error)),
            };
            let said = ours.map(|verdict| format!("{verdict:?}"));
            let control_said = control.get(*name).map(|verdict| format!("{verdict:?}"));
            let open = OPEN.iter().find(|open| open.name == *name).map(|open| open.reason);
            // Only the control can tell that the kernel lacks something: ours may refuse with the same words.
            let result = ours.map_or("no answer", |verdict| match verdict {
                Verdict::Succeeded(_) => "through",
                verdict if verdict.says_nothing() => "untried",
                _ => "refused",
            });
            rows.push(json!({ "promise": group.promise, "attack": name, "control": word(control.get(*name)),
                "control_said": control_said, "ours": result, "said": said, "error": error, "open": open }));
        }
    }
    rows
}
