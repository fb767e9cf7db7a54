//! `zerocap seccomp test`: a command under a profile, and what it was refused.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// Not by eprintln, which libtest keeps back: whoever counts must see it.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn test(profile: &str, rest: &[&str]) -> Output {
    Command::cargo_bin("zerocap").unwrap().args(["seccomp", "test", profile]).args(rest).output().unwrap()
}

/// Runs a shell script, and reads the report.
fn script(profile: &str, script: &str) -> (Output, Value) {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let output = test(profile, &["--output", "json", "--report", report.to_str().unwrap(), "--", "sh", "-c", script]);
    let text = fs::read_to_string(report).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&text).unwrap())
}

fn refused<'a>(report: &'a Value, call: &str) -> Option<&'a Value> {
    report["refused"].as_array().unwrap().iter().find(|row| row["call"] == call)
}

fn list(dir: &Path, deny: &str) -> String {
    let path = dir.join("list.toml");
    fs::write(&path, format!("version = 1\nbase = \"general\"\n[deny]\n{deny}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The command, its children and their children are followed; the profile's answers are what they see.
#[test]
fn refusals_are_told_by_name_arguments_and_process() {
    let dir = tempfile::tempdir().unwrap();
    let profile = list(dir.path(), "mkdir = { then = \"ENOSPC\" }\nmkdirat = { then = \"ENOSPC\" }");
    let target = dir.path().join("new");
    let line = format!("(sh -c 'mkdir {0}; mkdir {0}') 2>&1; exit 7", target.display());
    let (output, report) = script(&profile, &line);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.matches("No space left on device").count(), 2, "{told}");
    assert!(!target.exists(), "the call was made");
    let row = refused(&report, "mkdir").or_else(|| refused(&report, "mkdirat")).expect("mkdir was refused");
    assert_eq!((&row["times"], &row["answer"], &row["process"]), (&2.into(), &"ENOSPC".into(), &"mkdir".into()));
    assert!(row["first"].as_str().unwrap().ends_with(target.to_str().unwrap()), "{row}");
    assert_eq!(report["exit-status"], 7);
}

/// What the profile permits is not in the report, and nothing changes for it.
#[test]
fn what_is_permitted_is_left_alone() {
    let output = test("general", &["--", "sh", "-c", "echo out; echo err >&2; cat", "<&-"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\nzerocap: general refused nothing\n");
}

/// A profile that does not let programs be executed lets this one be, and no other.
#[test]
fn the_command_itself_may_be_executed() {
    let (output, report) = script("model-backend", "exec true");
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(refused(&report, "execve").unwrap()["answer"], "EPERM", "{report}");
}

#[test]
fn a_profile_that_ends_processes_does() {
    let dir = tempfile::tempdir().unwrap();
    let profile = list(dir.path(), "mkdir = { then = \"kill\" }\nmkdirat = { then = \"kill\" }");
    let target = dir.path().join("new");
    let output = test(&profile, &["--", "mkdir", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(159), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("kill-process"), "{output:?}");
    assert!(!target.exists());
}

/// Nothing that the command left behind lives on, and nothing waits for it.
#[test]
fn what_is_left_running_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let (output, _) = script("general", &format!("sleep 1000 >/dev/null 2>&1 & echo $! > {}", file.display()));
    assert!(output.status.success(), "{output:?}");
    let pid: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let gone = || state().rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.starts_with(" Z"));
    for _ in 0..1000 {
        if gone() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{pid} still runs: {}", state());
}

#[test]
fn what_cannot_start_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = test("general", &["--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("refused nothing"), "{output:?}");
    let file = dir.path().join("no-program");
    fs::write(&file, "text").unwrap();
    assert_eq!(test("general", &["--", file.to_str().unwrap()]).status.code(), Some(126));
    assert_eq!(test("generl", &["--", "true"]).status.code(), Some(2));
    assert_eq!(test("general", &[]).status.code(), Some(2));
}

/// Threads are followed too, and signals arrive.
#[test]
fn threads_and_signals() {
    let program = "import os, signal, threading\n\
        signal.signal(signal.SIGUSR1, lambda *_: print('signal', flush=True))\n\
        def work():\n    try: os.mknod('/dev/null/x')\n    except OSError as e: print(e.errno, flush=True)\n\
        t = threading.Thread(target=work); t.start(); t.join()\n\
        os.kill(os.getpid(), signal.SIGUSR1)\n";
    if std::process::Command::new("python3").arg("-c").arg("").status().is_err() {
        skipped("python3 is not installed");
        return;
    }
    let output = test("strict", &["--", "python3", "-c", program]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\nsignal\n", "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("mknod"), "{output:?}");
}
