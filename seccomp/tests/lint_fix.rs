//! What the linter corrects: the fault is gone, nothing becomes laxer, and the rest of the text stays as it was.

use zerocap_seccomp::lint::{Fixed, Form, Options, RULES, Severity, fix, lint};

fn fixed(text: &str) -> Fixed {
    fix("profile.json", text.as_bytes(), &Options::default()).expect("a profile")
}

fn profile(default: &str, rules: &str) -> String {
    format!(
        "{{\n  \"defaultAction\": \"SCMP_ACT_{default}\",\n  \"architectures\": [\"SCMP_ARCH_X86_64\"],\n  \"syscalls\": [\n    {rules}\n  ]\n}}\n"
    )
}

#[test]
fn each_correction_is_the_one_that_was_meant() {
    const ERRNO: &str = r#""action": "SCMP_ACT_ERRNO", "errnoRet": 1"#;
    for (id, default, before, after) in [
        (
            "SL01",
            "ALLOW",
            format!(
                r#"{{"names": ["personality"], {ERRNO}, "args": [{{"index": 0, "op": "SCMP_CMP_EQ", "value": 8}}]}}"#
            ),
            format!(
                r#"{{"names": ["personality"], {ERRNO}, "args": [{{ "index": 0, "value": 4294967295, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ" }}]}}"#
            ),
        ),
        (
            "SL06",
            "ALLOW",
            format!(r#"{{"names": ["kcmp"], "action": "SCMP_ACT_ALLOW"}}, {{"names": ["bpf"], {ERRNO}}}"#),
            format!(r#"{{"names": ["bpf"], {ERRNO}}}"#),
        ),
        (
            "SL09",
            "ALLOW",
            format!(r#"{{"names": ["execve"], {ERRNO}}}"#),
            format!(r#"{{"names": ["execve", "execveat"], {ERRNO}}}"#),
        ),
        (
            "SL10",
            "ALLOW",
            format!(r#"{{"names": ["bpf", "clone3"], {ERRNO}}}"#),
            format!(
                r#"{{"names": ["bpf"], {ERRNO}}}, {{ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }}"#
            ),
        ),
        (
            "SL15",
            "ERRNO",
            r#"{"names": ["bpf"], "errnoRet": 1, "action": "SCMP_ACT_KILL_PROCESS"}"#.to_owned(),
            r#"{"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS"}"#.to_owned(),
        ),
        (
            "SL16",
            "ALLOW",
            format!(r#"{{"names": ["ptrcae", "<name>", "bpf"], {ERRNO}}}"#),
            format!(r#"{{"names": ["ptrace", "bpf"], {ERRNO}}}"#),
        ),
        (
            "SL20",
            "ALLOW",
            r#"{"names": ["bpf"], "action": "SCMP_ACT_KILL"}"#.to_owned(),
            r#"{"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS"}"#.to_owned(),
        ),
    ] {
        let result = fixed(&profile(default, &before));
        assert!(result.done.iter().any(|(rule, _)| *rule == id), "{id}: {:?}", result.done);
        // Another rule may have something to correct as well; this one's text is there.
        let found = result.report.findings.iter().find(|finding| finding.rule.id == id && finding.edit.is_some());
        assert!(found.is_none(), "{id}: {}", result.text);
        if result.done.iter().all(|(rule, _)| *rule == id) {
            assert_eq!(result.text, profile(default, &after), "{id}");
        }
        let again = fixed(&result.text);
        assert!(again.done.is_empty(), "{id}: {:?}", again.done);
    }
}

/// A correct name in a list of permissions would permit a call that was refused: a person has to decide.
#[test]
fn nothing_becomes_laxer() {
    let text = profile("ERRNO", r#"{"names": ["read", "ptrcae"], "action": "SCMP_ACT_ALLOW"}"#);
    let result = fixed(&text);
    assert!(!result.text.contains("\"ptrace\""), "{}", result.text);
    // Nor may an errno take the place of the default, which kills.
    let text = profile("KILL_PROCESS", r#"{"names": ["ptrcae", "bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}"#);
    let offered = lint("profile.json", text.as_bytes(), &Options::default()).expect("a profile");
    assert!(offered.findings.iter().any(|finding| finding.rule.id == "SL16" && finding.edit.is_some()));
    assert!(!fixed(&text).text.contains("\"ptrace\""), "{}", fixed(&text).text);
    // 64-bit comparisons of permissions are the stricter ones.
    let text = profile(
        "ERRNO",
        r#"{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(fixed(&text).text, text);
}

#[test]
fn examples_of_every_rule() {
    for rule in RULES {
        let mut options = Options::default();
        (rule.fires.options)(&mut options);
        let before = lint("sample", &rule.fires.bytes(), &options).expect("a profile");
        if matches!(before.form, Form::Compiled | Form::Toml) {
            assert!(fix("sample", &rule.fires.bytes(), &options).is_err());
            continue;
        }
        let after = fix("sample", &rule.fires.bytes(), &options).expect("a profile");
        let count = |findings: &[zerocap_seccomp::lint::Finding]| {
            findings.iter().filter(|finding| finding.rule.id == rule.id && finding.severity > Severity::Note).count()
        };
        assert!(count(&after.report.findings) <= count(&before.findings), "{rule:?}");
        let fixable = before.findings.iter().any(|finding| finding.rule.id == rule.id && finding.edit.is_some());
        assert!(!fixable || !after.done.is_empty(), "{rule:?}");
    }
}
