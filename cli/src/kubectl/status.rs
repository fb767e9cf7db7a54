//! `kubectl zerocap status`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use zerocap_annotations::Report;
use zerocap_daemon::judge::{CONDITION, concerns};
use zerocap_daemon::pod::Pod;

use super::{Status, events, report};
use crate::args::Output;
use crate::failure::{Failure, NO};
use crate::out::outln;
use crate::status as container;
use crate::table::{clean, or_dash, print, table};

/// The names that the chart gives our RuntimeClasses.
const CLASSES: [&str; 2] = ["zerocap", "zerocap-platform"];

/// What the node daemon says of a pod.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Said {
    namespace: String,
    pod: String,
    uid: String,
    node: String,
    /// The condition's status; null where nothing was said.
    enforced: Option<String>,
    reason: String,
    message: String,
}

impl Said {
    fn of(pod: &Pod) -> Self {
        let told = pod.condition(CONDITION);
        let (reason, message) = match told {
            Some(condition) => (condition.reason.clone(), condition.message.clone()),
            None if pod.is_over() => ("Over".to_owned(), "it has ended, or is being deleted".to_owned()),
            None if pod.running().next().is_none() => ("NotStarted".to_owned(), "no container runs".to_owned()),
            None => ("NothingSaid".to_owned(), "no node daemon has said anything: take it for UNCONFINED".to_owned()),
        };
        Self {
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            node: pod.spec.node_name.clone(),
            enforced: told.map(|condition| condition.status.clone()),
            reason,
            message,
        }
    }

    fn word(&self) -> String {
        or_dash(self.enforced.as_deref().unwrap_or_default())
    }
}

/// Lists pods, or shows one.
pub fn run(arguments: &Status) -> Result<ExitCode, Failure> {
    match &arguments.pod {
        None => list(arguments),
        Some(name) => one(arguments, name),
    }
}

fn list(arguments: &Status) -> Result<ExitCode, Failure> {
    let classes = CLASSES.map(str::to_owned);
    let pods = arguments.common.pods(arguments.all_namespaces)?;
    let said: Vec<Said> =
        pods.iter().filter(|pod| concerns(pod, &classes) || pod.condition(CONDITION).is_some()).map(Said::of).collect();
    match arguments.common.output {
        Output::Json => outln!("{:#}", json!({ "version": 1, "pods": said })),
        Output::Table => {
            let mut rows = table(&["namespace", "pod", "enforced", "reason", "detail"]);
            for pod in &said {
                rows.add_row([
                    clean(&pod.namespace),
                    clean(&pod.pod),
                    pod.word(),
                    clean(&pod.reason),
                    clean(&pod.message),
                ]);
            }
            if said.is_empty() {
                outln!("No pod here has an annotation or a RuntimeClass of zerocap.");
            } else {
                print("", &rows);
            }
            let others = pods.len() - said.len();
            if others > 0 {
                outln!(
                    "\nNot listed, since nothing in them asks for zerocap: {others}. They are NOT confined, unless a floor says so."
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn one(arguments: &Status, name: &str) -> Result<ExitCode, Failure> {
    let common = &arguments.common;
    let pod = common.pod(name)?;
    let said = Said::of(&pod);
    let refusals = events::of(common, &pod)?;
    let reports = if arguments.report { Some(report::fetch(arguments, &pod)?) } else { None };
    match common.output {
        Output::Json => {
            let mut document = json!({ "version": 1, "pod": said, "refusals": refusals });
            if let Some(reports) = &reports {
                document["reports"] = reports["reports"].clone();
            }
            outln!("{document:#}");
        }
        Output::Table => {
            outln!("pod         {}/{}", clean(&said.namespace), clean(&said.pod));
            outln!("node        {}", or_dash(&said.node));
            outln!("enforced    {}", said.word());
            outln!("reason      {}", clean(&said.reason));
            outln!("detail      {}", clean(&said.message));
            events::show(&refusals);
            show_reports(reports.as_ref());
        }
    }
    Ok(if said.enforced.as_deref() == Some("True") { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn show_reports(reports: Option<&Value>) {
    for (name, report) in reports.and_then(|all| all["reports"].as_object()).into_iter().flatten() {
        outln!("\ncontainer   {}", clean(name));
        match serde_json::from_value::<Report>(report.clone()) {
            Ok(report) => {
                container::policy_table(&report);
                container::promise_table(&report);
                container::verified_table(&report);
                container::notes(&report);
            }
            Err(_) => outln!("There is no report: nothing is enforced for it."),
        }
    }
}
