//! `zerocap run`: what the program gets, what it does not get any more, and that all else is as without zerocap.
//!
//! Every refusal has its control: the same program without zerocap, which must not be refused.

mod machine;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use machine::{Who, each, listener, plain, script, zerocap};
use serde_json::Value;

/// The shell's own way to connect.
fn connect(port: u16) -> String {
    format!("exec 9<>/dev/tcp/127.0.0.1/{port} && echo connected")
}

#[test]
fn status_and_output_are_the_programs() {
    each(|who| {
        let run = |text: &str| script(who, &[], text);
        let output = run("echo out; echo err >&2; exit 7").output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
        assert_eq!(run("kill -KILL $$").status().unwrap().code(), Some(137));
        assert_eq!(run("kill -TERM $$").status().unwrap().code(), Some(143));
        // What zerocap holds back is not held back from the program.
        let blocked = run("grep SigBlk /proc/self/status").output().unwrap().stdout;
        assert_eq!(blocked, b"SigBlk:\t0000000000000000\n");
    });
}

#[test]
fn standard_input_is_the_programs() {
    let mut child =
        zerocap(Who::Me).args(["run", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
}

#[test]
fn what_does_not_start_has_the_status_that_shells_have_for_it() {
    for (arguments, status, code) in [
        (&["--", "no-such-program"][..], 127, "ZC0618"),
        (&["--", "/etc"], 126, "ZC0619"),
        (&["--annotation", "zerocap.io/require=neighbours", "--", "true"], 125, "ZC0502"),
        (&["--annotation", "zerocap.io/unx=none", "--", "true"], 125, "ZC0101"),
        (&["--annotation", "unix=none", "--", "true"], 125, "ZC0101"),
        (&["--annotation", "network-enforcement=cluster", "--", "true"], 125, "ZC0931"),
        (&["--report", "/no/such/folder/report", "--", "true"], 125, "ZC1004"),
        (&["--user", "root", "--", "true"], 2, "--user"),
        (&[], 2, "<CMD>"),
    ] {
        let output = zerocap(Who::Me).arg("run").args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert!(error.contains(code) && output.stdout.is_empty(), "{arguments:?}: {error}");
    }
}

#[test]
fn a_program_connects_without_and_not_with_zerocap() {
    each(|who| {
        let (_listener, port) = listener();
        let control = plain(who, &["bash", "-c", &connect(port)]).output().unwrap();
        assert_eq!(control.stdout, b"connected\n", "{control:?}");
        let confined = zerocap(who).args(["run", "--", "bash", "-c", &connect(port)]).output().unwrap();
        assert!(!confined.status.success() && confined.stdout.is_empty(), "{confined:?}");
        assert!(String::from_utf8_lossy(&confined.stderr).contains("Permission denied"), "{confined:?}");
        // The proxy's port is the one that may be reached.
        let proxy = format!("zerocap.io/proxy-port={port}");
        let through = zerocap(who).args(["run", "--annotation", &proxy, "--", "bash", "-c", &connect(port)]).output();
        assert_eq!(through.unwrap().stdout, b"connected\n");
    });
}

#[test]
fn nothing_that_was_open_is_inherited() {
    each(|who| {
        let list = "ls /proc/self/fd";
        let open = |command: &mut Command| {
            let script = format!("exec 7</dev/null 9>/dev/null; exec {}", words(command));
            let output = Command::new("sh").args(["-c", &script]).env("LISTEN_FDS", "1").output().unwrap();
            String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let control = open(plain(who, &["sh", "-c"]).arg(list));
        assert!(control.contains(&"7".to_owned()) && control.contains(&"9".to_owned()), "{control:?}");
        // 3 is the folder that ls itself reads.
        assert_eq!(open(zerocap(who).args(["run", "--", "sh", "-c", list])), ["0", "1", "2", "3"]);
        assert!(open(zerocap(who).args(["run", "--", "sh", "-c", "echo $LISTEN_FDS"])).is_empty());
    });
}

/// A command as a shell's words.
fn words(command: &Command) -> String {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
    let all: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    all.join(" ")
}

#[test]
fn the_report_is_what_the_kernel_shows() {
    each(|who| {
        let show = "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status; ulimit -c";
        let output = script(who, &["--output", "json"], show).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((&report["target"], &report["active"]), (&"machine".into(), &true.into()));
        let shown = String::from_utf8(output.stdout).unwrap();
        let rows = report["verified"].as_array().unwrap();
        for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp_filters"] {
            let line = shown.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
            let row = rows.iter().find(|row| row["step"] == field).unwrap();
            assert_eq!(row["seen"], line.trim(), "{field}");
            if field.starts_with("Cap") && field != "CapBnd" {
                assert_eq!(line.trim(), "0000000000000000", "{field}");
            }
        }
        let sees_all = who == Who::Me && machine::root();
        assert_eq!(rows.iter().any(|row| row["step"] == "descriptors"), sees_all);
        assert_eq!(shown.contains("CapBnd:\t0000000000000000"), sees_all);
        assert!(shown.trim_end().ends_with(['0', '1']), "no core files: {shown}");
    });
}

#[test]
fn the_report_goes_to_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let output = zerocap(Who::Me).args(["run", "--report"]).arg(&file).args(["--", "cat"]).arg(&file).output().unwrap();
    // It is there, whole, before the program runs.
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verified"][0]["step"], "CapInh");
    assert!(output.stderr.is_empty());
}

#[test]
fn root_becomes_another_user_and_nobody_else_does() {
    let Some(()) = machine::needs_root() else { return };
    let output = zerocap(Who::Me).args(["run", "--user", "65533:65532", "--", "id"]).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(id.starts_with("uid=65533") && id.contains("gid=65532") && !id.contains("(root)"), "{id}");
    let output = zerocap(Who::Nobody).args(["run", "--user", "0", "--", "id"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ZC0930"));
}

#[test]
fn signals_reach_the_program() {
    each(|who| {
        let text = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
        let mut child = script(who, &[], text).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "got");
        assert_eq!(child.wait().unwrap().code(), Some(5));
    });
}

#[test]
fn a_terminals_interrupt_arrives_once() {
    // 30 s for the first one, then 0.7 s for another.
    let text = "n=0; i=0; trap 'n=$((n+1))' INT; echo ready; \
                until [ $i = 300 ]; do sleep 0.1; i=$((i+1)); [ $n = 0 ] || i=$((i < 293 ? 293 : i)); done; echo n=$n";
    let said = machine::in_terminal(&[machine::PROGRAM, "run", "--", "sh", "-c", text], "ready", b"\x03");
    assert!(said.contains("n=1"), "{said}");
}

/// Who is not root may have capabilities all the same.
#[test]
fn ambient_capabilities_are_lost() {
    let Some(()) = machine::needs_root() else { return };
    let show = ["grep", "^Cap[IPEA]", "/proc/self/status"];
    let caps = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let control = caps(&mut machine::with_capability(&show));
    assert_eq!(control.matches("0000000000000400").count(), 4, "{control}");
    let program = machine::program().to_str().unwrap();
    let confined = caps(&mut machine::with_capability(&[&[program, "run", "--"], &show[..]].concat()));
    assert_eq!(confined.matches("0000000000000000").count(), 4, "{confined}");
}

#[test]
fn a_job_stops_and_goes_on() {
    let inner =
        format!("{} run -- sh -c 'kill -STOP $$; echo on; exit 4'; echo stopped=$?; fg; echo end=$?", machine::PROGRAM);
    let said = machine::in_terminal(&["bash", "-mc", &inner], "stopped", b"");
    assert!(said.contains("stopped=147") && said.contains("on\r\n") && said.contains("end=4"), "{said}");
}

#[test]
fn the_terminal_is_the_programs() {
    let said = machine::in_terminal(
        &[machine::PROGRAM, "run", "--", "sh", "-c", "tty; test -t 0 && test -t 1 && echo both"],
        "both",
        b"",
    );
    assert!(said.contains("/dev/pts/") && said.contains("both"), "{said}");
}

#[test]
fn a_socket_as_standard_input_is_refused() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let output =
        zerocap(Who::Me).args(["run", "--", "true"]).stdin(std::os::fd::OwnedFd::from(theirs)).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ZC0610"));
    drop(ours);
}

#[test]
fn nothing_is_left_behind() {
    let mut child = script(Who::Me, &[], "echo $PPID; sleep 0.2").stdout(Stdio::piped()).spawn().unwrap();
    let mut parent = String::new();
    child.stdout.take().unwrap().read_to_string(&mut parent).unwrap();
    // The program's parent is zerocap itself: no process stands between them, and none stays.
    assert_eq!(parent.trim(), child.id().to_string());
    assert!(child.wait().unwrap().success());
}
