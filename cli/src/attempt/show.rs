//! The answer, for people and for programs.

use serde_json::json;
use zerocap_probe::Outcome;

use super::Row;
use crate::out::outln;
use crate::run::Decision;
use crate::table::{clean, print, table as new_table};

/// The table, and what to paste into a pod.
pub fn table(decision: &Decision, rows: &[Row]) {
    let mut table = new_table(&["attempt", "gains", "without", "with zerocap"]);
    for row in rows {
        let cells = [row.probe.name.to_owned(), row.probe.gain.to_owned(), word(&row.before), word(&row.after)];
        table.add_row(cells);
    }
    print("What an attacker inside the program can do", &table);
    let can = |outcome: &Outcome| *outcome == Outcome::Succeeded;
    let (before, after) =
        (rows.iter().filter(|row| can(&row.before)).count(), rows.iter().filter(|row| can(&row.after)).count());
    outln!("\n{before} of {} attempts succeed without zerocap, {after} with it.", rows.len());
    outln!("\nThe same for a pod\nmetadata:\n  annotations:");
    for (key, value) in &decision.annotations {
        outln!("    {}: {}", clean(key), json!(value));
    }
}

/// The document.
pub fn json(decision: &Decision, rows: &[Row]) {
    let attempts: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({ "attempt": row.probe.name, "gains": row.probe.gain, "without": word(&row.before), "with": word(&row.after) })
        })
        .collect();
    let report = &decision.confinement.report;
    outln!(
        "{:#}",
        json!({ "version": 1, "attempts": attempts, "annotations": decision.annotations, "report": report })
    );
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "yes".to_owned(),
        Outcome::Refused(why) => format!("no, {}", clean(why)),
        Outcome::Untried(why) => format!("not tried: {}", clean(why)),
    }
}
