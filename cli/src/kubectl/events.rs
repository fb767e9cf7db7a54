//! What the node daemon told of a pod's refusals, as Events.

use serde::{Deserialize, Serialize};
use zerocap_daemon::event::CONTROLLER;
use zerocap_daemon::pod::Pod;

use super::Common;
use crate::failure::Failure;
use crate::table::{clean, print, table};

/// Events, as kubectl prints them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Events {
    items: Vec<Event>,
}

/// One of them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    reporting_component: String,
    reason: String,
    message: String,
    event_time: Option<String>,
}

/// A refusal.
#[derive(Serialize)]
pub struct Refusal {
    time: String,
    reason: String,
    message: String,
}

/// The refusals of a pod, the last one last; none where pods come from a file.
pub fn of(common: &Common, pod: &Pod) -> Result<Vec<Refusal>, Failure> {
    if common.from.is_some() {
        return Ok(Vec::new());
    }
    let selector = format!("--field-selector=involvedObject.uid={}", pod.metadata.uid);
    let events: Events = common.ask(&["get", "events", "-n", &pod.metadata.namespace, &selector, "-o", "json"])?;
    let mut refusals: Vec<Refusal> = events
        .items
        .into_iter()
        .filter(|event| event.reporting_component == CONTROLLER)
        .map(|event| Refusal {
            time: event.event_time.unwrap_or_default(),
            reason: event.reason,
            message: event.message,
        })
        .collect();
    refusals.sort_by(|a, b| a.time.cmp(&b.time));
    Ok(refusals)
}

/// Shows them, if there are any.
pub fn show(refusals: &[Refusal]) {
    if refusals.is_empty() {
        return;
    }
    let mut rows = table(&["time", "reason", "what"]);
    for refusal in refusals {
        let time = refusal.time.get(..19).unwrap_or(&refusal.time);
        rows.add_row([clean(time), clean(&refusal.reason), clean(&refusal.message)]);
    }
    print("Refused", &rows);
}
