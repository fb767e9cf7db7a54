//! bubblewrap with every preset's filter, really run: what a static program may still do, and what it is refused.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use zerocap_seccomp::preset::Preset;

/// Two calls that work or fail otherwise without a filter, the descriptors that are open, and an exit status of its own.
const SOURCE: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

static int tried(long result) { return result < 0 ? errno : 0; }

int main(int argc, char **argv) {
    if (argc > 1) {
        struct timespec long_time = { 1000, 0 };
        write(1, "up\n", 3);
        nanosleep(&long_time, 0);
        return 1;
    }
    int kcmp = tried(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    int io_uring = tried(syscall(SYS_io_uring_setup, 0, 0));
    printf("kcmp %d io_uring %d descriptors", kcmp, io_uring);
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    printf("\n");
    return 3;
}
"#;

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A folder with the program, if everything that is needed is here.
fn ready() -> Option<(tempfile::TempDir, PathBuf)> {
    match Command::new("bwrap").args(["--ro-bind", "/", "/", "true"]).output() {
        Err(_) => {
            skipped("bubblewrap is not installed");
            return None;
        }
        Ok(output) if !output.status.success() => {
            skipped(&format!("bwrap cannot make a sandbox here: {}", String::from_utf8_lossy(&output.stderr).trim()));
            return None;
        }
        Ok(_) => {}
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("p.c"), dir.path().join("p"));
    fs::write(&source, SOURCE).unwrap();
    match Command::new("cc").args(["-static", "-O1", "-w", "-o"]).args([&program, &source]).output() {
        Ok(output) if output.status.success() => Some((dir, program)),
        _ => {
            skipped("cc cannot link static programs");
            None
        }
    }
}

fn zerocap() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerocap"));
    command.arg("seccomp").stdin(Stdio::null());
    command
}

/// A sandbox with nothing in it but the program.
fn bwrap(arguments: &[&str], program: &Path) -> Output {
    let mut command = zerocap();
    command.arg("bwrap").args(arguments).args(["--", "--unshare-all", "--ro-bind"]).arg(program).args(["/p", "/p"]);
    command.output().unwrap()
}

fn refused(output: &Output, kcmp: i32, io_uring: i32, what: &str) {
    let told = String::from_utf8_lossy(&output.stdout);
    let expected = format!("kcmp {kcmp} io_uring {io_uring} descriptors 0 1 2\n");
    // What this test itself was started with is not the sandbox's doing.
    assert_eq!(without_inherited(&told), expected, "{what}: {output:?}");
    assert_eq!(output.status.code(), Some(3), "{what}: {output:?}");
}

/// Descriptors that every program gets that is started from here.
fn without_inherited(told: &str) -> String {
    let script = "for f in /proc/self/fd/*; do echo ${f##*/}; done";
    let here = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().unwrap();
    let here: Vec<u32> = String::from_utf8_lossy(&here.stdout)
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|fd| *fd > 9)
        .collect();
    let keep = |word: &&str| word.parse().map_or(true, |fd: u32| fd <= 9 || !here.contains(&fd));
    let (calls, descriptors) = told.trim_end().split_once(" descriptors ").unwrap_or((told, ""));
    let descriptors: Vec<&str> = descriptors.split(' ').filter(keep).collect();
    format!("{calls} descriptors {}\n", descriptors.join(" "))
}

/// Both presets that let programs be executed and those that need the launcher: the program runs, what the preset refuses
/// fails with its errno, and no descriptor of ours is in the sandbox.
#[test]
fn every_preset() {
    let Some((_dir, program)) = ready() else { return };
    for preset in Preset::ALL {
        let output = bwrap(&[preset.name()], &program);
        // `minimal` knows one answer to every call that it does not list.
        let io_uring = if preset == Preset::Minimal { EPERM } else { ENOSYS };
        refused(&output, EPERM, io_uring, preset.name());
        let launched = String::from_utf8_lossy(&output.stderr).contains("the launcher, /.zerocap/launcher");
        let needed = matches!(preset, Preset::Minimal | Preset::ModelBackend);
        assert_eq!(launched, needed, "{output:?}");
    }
    // Without a filter the same program is refused neither.
    let bare = Command::new("bwrap")
        .args(["--unshare-all", "--ro-bind"])
        .arg(&program)
        .args(["/p", "/p"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&bare.stdout).into_owned();
    assert!(told.starts_with("kcmp 0 io_uring ") && !told.contains("io_uring 38"), "{told}");
}

/// As the long help of `compile` has it.
#[test]
fn a_compiled_file_is_what_bwrap_takes() {
    let Some((dir, program)) = ready() else { return };
    let file = dir.path().join("general.bpf");
    assert!(zerocap().args(["compile", "general", "-o"]).arg(&file).status().unwrap().success());
    let line = format!("bwrap --unshare-all --seccomp 3 --ro-bind {} /p /p 3<{}", program.display(), file.display());
    let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    refused(&output, EPERM, ENOSYS, "compiled");

    // A compiled filter, an OCI profile and a list are profiles for `bwrap` too; here the filter's own meaning decides.
    refused(&bwrap(&[file.to_str().unwrap()], &program), EPERM, ENOSYS, "compiled");
    let minimal = dir.path().join("minimal.bpf");
    assert!(zerocap().args(["compile", "minimal", "-o"]).arg(&minimal).status().unwrap().success());
    refused(&bwrap(&[minimal.to_str().unwrap()], &program), EPERM, EPERM, "compiled, behind the launcher");
}

/// A list's own rule on top of a preset, and a filter of the caller's beside it.
#[test]
fn filters_of_the_callers_own() {
    let Some((dir, program)) = ready() else { return };
    let list = dir.path().join("list.toml");
    fs::write(&list, "version = 1\nbase = \"general\"\n[deny]\nkcmp = { then = \"ENOTTY\" }\n").unwrap();
    refused(&bwrap(&[list.to_str().unwrap()], &program), 25, ENOSYS, "list");

    let file = dir.path().join("list.bpf");
    assert!(zerocap().args(["compile"]).arg(&list).arg("-o").arg(&file).status().unwrap().success());
    let line = format!(
        "{} seccomp bwrap sandbox-blocklist -- --unshare-all --add-seccomp-fd 9 --ro-bind {} /p /p 9<{}",
        env!("CARGO_BIN_EXE_zerocap"),
        program.display(),
        file.display()
    );
    let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    // Of two errors the kernel gives that of the filter loaded last: ours.
    refused(&output, EPERM, ENOSYS, "two filters");
}

/// What goes wrong behind the launcher is told in one line, and the status says that nothing ran.
#[test]
fn the_launcher_tells_what_is_wrong() {
    let Some((_dir, program)) = ready() else { return };
    let run = |rest: &[&str]| {
        let mut command = zerocap();
        command.args(["bwrap", "minimal", "--"]).args(rest).output().unwrap()
    };
    let output = run(&["--ro-bind", program.to_str().unwrap(), "/p", "/none"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("error: ZC1009: /none cannot be executed: No such file"), "{error}");
    // No place for it, no command, an option that bwrap does not have.
    for rest in [&["--ro-bind", "/", "/", "/p"][..], &["--ro-bind", "/usr", "/usr"], &["--no-such-option", "/p"]] {
        assert_eq!(run(rest).status.code(), Some(2), "{rest:?}");
    }
    // What bwrap itself says stays bwrap's.
    let output = run(&["--ro-bind", "/no/such/file", "/p", "/p"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// Signals reach the program, and its end is ours.
#[test]
fn signals_are_passed_on() {
    let Some((_dir, program)) = ready() else { return };
    for preset in ["general", "minimal"] {
        let mut command = zerocap();
        command.args(["bwrap", preset, "--", "--ro-bind"]).arg(&program).args(["/p", "/p", "wait"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "{preset}");
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        let ended = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal).or(status.code());
        assert_eq!(ended, Some(128 + 15), "{preset}: {status:?}");
    }
}
