//! `kubectl zerocap explain`.

use std::process::ExitCode;

use serde_json::json;
use zerocap_annotations::code;

use super::{Explain, decide};
use crate::args::Output;
use crate::explain;
use crate::failure::Failure;
use crate::out::outln;
use crate::table::{clean, or_dash, print, table};
use crate::words;

/// Shows an error's page, or a pod's policy.
pub fn run(arguments: &Explain) -> Result<ExitCode, Failure> {
    // No pod's name has capital letters.
    if code::lookup(&arguments.subject).is_some() && arguments.subject.starts_with("ZC") {
        return explain::page(&arguments.subject);
    }
    let pod = arguments.common.pod(&arguments.subject)?;
    let policies = decide::policies(&pod).map_err(Failure::refused)?;
    if arguments.common.output == Output::Json {
        let containers: Vec<_> = policies
            .iter()
            .map(|(name, policy)| json!({ "name": name, "active": policy.active(), "policy": policy }))
            .collect();
        outln!("{:#}", json!({ "version": 1, "containers": containers }));
        return Ok(ExitCode::SUCCESS);
    }
    outln!("pod         {}/{}", clean(&pod.metadata.namespace), clean(&pod.metadata.name));
    outln!("class       {}", or_dash(pod.spec.runtime_class_name.as_deref().unwrap_or_default()));
    for (name, policy) in &policies {
        if !policy.active() {
            outln!("\nContainer {}: nothing is asked for", clean(name));
            continue;
        }
        let mut rows = table(&["knob", "value", "from"]);
        for (knob, source) in policy.sources() {
            let value = policy.settings().text(*knob).unwrap_or_default();
            rows.add_row([knob.name().to_owned(), or_dash(&value), clean(&words::source(source))]);
        }
        print(&format!("Container {}", clean(name)), &rows);
    }
    outln!(
        "\nWhat the node's floor file adds, only the node knows: kubectl zerocap status {} --report",
        clean(&pod.metadata.name)
    );
    Ok(ExitCode::SUCCESS)
}
