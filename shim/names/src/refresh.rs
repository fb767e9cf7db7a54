//! Pinned names: resolved before the workload starts, and again whenever their answers run out.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::core::{Core, lock};
use crate::error::StartError;
use crate::gate::BootTime;
use crate::name::HostName;
use crate::table::Entry;
use crate::upstream::Failure;
use crate::wire::{Found, Kind};

/// Most names that are asked for at a time: what they need meanwhile is not given back to the system.
const AT_A_TIME: usize = 16;
/// The shortest and the longest sleep between looks at the table, in seconds.
const SLEEP: (u64, u64) = (1, 60);

/// Resolves every pinned name once.
pub(crate) async fn pin(core: &Arc<Core>) -> Result<(), StartError> {
    let deadline = Instant::now() + Duration::from_secs(core.limits.start.into());
    let mut names = core.rules.pinned().cloned();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < AT_A_TIME
            && let Some(name) = names.next()
        {
            let core = core.clone();
            tasks.spawn(async move {
                timeout_at(deadline, first(&core, &name)).await.unwrap_or_else(|_| {
                    let why = format!("no answer within {} seconds", core.limits.start);
                    Err(StartError::Unresolved { name: name.to_string(), why })
                })
            });
        }
        match tasks.join_next().await {
            None => return Ok(()),
            Some(Ok(result)) => result?,
            Some(Err(error)) => {
                return Err(StartError::Unresolved { name: "a name".into(), why: error.to_string() });
            }
        }
    }
}

/// The first look-up of a name: along the search list, as a resolver in the pod would.
async fn first(core: &Core, name: &HostName) -> Result<(), StartError> {
    let candidates = core.upstream.conf.candidates(name);
    let mut failure = None;
    for asked in &candidates {
        let (a, aaaa) = both(core, asked).await;
        let has = |found: &Result<Found, Failure>| found.as_ref().is_ok_and(|found| !found.addresses.is_empty());
        if has(&a) || has(&aaaa) {
            return pinned(core, name, asked, [(Kind::A, a), (Kind::Aaaa, aaaa)]);
        }
        failure = failure.or(a.err()).or(aaaa.err());
    }
    Err(match failure {
        Some(Failure(why)) => StartError::Unresolved { name: name.to_string(), why },
        None => {
            let asked: Vec<&str> = candidates.iter().map(HostName::as_str).collect();
            StartError::NoAddress { name: name.to_string(), asked: asked.join(", ") }
        }
    })
}

fn pinned(
    core: &Core,
    name: &HostName,
    asked: &HostName,
    answers: [(Kind, Result<Found, Failure>); 2],
) -> Result<(), StartError> {
    let Some((_, grants)) = core.rules.listed(name) else { return Ok(()) };
    let entry = Entry::new(asked.clone(), None, grants.clone().into(), BootTime::now());
    lock(&core.table).names.insert(name.clone(), entry);
    let (mut kept, mut forbidden, mut refused) = (0, None, None);
    for (kind, answer) in answers {
        // One family that fails beside one that answers has no addresses for now; it is asked for again soon.
        let Ok(found) = answer else {
            core.failed(name, kind);
            continue;
        };
        let settled = core.settle(name, &grants, kind, found);
        kept += settled.kept;
        forbidden = forbidden.or(settled.forbidden);
        refused = refused.or(settled.refused);
    }
    match (kept, refused, forbidden) {
        (0, Some(source), _) => Err(StartError::Gate { name: name.to_string(), source }),
        (0, None, Some((address, (network, bits)))) => {
            Err(StartError::Forbidden { name: name.to_string(), address, network, bits })
        }
        _ => Ok(()),
    }
}

async fn both(core: &Core, asked: &HostName) -> (Result<Found, Failure>, Result<Found, Failure>) {
    tokio::join!(core.find(asked, Kind::A), core.find(asked, Kind::Aaaa))
}

/// Keeps pinned names and permits up to date until it is aborted.
pub(crate) async fn keep(core: Arc<Core>) {
    loop {
        let now = BootTime::now();
        let (due, next) = due(&core, now);
        let mut tasks = JoinSet::new();
        for name in due.into_iter().take(AT_A_TIME) {
            tasks.spawn(again(core.clone(), name));
        }
        let worked = !tasks.is_empty();
        while tasks.join_next().await.is_some() {}
        lock(&core.permits).sweep(BootTime::now());
        core.guard_again();
        if !worked {
            sleep(Duration::from_secs(next.seconds_since(now).clamp(SLEEP.0, SLEEP.1))).await;
        }
    }
}

/// The names that are due, the longest overdue first, and when the next one will be.
fn due(core: &Core, now: BootTime) -> (Vec<HostName>, BootTime) {
    let table = lock(&core.table);
    let pinned = table.names.iter().filter(|(_, entry)| entry.below.is_none());
    let mut times: Vec<(BootTime, &HostName)> = pinned.map(|(name, entry)| (entry.due(&core.limits), name)).collect();
    times.sort();
    let next = times.iter().map(|(time, _)| *time).find(|time| *time > now).unwrap_or(now.plus(SLEEP.1));
    (times.into_iter().filter(|(time, _)| *time <= now).map(|(_, name)| name.clone()).collect(), next)
}

async fn again(core: Arc<Core>, name: HostName) {
    let entry = lock(&core.table).names.get(&name).map(|entry| (entry.asked.clone(), entry.grants.clone()));
    let Some((asked, grants)) = entry else { return };
    let (a, aaaa) = both(&core, &asked).await;
    let empty = |found: &Result<Found, Failure>| found.as_ref().is_ok_and(|found| found.addresses.is_empty());
    // A name that has vanished altogether is more often a server that has lost it.
    let vanished = empty(&a) && empty(&aaaa);
    for (kind, answer) in [(Kind::A, a), (Kind::Aaaa, aaaa)] {
        match answer {
            Ok(found) if !vanished => drop(core.settle(&name, &grants, kind, found)),
            _ => core.failed(&name, kind),
        }
    }
}
