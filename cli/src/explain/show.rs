//! The answer, for people and for programs.

use crate::out::outln;
use serde_json::{Value, json};
use zerocap_annotations::Report;
use zerocap_plan::LaunchPlan;

use super::{Answer, Question, diff, plan};
use crate::table::{clean, or_dash, print, table as new_table};
use crate::{status, words};

/// Prints everything as tables and a diff.
pub fn table(question: &Question, answer: &Answer) {
    let report = &answer.confinement.report;
    outln!("spec        {}", clean(&question.title));
    outln!("process     {}", process(report));
    outln!(
        "host        kernel {}, Landlock ABI {}, {}",
        clean(&report.kernel),
        question.host.landlock.abi,
        report.engine
    );
    if !report.active {
        outln!("\nNothing is enforced: no annotation and no floor asks for it. The spec reaches the engine untouched.");
        return;
    }
    status::policy_table(report);
    status::promise_table(report);
    changes(report);
    if let Some(launch) = &answer.confinement.plan {
        launcher(launch);
    }
    status::notes(report);
    outln!("\nSpec\n{}", diff::unified(question.original(), &answer.confinement.spec).trim_end());
}

/// Prints everything as one JSON document.
pub fn json(question: &Question, answer: &Answer) {
    let plan: Vec<Value> = answer
        .confinement
        .plan
        .iter()
        .flat_map(plan::steps)
        .map(|step| json!({ "step": step.what.trim(), "detail": step.detail }))
        .collect();
    let document = json!({
        "version": 1,
        "host": question.host,
        "policy": answer.policy,
        "report": answer.confinement.report,
        "launcher": plan,
        "spec": answer.confinement.spec,
    });
    outln!("{document:#}");
}

fn process(report: &Report) -> String {
    match report.container.as_str() {
        "" => words::target(report.target).to_owned(),
        name => format!("{} of {}", words::target(report.target), clean(name)),
    }
}

fn changes(report: &Report) {
    let mut table = new_table(&["where", "what"]);
    for change in &report.changes {
        table.add_row([clean(&change.path), or_dash(&change.what)]);
    }
    print("Changes of the spec", &table);
}

fn launcher(launch: &LaunchPlan) {
    let mut table = new_table(&["step", "what"]);
    for step in plan::steps(launch) {
        table.add_row([step.what.to_owned(), step.detail]);
    }
    print("Launcher, before the workload", &table);
}
