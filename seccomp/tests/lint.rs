//! Every rule of the linter: a profile in which it fires, the same put right in which it does not.

use zerocap_seccomp::lint::{Finding, Options, RULES, Rule, Sample, Severity, lint};

fn findings(rule: &Rule, sample: &Sample) -> Vec<Finding> {
    let mut options = Options::default();
    (sample.options)(&mut options);
    let report = lint("sample", &sample.bytes(), &options).unwrap_or_else(|error| panic!("{rule:?}: {error}"));
    report.findings.into_iter().filter(|finding| finding.rule.id == rule.id).collect()
}

#[test]
fn every_rule_fires_and_is_silent() {
    for rule in RULES {
        let fired = findings(rule, &rule.fires);
        assert!(!fired.is_empty(), "{rule:?} does not fire");
        for finding in &fired {
            assert!(finding.severity <= rule.severity, "{rule:?}: {finding:?}");
            for said in [&finding.wrote, &finding.kernel, &finding.instead] {
                assert!(!said.is_empty(), "{rule:?}: {finding:?}");
            }
        }
        let silent = findings(rule, &rule.silent);
        let worst = silent.iter().map(|finding| finding.severity).max();
        assert!(worst.is_none(), "{rule:?} fires on {silent:?}");
    }
}

#[test]
fn there_are_25_rules_with_ids_in_order() {
    assert_eq!(RULES.len(), 25);
    for (index, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.id, format!("SL{:02}", index + 1));
        let names = RULES.iter().filter(|other| other.slug == rule.slug);
        assert_eq!(names.count(), 1, "{rule:?}");
        assert!(rule.severity >= Severity::Note && !rule.title.ends_with('.'), "{rule:?}");
    }
}

fn found(text: &str) -> Vec<(&'static str, Severity)> {
    let report = lint("profile.json", text.as_bytes(), &Options::default()).expect("a profile");
    report.findings.iter().map(|finding| (finding.rule.id, finding.severity)).collect()
}

fn fires(text: &str, id: &str) -> bool {
    found(text).iter().any(|(found, _)| *found == id)
}

/// What every fault of one rule looks like, one by one; and beside it what is no fault.
#[test]
fn faults_beside_those_of_the_pages() {
    let rule = |default: &str, rule: &str| {
        format!(
            r#"{{ "defaultAction": "SCMP_ACT_{default}", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [ {rule} ] }}"#
        )
    };
    for (default, text, id, expected) in [
        // A permission that compares 64 bits is too strict and evades nothing: still a finding, a note.
        (
            "ERRNO",
            r#"{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}"#,
            "SL01",
            true,
        ),
        (
            "ERRNO",
            r#"{"names":["mmap"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":8,"op":"SCMP_CMP_LE"}]}"#,
            "SL01",
            false,
        ),
        (
            "ERRNO",
            r#"{"names":["kill"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":9,"op":"SCMP_CMP_NE"},{"index":1,"value":15,"op":"SCMP_CMP_NE"}]}"#,
            "SL03",
            true,
        ),
        (
            "ERRNO",
            r#"{"names":["kill"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":9,"op":"SCMP_CMP_NE"},{"index":1,"value":15,"op":"SCMP_CMP_NE"}]}"#,
            "SL03",
            false,
        ),
        (
            "ERRNO",
            r#"{"names":["open"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":3,"valueTwo":64,"op":"SCMP_CMP_MASKED_EQ"}]}"#,
            "SL05",
            true,
        ),
        ("ALLOW", r#"{"names":["fork","vfork","clone"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL09", true),
        ("ALLOW", r#"{"names":["open_by_handle_at"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL09", false),
        (
            "ALLOW",
            r#"{"names":["clone"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":0,"value":268435456,"valueTwo":268435456,"op":"SCMP_CMP_MASKED_EQ"}]}"#,
            "SL10",
            true,
        ),
        ("ALLOW", r#"{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL11", true),
        (
            "ERRNO",
            r#"{"names":["fork"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":3,"op":"SCMP_CMP_EQ"}]}"#,
            "SL12",
            true,
        ),
        ("ALLOW", r#"{"names":["mmap"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL13", true),
        ("ALLOW", r#"{"names":["open"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL13", false),
        ("ALLOW", r#"{"names":["ptrace"],"action":"SCMP_ACT_ERRNO","errnoRet":0}"#, "SL15", true),
        ("ERRNO", r#"{"names":["ptrace"],"action":"SCMP_ACT_ALLOW","errnoRet":1}"#, "SL15", true),
        ("ALLOW", r#"{"names":["PTRACE"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL16", true),
        ("ALLOW", r#"{"names":["umount"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL16", true),
        ("ALLOW", r#"{"names":["chown32"],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL16", false),
        ("ALLOW", r#"{"names":["ptrace"],"actions":[],"action":"SCMP_ACT_ERRNO","errnoRet":1}"#, "SL16", true),
        ("NOTIFY", r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#, "SL17", true),
        ("ALLOW", r#"{"names":["write"],"action":"SCMP_ACT_NOTIFY"}"#, "SL17", true),
        (
            "ERRNO",
            r#"{"names":["shmat"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":0,"op":"SCMP_CMP_EQ"}]}"#,
            "SL18",
            false,
        ),
        ("KILL", r#"{"names":["clone","read"],"action":"SCMP_ACT_ALLOW"}"#, "SL20", true),
        ("KILL", r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#, "SL20", false),
    ] {
        assert_eq!(fires(&rule(default, text), id), expected, "{id}: {text}: {:?}", found(&rule(default, text)));
    }
}

#[test]
fn what_a_filter_of_ours_looks_like_is_clean() {
    use zerocap_seccomp::preset::Preset;
    for preset in Preset::ALL {
        let text = zerocap_seccomp::written::text(preset);
        let report = lint(preset.name(), text.as_bytes(), &Options::default()).expect("a preset");
        let bad = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let bad: Vec<_> = bad.map(|finding| (finding.rule, &finding.at, &finding.kernel)).collect();
        assert!(bad.is_empty(), "{preset:?}: {bad:?}");
    }
}
