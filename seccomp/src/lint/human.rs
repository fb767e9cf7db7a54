//! A report for people.

use std::fmt::Write;

use super::finding::{Finding, Severity};
use super::{Fit, Report};

/// How wide a line is at most; longer texts are broken.
const WIDTH: usize = 110;
/// The words before a text, and the indent of its further lines.
const WROTE: &str = "  written: ";
const KERNEL: &str = "  kernel:  ";
const INSTEAD: &str = "  instead: ";

/// The report as a person reads it, with the lines of the file that it is about. `text` is the file, if it is one.
#[must_use]
pub fn human(report: &Report, text: Option<&str>) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        one(&mut out, report, finding, text);
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let fixable = report.findings.iter().filter(|finding| finding.edit.is_some()).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let _ = match report.findings.len() {
        0 => writeln!(out, "{}: nothing found", report.name),
        _ => writeln!(
            out,
            "{}: {}, {}, {}{}",
            report.name,
            plural(errors, "error"),
            plural(warnings, "warning"),
            plural(notes, "note"),
            if fixable > 0 { format!("; {fixable} can be put right by --fix") } else { String::new() }
        ),
    };
    if report.omitted > 0 {
        let _ = writeln!(out, "{} of the same kinds are not shown", plural(report.omitted, "further finding"));
    }
    if errors > 0 {
        fits(&mut out, &report.fits);
    }
    out
}

fn one(out: &mut String, report: &Report, finding: &Finding, text: Option<&str>) {
    let rule = finding.rule;
    let _ = writeln!(out, "{}[{}]: {}", finding.severity.name(), rule.id, rule.title);
    let at = clean(&finding.at);
    match (finding.place, text) {
        (Some(place), Some(text)) => {
            let _ = writeln!(out, "  --> {}:{}:{} ({at})", report.name, place.line, place.column);
            quote(out, text, finding);
        }
        _ => {
            let _ = writeln!(out, "  --> {}: {at}", report.name);
        }
    }
    for (words, said) in [(WROTE, &finding.wrote), (KERNEL, &finding.kernel), (INSTEAD, &finding.instead)] {
        if !said.is_empty() {
            wrapped(out, words, &clean(said));
        }
    }
    out.push('\n');
}

/// The line, and what is meant in it underlined.
fn quote(out: &mut String, text: &str, finding: &Finding) {
    let Some(place) = finding.place else { return };
    let Some(line) = text.lines().nth(place.line - 1) else { return };
    // A tab as one blank: the column counts characters.
    let line = clean(&line.replace('\t', " "));
    let (start, length) = (place.column - 1, line.chars().count());
    let marked = text.get(finding.span.clone()).map_or(1, |span| span.lines().next().unwrap_or("").chars().count());
    // A long line is shown around the place.
    let from = if length <= WIDTH { 0 } else { start.saturating_sub(WIDTH / 3) };
    let shown: String = line.chars().skip(from).take(WIDTH).collect();
    let marked = marked.clamp(1, WIDTH.saturating_sub(start - from).max(1));
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let _ = writeln!(out, " {margin} |\n {number} | {}", shown.trim_end());
    let _ = writeln!(out, " {margin} | {}{}", " ".repeat(start - from), "^".repeat(marked));
}

/// Without characters that move the cursor or paint, each replaced by one.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A text of several words, broken between them.
fn wrapped(out: &mut String, words: &str, text: &str) {
    let mut line = words.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(words.len());
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

/// Which preset is what the author wanted.
fn fits(out: &mut String, fits: &[Fit]) {
    let Some(best) = fits.first() else { return };
    let all = best.prevented.len() + best.left.len();
    let (name, summary) = (best.preset.name(), best.preset.summary());
    out.push('\n');
    wrapped(out, "", &format!("What this profile wants comes closest to the preset {name} ({summary}):"));
    let _ = writeln!(out, "  {:18} {:>22} {:>24}", "preset", "refused in every way", "ordinary calls kept");
    for fit in fits {
        let _ = writeln!(
            out,
            "  {:18} {:>22} {:>24}",
            fit.preset.name(),
            format!("{} of {all} things", fit.prevented.len()),
            format!("{} of {}", fit.kept, fit.of)
        );
    }
    if !best.left.is_empty() {
        wrapped(out, "  It leaves: ", &best.left.join("; "));
    }
}
