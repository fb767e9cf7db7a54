//! The pause process has no launcher that would park it: it is looked at right after its start, until it is as it must
//! be, or the start fails. Engines load the last of its confinement just before they execute it.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;
use zerocap_annotations::code::{Code, verify as code};
use zerocap_annotations::report::Verified as Row;
use zerocap_annotations::{Expect, ZcError};

use super::Confined;
use crate::reaper::ExitWatch;

/// How long an engine may take from its gate to the program.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest pause between two looks.
const MAX_PAUSE: Duration = Duration::from_millis(5);
const CAPABILITIES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

impl Confined {
    /// Waits until the pause process `pid` is confined as it must be. One that ended needs nothing.
    ///
    /// # Errors
    /// The first thing that is not as it must be when the time is over.
    pub(crate) async fn verify_pause(&self, pid: i32, watch: &ExitWatch) -> Result<(), ZcError> {
        let deadline = Instant::now() + LIMIT;
        let mut pause = Duration::from_micros(200);
        loop {
            let seen = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if watch.now().is_some() {
                return Ok(());
            }
            match check(&seen, &self.expect) {
                Ok(rows) => {
                    self.record(rows);
                    return Ok(());
                }
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

fn check(status: &str, expect: &Expect) -> Result<Vec<Row>, ZcError> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map_or("", str::trim)
    };
    let mut rows = Vec::new();
    let mut must = |code: Code, step: &str, expected: String, seen: &str, holds: bool| {
        if !holds {
            let message = format!("{step} of the pause process is {seen:?}, expected {expected}");
            return Err(ZcError::new(code, message, "report this as a defect of zerocap or of the engine"));
        }
        rows.push(Row { step: step.to_owned(), expected, seen: seen.to_owned(), holds });
        Ok(())
    };
    if expect.caps_zero {
        for name in CAPABILITIES {
            let seen = field(name);
            let zero = !seen.is_empty() && seen.bytes().all(|digit| digit == b'0');
            must(code::CAPABILITIES, name, format!("{:016x}", 0), seen, zero)?;
        }
    }
    if expect.no_new_privs {
        let seen = field("NoNewPrivs");
        must(code::NO_NEW_PRIVS, "NoNewPrivs", "1".to_owned(), seen, seen == "1")?;
    }
    let seen = field("Seccomp_filters");
    let enough = seen.parse::<u32>().is_ok_and(|filters| filters >= expect.min_filters);
    must(code::FILTER_COUNT, "Seccomp_filters", format!("at least {}", expect.min_filters), seen, enough)?;
    if let Some(uid) = expect.uid {
        let seen = field("Uid").split_whitespace().next().unwrap_or_default();
        must(code::UID, "Uid", uid.to_string(), seen, seen == uid.to_string())?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Name:\tpause\nUid:\t65532\t65532\t65532\t65532\nCapInh:\t0000000000000000\n\
        CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    fn expect() -> Expect {
        Expect { caps_zero: true, no_new_privs: true, min_filters: 1, uid: Some(65532), ..Expect::default() }
    }

    #[test]
    fn a_confined_pause_process_passes_and_is_reported_line_by_line() {
        let rows = check(GOOD, &expect()).unwrap();
        assert_eq!(rows.len(), 8);
        assert!(rows.iter().all(|row| row.holds));
    }

    #[test]
    fn whatever_is_not_as_it_must_be_is_refused_with_its_code() {
        for (from, to, code) in [
            ("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", code::CAPABILITIES),
            ("CapAmb:\t0000000000000000\n", "", code::CAPABILITIES),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", code::NO_NEW_PRIVS),
            ("Seccomp_filters:\t1", "Seccomp_filters:\t0", code::FILTER_COUNT),
            ("Seccomp_filters:\t1\n", "", code::FILTER_COUNT),
            ("Uid:\t65532", "Uid:\t0", code::UID),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            assert_eq!(check(&bad, &expect()).unwrap_err().code, code, "{to}");
        }
    }
}
