//! The fuzzers' corpus, replayed: what a fuzzer found once stays found. The seeds are written by
//! `ZEROCAP_WRITE_CORPUS=1 cargo test -p zerocap-seccomp --test lint_corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use zerocap_seccomp::lint::{Options, RULES, fix, human, lint};
use zerocap_seccomp::oci::docker::{Target, resolve};
use zerocap_seccomp::oci::source::Source;
use zerocap_seccomp::{Arch, Gate, check, compile, oci};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

fn each(target: &str, mut judge: impl FnMut(&str, &[u8])) {
    let mut count = 0;
    for entry in fs::read_dir(corpus(target)).expect("the corpus is there") {
        let entry = entry.expect("readable");
        judge(&entry.file_name().to_string_lossy(), &fs::read(entry.path()).expect("readable"));
        count += 1;
    }
    assert!(count >= 10, "the corpus of {target} has {count} entries");
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let path = corpus(target).join(name);
    if std::env::var_os("ZEROCAP_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(target)).expect("writable");
        fs::write(&path, bytes).expect("writable");
    }
    assert_eq!(fs::read(&path).unwrap_or_default(), bytes, "{name} is stale");
}

#[test]
fn the_seeds_are_the_examples_of_the_rules() {
    for rule in RULES {
        for (which, sample) in [("fires", &rule.fires), ("silent", &rule.silent)] {
            let bytes = sample.bytes();
            // The long filter would be most of the corpus.
            if bytes.len() > 4096 {
                continue;
            }
            seed("profile_lint", &format!("{}-{which}", rule.id), &bytes);
            if bytes.first() == Some(&b'{') {
                seed("profile_json", &format!("{}-{which}", rule.id), &bytes);
            }
        }
    }
    let posted = include_bytes!("../fixtures/posted-backend.json");
    seed("profile_json", "posted-backend", posted);
    seed("profile_lint", "posted-backend", posted);
}

#[test]
fn profiles_become_filters_or_errors() {
    let mut compiled = 0;
    each("profile_json", |name, bytes| {
        let Ok(source) = Source::parse(String::from_utf8_lossy(bytes).into_owned()) else { return };
        assert!(source.text().get(source.span("syscalls[0].args[0].op")).is_some(), "{name}");
        for arch in Arch::NATIVE {
            let target = Target { arch, capabilities: Default::default(), kernel: (6, 12) };
            let Ok(resolved) = resolve(source.value(), &target) else { continue };
            let Ok(profile) = oci::read(&resolved.seccomp) else { continue };
            let program = compile(&profile, arch, Gate::None).expect("small");
            check(&program.insns).expect("the kernel takes it");
            compiled += 1;
        }
    });
    assert!(compiled > 50, "{compiled}");
}

#[test]
fn profiles_are_judged_and_corrected_once() {
    let options = Options::default();
    each("profile_lint", |name, bytes| {
        let Ok(report) = lint(name, bytes, &options) else { return };
        let text = std::str::from_utf8(bytes).ok();
        for finding in &report.findings {
            let inside = text.is_some_and(|text| text.get(finding.span.clone()).is_some());
            assert!(finding.place.is_none() || inside, "{name}: {finding:?}");
        }
        assert!(human(&report, text).chars().all(|c| c == '\n' || !c.is_control()), "{name}");
        if let Ok(fixed) = fix(name, bytes, &options) {
            let again = fix(name, fixed.text.as_bytes(), &options).expect("a profile again");
            assert!(again.done.is_empty() && again.text == fixed.text, "{name}: {:?}", again.done);
        }
    });
}

/// As many of the smallest rules and names as are read: judged in a moment. More are refused.
#[test]
fn a_full_file_is_no_trap() {
    let filled = |unit: &str, count: usize| {
        let rules = vec![unit; count].join(",");
        format!("{{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{rules}]}}")
    };
    let names = vec!["\"opne\""; 10_000].join(",");
    let options = Options::default();
    for (unit, count) in [
        (r#"{"names":["kill"],"action":"SCMP_ACT_TRAP","args":[{"index":1,"op":"SCMP_CMP_NE"}]}"#, 500),
        (r#"{"names":["kill"],"action":"SCMP_ACT_ALLOW"}"#, 500),
        (&format!("{{\"names\":[{names}],\"action\":\"SCMP_ACT_TRAP\"}}"), 1),
    ] {
        let text = filled(unit, count);
        let report = lint("full", text.as_bytes(), &options).expect("a profile");
        assert!(
            report.findings.len() + report.omitted >= 100 && report.findings.len() < 400,
            "{}",
            report.findings.len()
        );
        assert!(human(&report, Some(&text)).contains("further findings"));
    }
    let condition = vec![r#"{"index":1,"value":7,"op":"SCMP_CMP_NE"}"#; 1001].join(",");
    let text = filled(&format!(r#"{{"names":["kill"],"action":"SCMP_ACT_TRAP","args":[{condition}]}}"#), 1);
    assert!(lint("full", text.as_bytes(), &options).expect_err("too many").to_string().contains("1001 conditions"));
    let text = filled(r#"{"names":[],"action":"SCMP_ACT_TRAP"}"#, 501);
    assert!(lint("full", text.as_bytes(), &options).expect_err("too many").to_string().contains("501 rules"));
}
