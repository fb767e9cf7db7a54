//! `kubectl zerocap egress`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use zerocap_annotations::knob::Knob;

use super::{One, decide, events};
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
    let refusals = events::of(&arguments.common, &pod)?;
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
        Output::Json => outln!("{:#}", json!({ "version": 1, "containers": rules, "refusals": refusals })),
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
            events::show(&refusals);
        }
    }
    Ok(ExitCode::SUCCESS)
}
