//! What works with which engine: counted over the tests that run once for each, and written to docs/engines.md by
//! `make engines`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::{fs, io};

use zerocap_e2e::verdict::{Outcome, Skip};
use zerocap_e2e::{TestResult, node};

use super::ENGINES;

/// Set by `make engines`.
const WRITE: &str = "ZEROCAP_ENGINES";
/// The section that is written; it ends where the next one begins.
const SECTION: &str = "## What was tried\n";

/// What the tests of a group are about, where the name of the group does not say it.
const ABOUT: [(&str, &str); 10] = [
    ("confined", "init, exec, streams, terminals, init containers, pause"),
    ("works", "what an ordinary workload does"),
    ("images", "images that fight"),
    ("frozen", "annotations that change later"),
    ("often", "many starts and execs, many at once, stacked filters"),
    ("names", "names in `egress`"),
    ("over", "addresses that are translated on their way"),
    ("knobs", "every annotation"),
    ("status", "the enforcement report"),
    ("refused", "starts that must not be"),
];

#[derive(Default)]
struct Cell {
    passed: usize,
    failed: usize,
    skipped: BTreeMap<String, usize>,
}

impl Cell {
    fn all(&self) -> usize {
        self.passed + self.failed + self.skipped.values().sum::<usize>()
    }
}

/// The results so far: by group of tests, then by handler.
#[derive(Default)]
pub struct Results(Mutex<BTreeMap<String, BTreeMap<String, Cell>>>);

impl Results {
    /// Keeps the result of `module::test::handler`, if it is one of those that run with every engine.
    pub fn add(&self, name: &str, result: &TestResult) {
        let Some((test, handler)) = name.rsplit_once("::") else { return };
        let Some((group, _)) = test.split_once("::") else { return };
        if !ENGINES.contains(&handler) {
            return;
        }
        let group = match (group, test.split("::").nth(1)) {
            ("attacks", Some(kind)) if test.matches("::").count() > 1 => format!("attacks::{kind}"),
            _ => group.to_owned(),
        };
        let Ok(mut results) = self.0.lock() else { return };
        let cell = results.entry(group).or_default().entry(handler.to_owned()).or_default();
        match result {
            Ok(()) => cell.passed += 1,
            Err(Outcome::Failed(_)) => cell.failed += 1,
            Err(Outcome::Skipped(Skip(reason))) => *cell.skipped.entry(reason.clone()).or_default() += 1,
        }
    }

    /// Writes the section, if it was asked for.
    pub fn write(&self) -> io::Result<()> {
        if std::env::var_os(WRITE).is_none() {
            return Ok(());
        }
        let page = node::repository().join("docs/engines.md");
        let text = fs::read_to_string(&page)?;
        let missing = || io::Error::other(format!("{} has no section {SECTION:?}", page.display()));
        let (before, rest) = text.split_once(SECTION).ok_or_else(missing)?;
        let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
        fs::write(&page, format!("{before}{SECTION}\n{}{after}", self.section()))
    }

    fn section(&self) -> String {
        let Ok(results) = self.0.lock() else { return String::new() };
        // A group that one engine alone is tried with compares nothing.
        let rows: Vec<_> = results.iter().filter(|(_, cells)| cells.len() > 1).collect();
        let with: BTreeSet<&String> = rows.iter().flat_map(|(_, cells)| cells.keys()).collect();
        let handlers: Vec<&str> =
            ENGINES.into_iter().filter(|handler| with.iter().any(|known| known == handler)).collect();
        let reasons: BTreeSet<&String> =
            rows.iter().flat_map(|(_, cells)| cells.values()).flat_map(|cell| cell.skipped.keys()).collect();
        let number = |reason: &String| 1 + reasons.iter().position(|known| *known == reason).unwrap_or_default();

        let mut section = String::new();
        let _ = writeln!(
            section,
            "Written by `make engines` on {}. Tests that passed, of all that there are; the",
            kernel()
        );
        let _ = writeln!(section, "number in brackets is the reason why the others could not be tried.\n");
        let title = |handler: &&str| handler.trim_start_matches("zerocap-").to_owned();
        let _ = writeln!(section, "| tests | {} |", handlers.iter().map(title).collect::<Vec<_>>().join(" | "));
        let _ = writeln!(section, "|---|{}", "---|".repeat(handlers.len()));
        for (group, cells) in rows {
            let about =
                ABOUT.iter().find(|(name, _)| name == group).map_or(String::new(), |(_, about)| format!(" {about}"));
            let cell = |handler: &&str| {
                let Some(cell) = cells.get(*handler) else { return "–".to_owned() };
                let mut text = format!("{} of {}", cell.passed, cell.all());
                if cell.failed > 0 {
                    let _ = write!(text, ", **{} failed**", cell.failed);
                }
                if !cell.skipped.is_empty() {
                    let numbers: BTreeSet<usize> = cell.skipped.keys().map(number).collect();
                    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
                    let _ = write!(text, " ({})", numbers.join(", "));
                }
                text
            };
            let cells: Vec<String> = handlers.iter().map(cell).collect();
            let _ = writeln!(section, "| `{group}::`{about} | {} |", cells.join(" | "));
        }
        let _ = writeln!(section);
        for reason in &reasons {
            let _ = writeln!(section, "{}. {reason}", number(reason));
        }
        section
    }
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    let beside = if fs::exists("/sys/fs/cgroup/memory").unwrap_or(false) { " beside version 1 cgroups" } else { "" };
    format!("Linux {}{beside}", version.join("."))
}
