//! The fence for people.

use zerocap_fence::Hook;
use zerocap_node::refusals::Distinct;

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
