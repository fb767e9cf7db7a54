//! The launcher's confining steps, on this kernel, without an engine.
#![allow(unsafe_code, reason = "helpers of the common module")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;

use common::{Start, bare, landlock, text};
use zerocap_plan::record::{Connect, Failure, Record, Step};
use zerocap_plan::{CookieSite, Filter, Insn, Landlock, LaunchPlan, Missing, PathRule, PortRule, Role};

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
const MAKE_REG: u64 = 1 << 8;
const CONNECT_TCP: u64 = 1 << 1;
const SCOPE_SIGNAL: u64 = 1 << 1;
const ELOOP: u16 = 40;

fn rule(path: &str, access: u64, missing: Missing) -> PathRule {
    PathRule { path: path.as_bytes().to_vec(), access, missing }
}

fn files(paths: Vec<PathRule>) -> LaunchPlan {
    let handled_fs = READ | WRITE_FILE | MAKE_REG;
    LaunchPlan { landlock: Some(Landlock { handled_fs, paths, ..Landlock::default() }), ..bare() }
}

fn network(ports: Vec<PortRule>) -> LaunchPlan {
    LaunchPlan { landlock: Some(Landlock { handled_net: CONNECT_TCP, ports, ..Landlock::default() }), ..bare() }
}

#[test]
fn files_are_writable_only_where_a_rule_says_so() {
    if !landlock(1) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    for name in ["open", "shut"] {
        fs::create_dir(format!("{root}/{name}")).unwrap();
    }
    fs::write(format!("{root}/file"), "old").unwrap();
    let plan = files(vec![
        rule("/", READ, Missing::Fail),
        rule(&format!("{root}/open"), WRITE_FILE | MAKE_REG, Missing::Fail),
        // A right of directories on a file is left out, the others hold.
        rule(&format!("{root}/file"), WRITE_FILE | MAKE_REG, Missing::Fail),
        rule("/dev/null", WRITE_FILE, Missing::Fail),
    ]);
    let script = format!("cd {root}; echo new >open/a; echo new >file; (echo new >shut/a) 2>/dev/null || echo refused");
    let (ready, output) = Start::new(&plan, ["sh", "-c", &script]).works();
    assert_eq!(text(&output.stdout), "refused", "{output:?}");
    assert!(fs::exists(format!("{root}/open/a")).unwrap() && !fs::exists(format!("{root}/shut/a")).unwrap());
    assert_eq!(fs::read_to_string(format!("{root}/file")).unwrap(), "new\n");
    assert_eq!((ready.landlock, ready.paths, ready.skipped.count()), (true, 4, 0));
}

#[test]
fn missing_paths_are_skipped_and_told_or_fail() {
    if !landlock(1) {
        return;
    }
    let paths = |missing| {
        vec![rule("/", READ, Missing::Fail), rule("/no/such", READ, missing), rule("/etc/passwd/under", READ, missing)]
    };
    let (ready, _) = Start::new(&files(paths(Missing::Skip)), ["true"]).works();
    assert_eq!((ready.paths, ready.skipped.count()), (1, 2));
    assert!(!ready.skipped.contains(0) && ready.skipped.contains(1) && ready.skipped.contains(2));
    let failure = Start::new(&files(paths(Missing::Fail)), ["true"]).fails();
    assert_eq!(failure, Failure { step: Step::PathRule, errno: 2, detail: 1 });
}

/// Such a link leads wherever some process of the container has something open.
#[test]
fn links_that_proc_invents_are_not_followed() {
    if !landlock(1) {
        return;
    }
    for path in ["/proc/self/root/etc", "/proc/self/cwd", "/proc/self/fd/0"] {
        let plan = files(vec![rule(path, READ, Missing::Fail)]);
        let failure = Start::new(&plan, ["true"]).fails();
        assert_eq!(failure, Failure { step: Step::PathRule, errno: ELOOP, detail: 0 }, "{path}");
    }
}

/// Makes links in the folder: the path of a link to `/`, one through it, and the path of a link to a file.
fn paths_with_links(folder: &tempfile::TempDir) -> [String; 3] {
    let root = folder.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    symlink("/", format!("{root}/link")).unwrap();
    symlink("/etc/passwd", format!("{root}/file")).unwrap();
    [format!("{root}/link"), format!("{root}/link/etc"), format!("{root}/file")]
}

/// An image with `listed -> /` must not choose what the list means, though a missing path would be left out.
#[test]
fn links_in_a_path_fail_the_first_process() {
    if !landlock(1) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for path in paths_with_links(&folder) {
        for missing in [Missing::Skip, Missing::Fail] {
            let plan = files(vec![rule("/", READ, Missing::Fail), rule(&path, WRITE_FILE, missing)]);
            let failure = Start::new(&plan, ["true"]).fails();
            assert_eq!(failure, Failure { step: Step::PathRule, errno: ELOOP, detail: 1 }, "{path}");
        }
    }
}

/// A workload that swaps a listed directory for a link wins nothing for the processes that are executed afterwards.
#[test]
fn links_in_a_path_grant_later_processes_nothing() {
    if !landlock(1) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let target = target.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    let links = paths_with_links(&folder);
    let mut rules = vec![rule("/", READ, Missing::Fail)];
    rules.extend(links.iter().map(|path| rule(path, WRITE_FILE | MAKE_REG, Missing::Skip)));
    let plan = LaunchPlan { role: Role::Exec, ..files(rules) };
    let script = format!("(echo new >{target}/file) 2>&1 || echo refused");
    let (ready, output) = Start::new(&plan, ["sh", "-c", &script]).works();
    assert!(text(&output.stdout).ends_with("Permission denied\nrefused"), "{output:?}");
    assert!(!fs::exists(format!("{target}/file")).unwrap());
    assert_eq!((ready.paths, ready.skipped.count()), (1, 3));
    assert!((1..=3).all(|index| ready.skipped.contains(index)));
}

#[test]
fn rights_that_the_kernel_does_not_know_fail_the_start() {
    if !landlock(1) {
        return;
    }
    let handled_fs = 1 << 63;
    let plan = LaunchPlan { landlock: Some(Landlock { handled_fs, ..Landlock::default() }), ..bare() };
    assert_eq!(Start::new(&plan, ["true"]).fails().step, Step::Ruleset);
    let unhandled = LaunchPlan {
        landlock: Some(Landlock {
            handled_net: CONNECT_TCP,
            ports: vec![PortRule { port: 1, access: 1 }],
            ..Landlock::default()
        }),
        ..bare()
    };
    assert_eq!(Start::new(&unhandled, ["true"]).fails().step, Step::PortRule);
}

#[test]
fn only_the_listed_port_can_be_connected() {
    if !landlock(4) {
        return;
    }
    let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let [listed, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let mut plan = network(vec![PortRule { port: listed, access: CONNECT_TCP }]);
    plan.forbidden_connect = Some(other);
    let connect = |port| format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo connected || echo refused");
    let script = [connect(listed), connect(other)].join(";");
    let (ready, output) = Start::new(&plan, ["bash", "-c", &script]).works();
    assert_eq!(text(&output.stdout), "connected\nrefused");
    assert_eq!(ready.connect, Connect::Refused);
}

/// What a kernel without the feature looks like: the version is there, the connect is not refused.
#[test]
fn a_connect_that_is_not_refused_fails_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plan = LaunchPlan { forbidden_connect: Some(port), ..bare() };
    let failure = Start::new(&plan, ["true"]).fails();
    assert_eq!(failure, Failure { step: Step::ForbiddenConnect, errno: 0, detail: 0 });
    drop(listener);
    const ECONNREFUSED: u16 = 111;
    let failure = Start::new(&plan, ["true"]).fails();
    assert_eq!(failure, Failure { step: Step::ForbiddenConnect, errno: ECONNREFUSED, detail: 0 });
}

#[test]
fn signals_stay_in_the_domain() {
    if !landlock(6) {
        return;
    }
    let plan = LaunchPlan { landlock: Some(Landlock { scoped: SCOPE_SIGNAL, ..Landlock::default() }), ..bare() };
    let outside = std::process::id();
    let script = format!("kill -0 {outside} 2>/dev/null || echo refused; kill -0 $$ && echo own");
    let (_, output) = Start::new(&plan, ["bash", "-c", &script]).works();
    assert_eq!(text(&output.stdout), "refused\nown");
    let (_, output) = Start::new(&bare(), ["bash", "-c", &script]).works();
    assert_eq!(text(&output.stdout), "own", "the control");
}

const LD_ABS: u16 = 0x20;
const JEQ: u16 = 0x15;
const XOR: u16 = 0xa4;
const RET: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
    Insn { code, jt, jf, k }
}

/// Allows what carries the cookie in all six words; everything else gets `otherwise`.
fn cookie_only(otherwise: u32) -> Filter {
    let mut insns = Vec::new();
    let mut cookie = Vec::new();
    for word in 0..6_u8 {
        let refuse = 3 * (5 - word) + 1;
        insns.push(insn(LD_ABS, 0, 0, 16 + 3 * 8 + 4 * u32::from(word)));
        cookie.push(CookieSite { insn: insns.len() as u16, word });
        insns.push(insn(XOR, 0, 0, 0));
        insns.push(insn(JEQ, 0, refuse, 0));
    }
    insns.push(insn(RET, 0, 0, ALLOW));
    insns.push(insn(RET, 0, 0, otherwise));
    Filter { insns, cookie, spec_allow: true }
}

/// Returns `verdict` for one call, allows the rest.
fn refuse(call: i64, verdict: u32) -> Filter {
    let insns =
        vec![insn(LD_ABS, 0, 0, 0), insn(JEQ, 0, 1, call as u32), insn(RET, 0, 0, verdict), insn(RET, 0, 0, ALLOW)];
    Filter { insns, cookie: Vec::new(), spec_allow: true }
}

#[test]
fn a_filter_that_kills_everything_else_lets_the_launcher_hand_over() {
    let plan = LaunchPlan { filters: vec![cookie_only(KILL_PROCESS)], ..bare() };
    let mut running = Start::new(&plan, ["true"]).spawn();
    let comm = running.ready().comm;
    assert!(running.proc("status").lines().any(|line| line == "Seccomp:\t2"));
    running.go();
    assert_eq!(running.record(), None);
    // It became the workload, whose first call was its last.
    assert_ne!(running.proc("comm").trim_end().as_bytes(), comm.as_bytes());
    assert_eq!(running.end().status.signal(), Some(libc::SIGSYS));
}

#[test]
fn errors_and_the_end_pass_the_filters_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    fs::write(&path, "#!/no/such\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let plan = LaunchPlan { filters: vec![cookie_only(KILL_PROCESS)], ..bare() };
    assert_eq!(Start::new(&plan, [&path]).fails().step, Step::Execute);
    let mut running = Start::new(&plan, ["true"]).spawn();
    running.ready();
    running.leave();
    assert_eq!(running.end().status.code(), Some(125));
}

#[test]
fn each_start_has_a_cookie_of_its_own_and_the_workload_does_not_inherit_it() {
    // The workload's calls carry no cookie: refused by errno, it fails softly instead of being killed.
    const ENOSYS: u32 = 38;
    let plan = LaunchPlan { filters: vec![cookie_only(ERRNO | ENOSYS)], ..bare() };
    let cookie = || {
        let mut running = Start::new(&plan, ["true"]).spawn();
        running.ready();
        let arguments = loop {
            let call = running.proc("syscall");
            let words: Vec<String> = call.split_whitespace().map(str::to_owned).collect();
            if words[0] == libc::SYS_read.to_string() {
                break words;
            }
        };
        running.go();
        assert_ne!(running.end().status.code(), Some(0));
        [4, 5, 6].map(|index| arguments[index].clone())
    };
    let (first, second) = (cookie(), cookie());
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first, second);
        assert!(first.len() > 8 && second.len() > 8, "{first} {second}");
    }
}

#[test]
fn filters_are_loaded_in_order_and_each_is_in_force() {
    let filters = vec![refuse(libc::SYS_getpid, ERRNO | 1), cookie_only(ALLOW)];
    let plan = LaunchPlan { filters, ..bare() };
    let mut running = Start::new(&plan, ["true"]).spawn();
    assert_eq!(running.ready().filters, 2);
    assert!(running.proc("status").lines().any(|line| line == "Seccomp_filters:\t2"));
    running.go();
    assert!(running.end().status.success());
    // The first refuses the loading of the second.
    let filters = vec![refuse(libc::SYS_seccomp, ERRNO | 1), cookie_only(ALLOW)];
    let failure = Start::new(&LaunchPlan { filters, ..bare() }, ["true"]).fails();
    assert_eq!(failure, Failure { step: Step::Filter, errno: 1, detail: 1 });
    // The kernel refuses a jump beyond the end.
    let broken = Filter { insns: vec![insn(JEQ, 9, 9, 0)], cookie: Vec::new(), spec_allow: false };
    let failure = Start::new(&LaunchPlan { filters: vec![broken], ..bare() }, ["true"]).fails();
    assert_eq!(failure, Failure { step: Step::Filter, errno: libc::EINVAL as u16, detail: 0 });
}

#[test]
fn refused_connects_of_the_containers_own_profile_are_stronger() {
    for (call, errno) in
        [(libc::SYS_connect, libc::EACCES), (libc::SYS_connect, libc::EPERM), (libc::SYS_socket, libc::EPERM)]
    {
        let inner = LaunchPlan { forbidden_connect: Some(9), ..bare() };
        // The outer launcher plays the engine that loads the container's profile.
        let outer = LaunchPlan { filters: vec![refuse(call, ERRNO | errno as u32)], ..bare() };
        let (records, output) = common::nested(&outer, &inner, "true");
        match records[..] {
            [Record::Ready(ready)] => assert_eq!(ready.connect, Connect::Stronger(errno as u16)),
            _ => panic!("{records:?} {output:?}"),
        }
    }
}

/// Where not even exit_group is allowed, an undefined instruction ends it.
#[test]
fn a_launcher_that_may_not_exit_ends_all_the_same() {
    let outer = LaunchPlan { filters: vec![refuse(libc::SYS_exit_group, ERRNO | 1)], ..bare() };
    let inner = LaunchPlan { forbidden_connect: Some(9), ..bare() };
    let (records, output) = common::nested(&outer, &inner, "true");
    assert!(matches!(records[..], [Record::Error(Failure { step: Step::ForbiddenConnect, .. })]), "{records:?}");
    let signal = if cfg!(target_arch = "aarch64") { libc::SIGTRAP } else { libc::SIGILL };
    assert_eq!(output.status.signal(), Some(signal));
}
