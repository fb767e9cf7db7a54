//! The fence for people.

use zerocap_fence::Hook;
use zerocap_node::refusals::Distinct;

use super::names::Names;
use super::view::{State, View};
use crate::out::outln;
use crate::status::SHORT;
use crate::table::{clean, or_dash, print, table};

/// What each hook stands for.
pub fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Connect => "connect",
        Hook::Send => "send",
        Hook::Bind => "bind",
        Hook::Socket => "socket",
        Hook::PacketOut => "packet out",
        Hook::PacketIn => "packet in",
        Hook::Option => "option",
    }
}

/// Every container that has a fence.
pub fn list(views: &[View]) {
    if views.is_empty() {
        outln!("No container of this node has a packet fence.");
        return;
    }
    let mut rows = table(&["id", "pod", "container", "mode", "approved", "refused", "last refused"]);
    for view in views {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        rows.add_row([
            view.id.chars().take(SHORT).collect(),
            or_dash(&view.pod_name()),
            or_dash(&view.container),
            mode(view).to_owned(),
            number(view.counters.as_ref().map(|counters| counters.approved)),
            number(view.counters.as_ref().map(|counters| counters.refused.values().sum())),
            view.refusals.last().map_or_else(|| "-".to_owned(), |last| clean(&last.destination)),
        ]);
    }
    print("", &rows);
    if views.iter().any(|view| view.audit) {
        outln!("\nAUDIT: what goes out of such a container is NOT refused, only counted.");
    }
}

const fn mode(view: &View) -> &'static str {
    if view.audit { "AUDIT" } else { "enforce" }
}

/// One container's.
pub fn one(view: &View) {
    outln!("id          {}", view.id);
    outln!("pod         {}", or_dash(&view.pod_name()));
    outln!("container   {}", or_dash(&view.container));
    outln!(
        "fence       {}",
        match view.state {
            State::InForce => "in force",
            State::Starting => "not in force yet: the container was not started",
            State::Ended => "gone with the container; the last refusals are left",
        }
    );
    if view.audit {
        outln!("mode        AUDIT: egress is NOT enforced. \"would refuse\" below was let through.");
    }
    policy(view);
    counters(view);
    destinations(view);
    view.names.iter().for_each(names);
    addresses(view);
    refusals(view);
}

fn policy(view: &View) {
    let mut rows = table(&["knob", "value", "from"]);
    for (knob, setting) in &view.policy {
        let from = clean(&crate::words::source(&setting.source));
        rows.add_row([knob.name().to_owned(), or_dash(&setting.value), from]);
    }
    print("Policy", &rows);
}

fn counters(view: &View) {
    let Some(counters) = &view.counters else { return };
    let mut rows = table(&["what", "times"]);
    rows.add_row(["approved (connect, send)".to_owned(), counters.approved.to_string()]);
    for (of, times) in counters.refused.iter().filter(|(_, times)| **times > 0) {
        let let_through = view.audit && matches!(of, Hook::Connect | Hook::Send);
        let word = if let_through { "would refuse" } else { "refused" };
        rows.add_row([format!("{word} ({})", hook(*of)), times.to_string()]);
    }
    if counters.lost > 0 {
        rows.add_row(["of these not told one by one".to_owned(), counters.lost.to_string()]);
    }
    print("Counters", &rows);
    if view.landlock_first {
        outln!(
            " Not in here: connects to ports that no entry has. Landlock refuses them before the fence could count."
        );
    }
}

fn destinations(view: &View) {
    if view.destinations.is_empty() {
        return;
    }
    let mut rows = table(&["destination", "verdict", "times"]);
    for asked in &view.destinations {
        let verdict = match (asked.permitted, view.audit) {
            (true, _) => "allowed",
            (false, false) => "refused",
            (false, true) => "would refuse",
        };
        rows.add_row([clean(&asked.destination), verdict.to_owned(), asked.times.to_string()]);
    }
    print("Destinations (the last 128 or so)", &rows);
}

fn addresses(view: &View) {
    if view.addresses.is_empty() {
        return;
    }
    let mut rows = table(&["permitted for a time", "seconds left"]);
    for address in &view.addresses {
        rows.add_row([clean(&address.destination), address.seconds_left.to_string()]);
    }
    print("Addresses", &rows);
}

fn names(names: &Names) {
    let mut rows = table(&["name", "state", "address", "age", "ttl left", "permitted for"]);
    for name in &names.names {
        let place =
            name.below.as_ref().map_or_else(|| name.name.clone(), |domain| format!("{} (*.{domain})", name.name));
        let age = name.age_seconds.map_or_else(|| "-".to_owned(), seconds);
        let mut first = [clean(&place), name.state.word().to_owned()];
        if name.addresses.is_empty() {
            let [place, state] = first;
            rows.add_row([place, state, "-".to_owned(), age, "-".to_owned(), "-".to_owned()]);
            continue;
        }
        for it in &name.addresses {
            let address = if it.current { it.address.to_string() } else { format!("{} (former)", it.address) };
            let [place, state] = std::mem::take(&mut first);
            let times = [it.age_seconds, it.ttl_left_seconds, it.permitted_seconds].map(seconds);
            rows.add_row([place, state, address].into_iter().chain(times));
        }
    }
    print(&format!("Names (the container asks {}; as of {})", names.responder, names.written), &rows);
    let asked = &names.questions;
    outln!(
        " Questions: {} answered, {} refused, {} over a bound, {} failed; {} to the pod's nameservers.",
        asked.answered,
        asked.refused,
        asked.bounded,
        asked.failed,
        asked.queries
    );
    unlisted(names);
    for it in names.blocked.iter().rev() {
        let (name, address, network, times) = (clean(&it.name), it.address, &it.network, it.times);
        outln!(" {name} resolved to {address}, which no name may have ({network}): {times} times");
    }
}

fn unlisted(names: &Names) {
    if names.unlisted.is_empty() {
        return;
    }
    let mut rows = table(&["asked for in vain", "times", "last", "would permit it"]);
    for it in names.unlisted.iter().rev() {
        let permit = it.permit.as_ref().map_or_else(|| "-".to_owned(), |permit| format!("egress: {}", permit.entry));
        rows.add_row([clean(&it.name), it.times.to_string(), clean(&it.last), clean(&permit)]);
    }
    print("Names that egress does not have", &rows);
    if names.forgotten > 0 {
        outln!(" {} earlier ones were forgotten.", names.forgotten);
    }
}

fn seconds(seconds: u64) -> String {
    format!("{seconds} s")
}

fn refusals(view: &View) {
    if view.refusals.is_empty() {
        return;
    }
    outln!("\nRefusals, the latest first");
    for it in view.refusals.iter().rev() {
        let (last, what, times) = (clean(&it.last), clean(&it.destination), it.times);
        outln!(" {last}  {}  {what}  by {}, {times} times", hook(it.hook), process(it));
        outln!("     {}; would permit it: {}", it.rule.words(), permit(it));
    }
    if view.forgotten > 0 {
        outln!("{} earlier ones were forgotten.", view.forgotten);
    }
}

/// The process: its own word for itself, and its number.
pub fn process(it: &Distinct) -> String {
    match it.pid {
        Some(pid) => format!("{} ({pid})", clean(&it.process)),
        None => or_dash(&it.process),
    }
}

/// The annotation's entry.
pub fn permit(it: &Distinct) -> String {
    it.permit.as_ref().map_or_else(|| "-".to_owned(), |permit| format!("{}: {}", permit.knob, clean(&permit.entry)))
}
