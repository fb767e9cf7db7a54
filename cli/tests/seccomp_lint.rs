//! `zerocap seccomp lint`: exit status, forms of output, corrections, and files of any kind.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

const POSTED: &str = "../seccomp/fixtures/posted-backend.json";
const CLEAN: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
  "syscalls": [ { "names": ["execve", "exit", "exit_group", "rt_sigreturn", "restart_syscall", "openat", "read", "write",
    "newfstatat", "fstat", "statx", "fstatfs", "getdents64", "mmap", "mprotect", "brk", "close", "clone", "seccomp", "prctl", "landlock_create_ruleset",
    "landlock_add_rule", "landlock_restrict_self"], "action": "SCMP_ACT_ALLOW" } ] }"#;

fn lint(arguments: &[&str]) -> Output {
    Command::cargo_bin("zerocap")
        .unwrap()
        .args(["seccomp", "lint", "--arch", "x86_64"])
        .args(arguments)
        .output()
        .unwrap()
}

fn written(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn exit_status_follows_the_worst_finding() {
    let dir = tempfile::tempdir().unwrap();
    let clean = written(&dir, "clean.json", CLEAN.as_bytes());
    let status = |arguments: &[&str]| lint(arguments).status.code();
    assert_eq!(status(&[&clean]), Some(0));
    // The note about 32-bit programs.
    assert_eq!(status(&[&clean, "--fail-on", "note"]), Some(1));
    assert_eq!(status(&[POSTED]), Some(1));
    assert_eq!(status(&[POSTED, "--fail-on", "error"]), Some(1));
    assert_eq!(status(&[&clean, POSTED]), Some(1));
    assert_eq!(status(&[POSTED, "/does/not/exist"]), Some(2));
    assert_eq!(status(&[&clean, "--libseccomp", "two"]), Some(2));
    assert_eq!(status(&[]), Some(2));
}

#[test]
fn json_output_has_the_fields_of_the_page() {
    let output = lint(&[POSTED, "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["schema"].as_u64(), report["form"].as_str()), (Some(1), Some("oci")));
    let findings = report["findings"].as_array().unwrap();
    let count = |severity: &str| findings.iter().filter(|finding| finding["severity"] == severity).count() as u64;
    assert_eq!(report["errors"].as_u64(), Some(count("error")));
    assert_eq!(report["presets"][0]["preset"], "model-backend");
    for finding in findings {
        for text in ["rule", "name", "severity", "title", "path", "written", "kernel", "instead"] {
            assert!(finding[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {finding}");
        }
        assert!(finding["line"].as_u64().is_some() && finding["column"].as_u64().is_some(), "{finding}");
        assert!(finding["fixable"].is_boolean(), "{finding}");
    }
    let page = fs::read_to_string("../docs/lint.md").unwrap();
    for field in findings[0].as_object().unwrap().keys().chain(report.as_object().unwrap().keys()) {
        assert!(page.contains(&format!("`{field}")) || page.contains(&format!(".{field}`")), "{field}");
    }
}

#[test]
fn corrections_are_written_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(&dir, "profile.json", &fs::read(POSTED).unwrap());
    let before = fs::read_to_string(&path).unwrap();
    let output = lint(&["--fix", &path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("corrected[SL"), "{text}");
    let after = fs::read_to_string(&path).unwrap();
    assert_ne!(before, after);
    for name in ["execveat", "accept4", "openat2", "io_uring_setup", "fsopen", "process_vm_readv", "reboot"] {
        assert!(after.contains(name), "{name}: {after}");
    }
    // A second time there is nothing left to correct, and the file is not touched.
    let modified = |path: &str| fs::metadata(path).unwrap().modified().unwrap();
    let (first, output) = (modified(&path), lint(&["--fix", &path]));
    assert!(!String::from_utf8(output.stdout).unwrap().contains("corrected"));
    assert_eq!((modified(&path), fs::read_to_string(&path).unwrap()), (first, after));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    // One bad file among several: none is written.
    let good = written(&dir, "good.json", before.as_bytes());
    let bad = written(&dir, "bad.json", b"{");
    assert_eq!(lint(&["--fix", &good, &bad]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&good).unwrap(), before);
    for not_a_file in ["-", "general"] {
        assert_eq!(lint(&["--fix", not_a_file]).status.code(), Some(2));
    }
}

/// Files of any kind: one line on standard error with the file and, where there is one, the place; exit status 2.
#[test]
fn files_of_any_kind() {
    let dir = tempfile::tempdir().unwrap();
    let rule = |text: &str| format!("{{\n\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [\n{text}\n]}}");
    let deep = "[".repeat(1 << 20);
    let large = vec![b' '; 100 << 20];
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "empty"),
        ("blank", b" \n\t".to_vec(), "empty"),
        ("binary", (0..=255).collect(), "filter"),
        ("odd", vec![0; 13], "13 bytes are no whole number of instructions"),
        ("latin", b"\xff\xfe{}".to_vec(), "not UTF-8"),
        ("mark", b"\xef\xbb\xbf{}".to_vec(), "line 1, column 1"),
        ("large", large, "larger than"),
        ("deep", deep.as_bytes()[..500_000].to_vec(), "line 1, column 128"),
        ("cut", b"{\"defaultAction\":".to_vec(), "line 1, column 17: not JSON"),
        ("list", b"[1, 2]".to_vec(), "expected an object"),
        ("number", b"7".to_vec(), "expected an object"),
        ("twice", b"{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n \"defaultAction\": \"SCMP_ACT_ERRNO\"}".to_vec(), "line 2, column 2"),
        ("case", b"{\"DefaultAction\": \"SCMP_ACT_ALLOW\"}".to_vec(), "write it as \"defaultAction\""),
        ("action", rule(r#"{"names": ["read"], "action": "SCMP_ACT_DENY"}"#).into_bytes(), "line 4, column 31"),
        ("operator", rule(r#"{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "op": "=="}]}"#).into_bytes(), "is not an operator"),
        ("index", rule(r#"{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}"#).into_bytes(), "too large (at most 5)"),
        ("negative", rule(r#"{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}"#).into_bytes(), "from 0 to 2^64-1"),
        ("huge", rule(r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 70000}"#).into_bytes(), "too large (at most 4095)"),
        ("nameless", rule(r#"{"names": [""], "action": "SCMP_ACT_TRAP"}"#).into_bytes(), "an empty string is not a system call"),
        ("types", rule(r#"{"names": "read", "action": "SCMP_ACT_TRAP"}"#).into_bytes(), "expected an array"),
        ("toml", b"version = 1\nsummary = \"s\"\nbase = \"general\"\n[allow]\nraed = \"why\"\n".to_vec(), "raed"),
        ("config", br#"{"ociVersion": "1.2.0", "linux": {}}"#.to_vec(), "has no linux.seccomp"),
    ];
    for (name, bytes, expected) in cases {
        let path = written(&dir, name, &bytes);
        let output = lint(&[&path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {error}");
        assert!(output.stdout.is_empty(), "{name}");
        assert!(error.contains(expected) && error.contains(&path), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
    }
    assert_eq!(lint(&[dir.path().to_str().unwrap()]).status.code(), Some(2));
    assert!(Path::new(POSTED).exists());
}

/// A name may try to paint the terminal.
#[test]
fn control_characters_stay_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"\\u001b[31mread\"], \"action\": \"SCMP_ACT_TRAP\"}], \"\\u001b[0m\": 1}";
    let path = written(&dir, "profile.json", text.as_bytes());
    let output = lint(&[&path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Profiles for bubblewrap are a stack: what one refuses, the next cannot do.
#[test]
fn a_stack_for_bubblewrap() {
    let dir = tempfile::tempdir().unwrap();
    let refusing =
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ { "names": ["prctl"], "action": "SCMP_ACT_ERRNO" } ] }"#;
    let (first, second) = (written(&dir, "a", refusing.as_bytes()), written(&dir, "b", CLEAN.as_bytes()));
    let fired = |arguments: &[&str]| String::from_utf8(lint(arguments).stdout).unwrap().contains("[SL23]");
    assert!(fired(&["--bwrap", &first, &second]));
    assert!(!fired(&["--bwrap", &second, &first]));
    assert!(!fired(&[&first, &second]));
}
