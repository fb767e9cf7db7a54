//! Each step of the launcher but the confining ones, on this kernel, without an engine.
#![allow(unsafe_code, reason = "the child's directory and limits are set between fork and exec")]

mod common;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

use common::{Start, bare, text};
use zerocap_plan::record::{Connect, Failure, Program, Record, Step};
use zerocap_plan::{DecodeError, LaunchPlan, MAX_PLAN};

fn failure(step: Step, errno: u16, detail: u32) -> Failure {
    Failure { step, errno, detail }
}

fn program(reason: Program, errno: u16) -> Failure {
    failure(Step::Program, errno, reason as u32)
}

#[test]
fn the_workload_gets_its_arguments_environment_and_directory_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let script = "printf '%s|' \"$@\"; env; pwd";
    let (ready, output) = Start::new(&bare(), ["sh", "-c", script, "zero", "one two", "", "ü"])
        .with(move |command| {
            command.env_clear().env("PATH", "/usr/bin:/bin").env("EMPTY", "").env("X", "a=b").current_dir(place);
        })
        .works();
    let text = text(&output.stdout);
    assert!(text.starts_with("one two||ü|"), "{text}");
    for line in ["EMPTY=", "X=a=b", "PATH=/usr/bin:/bin"] {
        assert!(text.lines().any(|found| found.trim_start_matches("one two||ü|") == line), "{line}: {text}");
    }
    assert_eq!(text.lines().last().unwrap(), folder.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!((ready.filters, ready.landlock, ready.connect), (0, false, Connect::NotTried));
}

#[test]
fn the_workload_has_no_descriptor_but_its_own_three() {
    let (one, other) = UnixStream::pair().unwrap();
    let (_, output) = Start::new(&bare(), ["sh", "-c", "ls /proc/self/fd"])
        .with_fd(one, 6)
        .with_fd(File::open("/").unwrap(), 7)
        .with_fd(other, 200)
        .works();
    // 3 is the folder that ls itself reads.
    assert_eq!(text(&output.stdout).split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn while_parked_only_stdio_and_the_channel_are_open() {
    let mut running = Start::new(&bare(), ["true"]).with_fd(File::open("/").unwrap(), 9).spawn();
    running.ready();
    let mut open: Vec<i32> = fs::read_dir(format!("/proc/{}/fd", running.pid()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    open.sort_unstable();
    assert_eq!(open, [0, 1, 2, 4, 5]);
    running.go();
    assert!(running.end().status.success());
}

/// A launcher that its user may read is as closed as one that only runs: the kernel gives its files under /proc to root.
#[test]
fn while_parked_nobody_of_the_same_user_can_look_in() {
    if !rustix::process::geteuid().is_root() {
        common::skip("changing the user needs root");
        return;
    }
    let nobody = 65534;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let readable = folder.path().join("launcher");
    fs::write(&readable, zerocap_launcher::BYTES).unwrap();
    fs::set_permissions(&readable, Permissions::from_mode(0o755)).unwrap();
    let start = Start::new(&bare(), ["sleep", "1000"]).by_path(&readable).with(move |command| {
        command.uid(nobody).gid(nobody);
    });
    let mut running = start.spawn();
    let look = |pid: u32, file: &str| {
        let path = format!("/proc/{pid}/{file}");
        let mut cat = std::process::Command::new("cat");
        cat.arg(path).uid(nobody).gid(nobody).stdout(Stdio::null()).stderr(Stdio::null());
        cat.status().unwrap().success()
    };
    running.ready();
    for file in ["environ", "maps", "syscall", "stack", "fd/4"] {
        assert!(!look(running.pid(), file), "{file} of the launcher can be read");
    }
    running.go();
    assert_eq!(running.record(), None);
    for file in ["environ", "maps"] {
        assert!(look(running.pid(), file), "the control: {file} of the workload");
    }
    running.child.kill().unwrap();
    assert_eq!(running.end().status.signal(), Some(9));
}

#[test]
fn parked_under_a_name_that_nobody_can_guess() {
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut running = Start::new(&bare(), ["true"]).spawn();
        let comm = running.ready().comm;
        assert_eq!(running.proc("comm").trim_end().as_bytes(), comm.as_bytes());
        names.push(comm);
        running.go();
        assert!(running.end().status.success());
    }
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_shim_that_goes_away_ends_the_launcher_and_nothing_runs() {
    let mut running = Start::new(&bare(), ["echo", "ran"]).spawn();
    running.ready();
    running.leave();
    assert_eq!(running.record(), None);
    let output = running.end();
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(125)));
}

#[test]
fn nothing_but_go_is_go() {
    let mut running = Start::new(&bare(), ["echo", "ran"]).spawn();
    running.ready();
    running.say(b'N');
    assert_eq!(running.record(), Some(Record::Error(failure(Step::Go, 0, u32::from(b'N')))));
    let output = running.end();
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(125)));
}

#[test]
fn started_by_hand_it_runs_nothing() {
    let output = std::process::Command::new(common::launcher()).args(["echo", "ran"]).output().unwrap();
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(125)));
}

#[test]
fn a_plan_that_does_not_decode_is_refused() {
    let reason = |error: DecodeError| failure(Step::Plan, 0, error as u32);
    assert_eq!(Start::raw(Vec::new(), ["true"]).fails(), reason(DecodeError::Length));
    assert_eq!(Start::raw(vec![0; 64], ["true"]).fails(), reason(DecodeError::Magic));
    let mut other = bare().encode().unwrap();
    other[6] += 1;
    assert_eq!(Start::raw(other, ["true"]).fails(), reason(DecodeError::Version));
    let mut long = bare().encode().unwrap();
    long.resize(MAX_PLAN + 1, 0);
    assert_eq!(Start::raw(long, ["true"]).fails(), reason(DecodeError::Length));
}

#[test]
fn no_arguments_no_workload() {
    assert_eq!(Start::new(&bare(), [""; 0]).fails(), failure(Step::Arguments, 0, 0));
}

#[test]
fn standard_descriptors_that_lead_out_are_refused() {
    let directory = File::open("/").unwrap();
    let stdin = Start::new(&bare(), ["true"]).with(|command| {
        command.stdin(Stdio::from(directory));
    });
    assert_eq!(stdin.fails(), failure(Step::Stdio, 0, 0));
    let (socket, _peer) = UnixStream::pair().unwrap();
    let stderr = Start::new(&bare(), ["true"]).with(|command| {
        command.stderr(Stdio::from(std::os::fd::OwnedFd::from(socket)));
    });
    assert_eq!(stderr.fails(), failure(Step::Stdio, 0, 2));
}

#[test]
fn without_no_new_privs_nothing_runs() {
    assert_eq!(Start::new(&bare(), ["true"]).privileged().fails(), failure(Step::NoNewPrivs, 0, 0));
}

#[test]
fn a_working_directory_without_a_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let gone = Start::new(&bare(), ["/bin/true"]).with(move |command| {
        command.current_dir(&place);
        // SAFETY: removing a directory is one system call; nothing of the parent's memory is used but the path.
        unsafe { command.pre_exec(move || fs::remove_dir(&place)) };
    });
    const ENOENT: u16 = 2;
    assert_eq!(gone.fails(), failure(Step::WorkingDirectory, ENOENT, 0));
}

/// The classic container escape: a working directory that the engine left on the host.
#[test]
fn a_working_directory_outside_the_root_is_refused() {
    if !rustix::process::geteuid().is_root() {
        common::skip("chroot needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("launcher");
    fs::copy(common::launcher(), &inside).unwrap();
    fs::set_permissions(&inside, Permissions::from_mode(0o111)).unwrap();
    let place = root.path().to_owned();
    let outside = Start::new(&bare(), ["/launcher"]).by_path("/launcher").with(move |command| {
        // SAFETY: one system call; nothing of the parent's memory is used but the path.
        unsafe { command.pre_exec(move || Ok(rustix::process::chroot(&place)?)) };
    });
    const ENOENT: u16 = 2;
    assert_eq!(outside.fails(), failure(Step::WorkingDirectory, ENOENT, 0));
}

fn script(content: &[u8], mode: u32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let name = path.to_str().unwrap().to_owned();
    (folder, name)
}

#[test]
fn programs_that_cannot_run_are_told_apart() {
    const ENOENT: u16 = 2;
    const ENOTDIR: u16 = 20;
    const EISDIR: u16 = 21;
    const EACCES: u16 = 13;
    assert_eq!(Start::new(&bare(), ["no-such-program"]).fails(), program(Program::NotInPath, ENOENT));
    assert_eq!(Start::new(&bare(), [""]).fails(), program(Program::NotInPath, ENOENT));
    assert_eq!(Start::new(&bare(), ["/no/such/program"]).fails(), program(Program::NoSuchFile, ENOENT));
    assert_eq!(Start::new(&bare(), ["/bin/true/program"]).fails(), program(Program::NoSuchFile, ENOTDIR));
    assert_eq!(Start::new(&bare(), ["/etc"]).fails(), program(Program::IsDirectory, EISDIR));
    assert_eq!(Start::new(&bare(), ["./"]).fails(), program(Program::IsDirectory, EISDIR));
    assert_eq!(Start::new(&bare(), ["/dev/null"]).fails(), program(Program::PermissionDenied, EACCES));
    let (_folder, path) = script(b"#!/bin/sh\n", 0o644);
    assert_eq!(Start::new(&bare(), [path]).fails(), program(Program::PermissionDenied, EACCES));
}

#[test]
fn programs_that_the_kernel_refuses_are_told_apart() {
    let refused = |content: &[u8]| {
        let (_folder, path) = script(content, 0o755);
        Start::new(&bare(), [path]).fails()
    };
    const ENOENT: u16 = 2;
    const ENOEXEC: u16 = 8;
    let execute = |reason: Program, errno| failure(Step::Execute, errno, reason as u32);
    assert_eq!(refused(b"#!/no/such/interpreter\n"), execute(Program::BadInterpreter, ENOENT));
    assert_eq!(refused(b"neither\n"), execute(Program::ExecFormat, ENOEXEC));
}

/// The launcher's own start fits the kernel's limit, the interpreter's does not.
#[test]
fn arguments_that_only_just_fit_the_launcher() {
    const E2BIG: u16 = 7;
    let (_folder, path) = script(format!("#!/bin/sh {}\n", "x".repeat(200)).as_bytes(), 0o755);
    let start = |size: usize| {
        Start::new(&bare(), [path.clone(), "x".repeat(size)]).with(|command| {
            command.env_clear();
            let stack = rustix::process::Rlimit { current: Some(512 << 10), maximum: Some(512 << 10) };
            // SAFETY: one system call on plain numbers.
            unsafe {
                command.pre_exec(move || Ok(rustix::process::setrlimit(rustix::process::Resource::Stack, stack)?))
            };
        })
    };
    let largest = (120_000..131_072).rev().step_by(32).find(|&size| start(size).try_spawn().is_ok()).unwrap();
    assert_eq!(start(largest).fails(), failure(Step::Execute, E2BIG, Program::TooLong as u32));
}

#[test]
fn a_32_bit_program_is_named_where_its_calls_are_refused() {
    const ENOEXEC: u16 = 8;
    let mut elf = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(52, 0);
    let (_folder, path) = script(&elf, 0o755);
    let native = LaunchPlan { native_abi_only: true, ..bare() };
    assert_eq!(Start::new(&native, [&path]).fails(), program(Program::ForeignAbi, ENOEXEC));
    // Elsewhere the kernel decides.
    assert_eq!(Start::new(&bare(), [&path]).fails(), failure(Step::Execute, ENOEXEC, Program::ExecFormat as u32));
    let (_, output) = Start::new(&native, ["sh", "-c", "echo ran"]).works();
    assert_eq!(text(&output.stdout), "ran");
}

#[test]
fn scripts_run_with_their_arguments() {
    let (_folder, path) = script(b"#!/bin/sh -e\nprintf '%s|' \"$@\"\n", 0o755);
    let (_, output) = Start::new(&bare(), [&path, "one", "two words"]).works();
    assert_eq!(text(&output.stdout), "one|two words|");
}

#[test]
fn names_are_searched_in_path_as_the_engines_do() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["directory", "plain", "good", "later"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let root = folder.path().to_str().unwrap();
    fs::create_dir(format!("{root}/directory/tool")).unwrap();
    for (place, mode) in [("plain", 0o644), ("good", 0o755), ("later", 0o755)] {
        let path = format!("{root}/{place}/tool");
        fs::write(&path, format!("#!/bin/sh\necho {place}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    let search = |path: String| {
        Start::new(&bare(), ["tool"]).with(move |command| {
            command.env("PATH", path);
        })
    };
    let all = format!("/nowhere:{root}/directory:{root}/plain:{root}/good:{root}/later");
    let (_, output) = search(all).works();
    assert_eq!(text(&output.stdout), "good");
    let only_unusable = format!("{root}/plain:{root}/directory:");
    assert_eq!(search(only_unusable).fails(), program(Program::NotInPath, 2));
    let long = format!("/{}:{root}/good", "x".repeat(4096));
    let (_, output) = search(long).works();
    assert_eq!(text(&output.stdout), "good");
}

#[test]
fn without_path_no_name_is_found() {
    let empty = |name: &str| {
        Start::new(&bare(), [name.to_owned()]).with(|command| {
            command.env_clear();
        })
    };
    assert_eq!(empty("true").fails(), program(Program::NotInPath, 2));
    empty("/bin/true").works();
}

#[test]
fn a_large_environment_arrives() {
    let (_, output) = Start::new(&bare(), ["sh", "-c", "env | wc -c"])
        .with(|command| {
            for index in 0..64 {
                command.env(format!("LARGE{index}"), "x".repeat(16 << 10));
            }
        })
        .works();
    assert!(text(&output.stdout).trim().parse::<usize>().unwrap() > 1 << 20, "{output:?}");
}

#[test]
fn many_and_long_arguments_arrive() {
    let long = "x".repeat(100_000);
    let count = "printf %s \"$1\" | wc -c";
    let (_, output) = Start::new(&bare(), ["sh", "-c", count, "sh", &long]).works();
    assert_eq!(text(&output.stdout), "100000");
    let many: Vec<String> = ["sh", "-c", "echo $#", "sh"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..10_000).map(|n| n.to_string()))
        .collect();
    let (_, output) = Start::new(&bare(), many).works();
    assert_eq!(text(&output.stdout), "10000");
}

#[test]
fn a_killed_launcher_leaves_its_name_behind() {
    let mut running = Start::new(&bare(), ["true"]).spawn();
    let comm = running.ready().comm;
    running.child.kill().unwrap();
    assert_eq!(running.record(), None);
    // Not reaped yet: the zombie still has it.
    assert_eq!(running.proc("comm").trim_end().as_bytes(), comm.as_bytes());
    assert_eq!(running.end().status.signal(), Some(9));
}
