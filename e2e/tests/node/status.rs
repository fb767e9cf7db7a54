//! `zerocap status` on the node: the report of a confined container, and a clear "no" for one that is not.

use serde_json::Value;
use zerocap_e2e::{Node, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("status::report", &ENGINES, report);
    suite.each("status::gone_with_the_container", &ENGINES, gone);
    suite.each("status::ordinary_containers_are_not_claimed", &["zerocap-crun", "runc"], ordinary);
}

fn report(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    let output = node.exec(&["zerocap", "status", &main.id, "--output", "json"])?;
    ensure!(output.status.success(), "zerocap status: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&text)?;
    let promise = |name: &str| -> Option<String> {
        let promises = report.pointer("/report/promises").or_else(|| report.get("promises"))?;
        let entry = match promises {
            Value::Array(list) => list.iter().find(|p| p["promise"] == name)?,
            other => other.get(name)?,
        };
        entry["state"].as_str().map(str::to_lowercase)
    };
    ensure_eq!(promise("privileges"), Some("kept".to_owned()), "privileges in {text}");
    ensure_eq!(promise("egress"), Some("kept".to_owned()), "egress in {text}");
    ensure_eq!(promise("inbound"), Some("kept".to_owned()), "inbound in {text}");
    // Honest about what a shared volume leaves open.
    ensure_eq!(promise("neighbours"), Some("partly".to_owned()), "neighbours in {text}");
    let table = String::from_utf8_lossy(&node.exec(&["zerocap", "status", &main.id])?.stdout).into_owned();
    let row = table.lines().find(|l| l.trim_start().starts_with("egress")).unwrap_or_default();
    ensure!(row.contains("packet fence"), "the table does not say what keeps egress: {table}");
    Ok(())
}

fn gone(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let id = pod.sleeper("main")?.id.clone();
    let output = node.exec(&["zerocap", "status", &id])?;
    ensure!(!output.status.success(), "a removed container still has a report");
    Ok(())
}

/// Without our handler there is no report, whatever the annotation says; with it and without the annotation, no "confined".
fn ordinary(node: &Node, handler: &str) -> TestResult {
    let builder = node.pod(handler);
    let pod = if handler == "runc" { builder.platform() } else { builder }.start()?;
    let main = pod.sleeper("main")?;
    let output = node.exec(&["zerocap", "status", &main.id])?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure_eq!(output.status.code(), Some(1), "exit status, with: {text}");
    ensure!(text.to_lowercase().contains("not confined"), "it does not say so: {text}");
    Ok(())
}
