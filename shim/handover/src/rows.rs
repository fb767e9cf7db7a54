//! What was verified, as rows of the enforcement report.

use zerocap_annotations::report::Verified as Row;
use zerocap_annotations::{CORE_LIMIT, Expect};

use crate::Verified;
use crate::verify::{BOUNDING, CAPABILITY_SETS};

/// What the kernel showed of a process that passed verification, line by line.
#[must_use]
pub fn rows(verified: &Verified, expect: &Expect) -> Vec<Row> {
    let row = |step: &str, expected: String, seen: String| Row { step: step.to_owned(), expected, seen, holds: true };
    let any = || "any".to_owned();
    let mut rows = Vec::new();
    for (name, set) in CAPABILITY_SETS.iter().zip(verified.capabilities) {
        let any_is_fine = expect.any_bounding && *name == BOUNDING;
        let expected = if expect.caps_zero && !any_is_fine { format!("{:016x}", 0) } else { any() };
        rows.push(row(name, expected, format!("{set:016x}")));
    }
    let expected = if expect.no_new_privs { "1".to_owned() } else { any() };
    rows.push(row("NoNewPrivs", expected, u8::from(verified.no_new_privs).to_string()));
    let expected = format!("at least {}", expect.min_filters);
    rows.push(row("Seccomp_filters", expected, verified.seccomp_filters.to_string()));
    rows.push(row("Uid", expect.uid.map_or_else(any, |uid| uid.to_string()), verified.uid.to_string()));
    if let Some(descriptors) = &verified.descriptors {
        let descriptors = descriptors.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        rows.push(row("descriptors", "stdio and the hand-over".to_owned(), descriptors));
    }
    if expect.no_core {
        rows.push(row("core limit", CORE_LIMIT.to_string(), CORE_LIMIT.to_string()));
    }
    rows.push(row("cgroup", "one".to_owned(), verified.cgroup.join(" ")));
    let expected = if expect.landlock { "a domain".to_owned() } else { any() };
    rows.push(row("Landlock", expected, if verified.landlock { "a domain" } else { "none" }.to_owned()));
    if let Some(refused) = verified.connect_refused {
        let seen = if refused { "EACCES" } else { "connected" };
        rows.push(row("forbidden connect", "EACCES".to_owned(), seen.to_owned()));
    }
    rows
}
