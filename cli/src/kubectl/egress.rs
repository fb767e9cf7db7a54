//! `kubectl zerocap egress`: what a pod may reach, and what its packet fences refused. Whoever may `get` the pod sees it: the refusals
//! stand in one of its conditions.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use zerocap_annotations::knob::Knob;
use zerocap_daemon::blocked::{self, Blocked, Container};

use super::{One, decide};
use crate::args::Output;
use crate::failure::Failure;
use crate::out::outln;
use crate::table::{clean, or_dash, print, table};

/// What one container may do in the network.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Rules {
    container: String,
    /// The packet fence and the filters hold.
    fenced: bool,
    /// The port on loopback that may be reached; null where the network is the cluster's.
    proxy_port: Option<u16>,
    /// The other destinations, as the annotation writes them.
    egress: String,
    /// The ports that others may reach.
    listen: String,
}

/// Shows what a pod may reach, and what was refused.
pub fn run(arguments: &One) -> Result<ExitCode, Failure> {
    let pod = arguments.common.pod(&arguments.pod)?;
    let policies = decide::policies(&pod).map_err(Failure::refused)?;
    let blocked = pod.condition(blocked::CONDITION).and_then(Blocked::read);
    let blocked = blocked.map_or_else(Vec::new, |blocked| blocked.containers);
    let rules: Vec<Rules> = policies
        .iter()
        .map(|(name, policy)| {
            let text = |knob| policy.settings().text(knob).unwrap_or_default();
            Rules {
                container: name.clone(),
                fenced: policy.platform(),
                proxy_port: policy.platform().then(|| policy.proxy_port()),
                egress: text(Knob::Egress),
                listen: text(Knob::Listen),
            }
        })
        .collect();
    match arguments.common.output {
        Output::Json => outln!("{:#}", json!({ "version": 1, "containers": rules, "blocked": blocked })),
        Output::Table => {
            let mut rows = table(&["container", "proxy", "egress", "listen"]);
            for rule in &rules {
                if rule.fenced {
                    let proxy = rule.proxy_port.map_or_else(String::new, |port| format!("loopback:{port}"));
                    rows.add_row([clean(&rule.container), proxy, or_dash(&rule.egress), or_dash(&rule.listen)]);
                } else {
                    rows.add_row([&clean(&rule.container), "the cluster's network", "anything", "anything"]);
                }
            }
            print("", &rows);
            if blocked.is_empty() {
                outln!("\nThe node daemon has told of no refusal.");
            }
            blocked.iter().for_each(show);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was refused to one container.
fn show(container: &Container) {
    let mut rows = table(&["last", "what", "times", "by", "would permit it"]);
    for last in &container.last {
        let permit = last.permit.as_ref().map_or_else(String::new, |(knob, entry)| format!("{knob}: {entry}"));
        let (at, times) = (last.at.get(..19).unwrap_or(&last.at), last.times.to_string());
        rows.add_row([clean(at), clean(&last.destination), times, or_dash(&last.process), or_dash(&permit)]);
    }
    let (times, distinct) = (container.times, container.distinct);
    let verb = if container.audit { "Would be refused (AUDIT: it was let through)" } else { "Refused" };
    let of = format!("of {distinct} destinations or sockets the last {}", container.last.len());
    print(&format!("{verb} to {}, at least {times} times; {of}", clean(&container.name)), &rows);
}
