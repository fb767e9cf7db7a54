//! `--watch`: a line for whatever is asked for, as it comes, until the container ends.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::json;
use zerocap_node::refusals::Clock;
use zerocap_node::state::{Entry, Store};

use super::names::Names;
use super::show;
use super::view::{State, View};
use crate::args::EgressOutput;
use crate::failure::Failure;
use crate::out::outln;
use crate::table::clean;

/// The shim writes down what was refused twice a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows a container; what was counted before does not count.
pub fn run(store: &Store, entry: &Entry, first: View, output: EgressOutput) -> Result<ExitCode, Failure> {
    if first.audit && output != EgressOutput::Json {
        outln!("AUDIT: egress is NOT enforced; \"would refuse\" was let through.");
    }
    let mut before = first;
    while before.state != State::Ended {
        thread::sleep(INTERVAL);
        let Some(now) = View::of(store, entry)? else { break };
        tell(&before, &now, output);
        names(before.names.as_ref(), now.names.as_ref(), output);
        before = now;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(before: &View, now: &View, output: EgressOutput) {
    let at = || Clock::now().text();
    let known: BTreeMap<_, _> =
        before.destinations.iter().map(|it| ((&it.destination, it.permitted), it.times)).collect();
    for asked in now.destinations.iter().filter(|asked| asked.permitted) {
        let more = asked.times.saturating_sub(known.get(&(&asked.destination, true)).copied().unwrap_or(0));
        match output {
            _ if more == 0 => {}
            EgressOutput::Json => {
                outln!("{}", json!({ "at": at(), "destination": asked.destination, "permitted": true, "times": more }));
            }
            _ => outln!("{}  allowed       {}  {more} times", at(), clean(&asked.destination)),
        }
    }
    let known: BTreeMap<_, _> = before.refusals.iter().map(|it| ((it.hook, &it.destination), it.times)).collect();
    for it in &now.refusals {
        let more = it.times.saturating_sub(known.get(&(it.hook, &it.destination)).copied().unwrap_or(0));
        match output {
            _ if more == 0 => {}
            EgressOutput::Json => {
                let (hook, destination, process) = (it.hook, &it.destination, &it.process);
                outln!(
                    "{}",
                    json!({ "at": it.last, "destination": destination, "permitted": false, "times": more, "hook": hook,
                            "refused": it.refused, "process": process, "pid": it.pid, "permit": it.permit })
                );
            }
            _ => outln!(
                "{}  {}  {}  {more} times, by {}; {}; would permit it: {}",
                clean(&it.last),
                if it.refused { "refused     " } else { "would refuse" },
                clean(&it.destination),
                show::process(it),
                it.rule.words(),
                show::permit(it)
            ),
        }
    }
}

/// What names have come to resolve to, and which ones were asked for in vain.
fn names(before: Option<&Names>, now: Option<&Names>, output: EgressOutput) {
    let Some(now) = now else { return };
    let known: BTreeMap<_, _> = before.iter().flat_map(|it| &it.names).map(|it| (&it.name, shown(it))).collect();
    for name in &now.names {
        let (state, addresses) = shown(name);
        if known.get(&name.name) == Some(&(state, addresses.clone())) {
            continue;
        }
        match output {
            EgressOutput::Json => outln!(
                "{}",
                json!({ "at": now.written, "name": name.name, "state": name.state, "addresses": addresses })
            ),
            _ => outln!("{}  {:<12}  {}  {}", now.written, state, clean(&name.name), addresses.join(", ")),
        }
    }
    let known: BTreeMap<_, _> = before.iter().flat_map(|it| &it.unlisted).map(|it| (&it.name, it.times)).collect();
    for it in &now.unlisted {
        let more = it.times.saturating_sub(known.get(&it.name).copied().unwrap_or(0));
        let permit = it.permit.as_ref().map(|permit| permit.entry.as_str());
        match output {
            _ if more == 0 => {}
            EgressOutput::Json => outln!(
                "{}",
                json!({ "at": it.last, "name": it.name, "permitted": false, "times": more, "permit": it.permit })
            ),
            _ => outln!(
                "{}  no answer     {}  {more} times; egress does not name it; would permit it: {}",
                it.last,
                clean(&it.name),
                permit.map_or_else(|| "-".to_owned(), |entry| format!("egress: {}", clean(entry)))
            ),
        }
    }
}

fn shown(name: &super::names::Name) -> (&'static str, Vec<String>) {
    let current = name.addresses.iter().filter(|it| it.current);
    (name.state.word(), current.map(|it| it.address.to_string()).collect())
}
