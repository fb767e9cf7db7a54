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
    if let Some([soft, hard]) = verified.core_limit {
        rows.push(row("core limit", format!("{CORE_LIMIT} of {CORE_LIMIT}"), format!("{soft} of {hard}")));
    }
    rows.push(row("cgroup", "one".to_owned(), cgroups(&verified.cgroup)));
    let expected = if expect.landlock { "a domain".to_owned() } else { any() };
    rows.push(row("Landlock", expected, if verified.landlock { "a domain" } else { "none" }.to_owned()));
    if let Some(refused) = verified.connect_refused {
        let seen = if refused { "EACCES" } else { "connected" };
        rows.push(row("forbidden connect", "EACCES".to_owned(), seen.to_owned()));
    }
    rows
}

/// The path, where it is the same in all hierarchies; else the lines as the kernel has them.
fn cgroups(lines: &[String]) -> String {
    let path = |line: &String| line.splitn(3, ':').nth(2).map(str::to_owned);
    match lines.first().and_then(path) {
        Some(first) if lines.len() > 1 && lines.iter().all(|line| path(line).as_ref() == Some(&first)) => {
            format!("{first} in {} hierarchies", lines.len())
        }
        _ => lines.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_one_path_where_it_is_one() {
        let seen = |lines: &[&str]| cgroups(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        assert_eq!(seen(&["0::/pods/a"]), "0::/pods/a");
        assert_eq!(
            seen(&["2:cpu,cpuacct:/pods/a:b", "1:name=systemd:/pods/a:b", "0::/pods/a:b"]),
            "/pods/a:b in 3 hierarchies"
        );
        assert_eq!(seen(&["1:cpu:/pods/a", "0::/"]), "1:cpu:/pods/a 0::/");
        assert_eq!(seen(&["1:cpu", "0::/"]), "1:cpu 0::/");
    }
}
