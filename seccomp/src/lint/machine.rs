//! A report for programs.

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::{Fit, Report};

/// The version of the shape below; it is raised when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// The report as JSON; docs/lint.md describes it.
#[must_use]
pub fn machine(report: &Report) -> Value {
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    json!({
        "schema": SCHEMA,
        "file": report.name,
        "form": report.form.name(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "omitted": report.omitted,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "notes": count(Severity::Note),
        "presets": report.fits.iter().map(fit).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule.id,
        "name": finding.rule.slug,
        "severity": finding.severity.name(),
        "title": finding.rule.title,
        "path": finding.at,
        "line": finding.place.map(|place| place.line),
        "column": finding.place.map(|place| place.column),
        "written": finding.wrote,
        "kernel": finding.kernel,
        "instead": finding.instead,
        "fixable": finding.edit.is_some(),
    })
}

fn fit(fit: &Fit) -> Value {
    json!({
        "preset": fit.preset.name(),
        "prevented": fit.prevented,
        "left": fit.left,
        "callsKept": fit.kept,
        "callsOf": fit.of,
    })
}
