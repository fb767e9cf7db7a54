//! What runc and crun make of a profile on the kernel is what this crate reads in it: the same calls in a container of
//! each engine, under our compiled filter without a container, and by the model.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code)]

#[path = "../kernel_child/raw.rs"]
mod raw;
mod rig;

use rig::{Outcome, Try, alone, contained, probe, run, skipped, tool};
use serde_json::{Value, json};
use zerocap_seccomp::Arch::{I386, X32, X86_64};
use zerocap_seccomp::lint::{Engine, Options, lint};
use zerocap_seccomp::oci::docker::{Target, resolve};
use zerocap_seccomp::{Action, Arch, Gate, Profile, SeccompData, X32_BIT, compile, names, oci};

const ENGINES: [&str; 2] = ["runc", "crun"];
const ENOSYS: Action = Action::Errno(38);
/// Errnos that no call of the probe gets from the kernel: what the profile answers.
const MARK: u16 = 123;
const OTHER: u16 = 122;
const HIGH: u64 = 0xdead_beef_0000_0000;
const SIGSYS: i64 = 31;

/// Calls that change nothing, whatever their arguments; the probe does without them.
const TRIED: [&str; 12] = [
    "personality",
    "socket",
    "socketcall",
    "getpriority",
    "kcmp",
    "mseal",
    "listns",
    "ioprio_get",
    "umount",
    "keyctl",
    "statmount",
    "sched_rr_get_interval",
];

/// The engines that can be tried here.
fn engines() -> Vec<&'static str> {
    // SAFETY: no arguments, no failure.
    if unsafe { libc::geteuid() } != 0 {
        skipped("containers need root");
        return Vec::new();
    }
    let (found, missing): (Vec<_>, Vec<_>) = ENGINES.into_iter().partition(|engine| tool(engine).is_some());
    for engine in missing {
        skipped(&format!("{engine} is not there: hack/node.d/fetch fetches it"));
    }
    found
}

/// Everything that is not tried is allowed, so that the container starts and the probe can speak.
fn others() -> Value {
    let names: Vec<&str> = names().map(|call| call.name()).filter(|name| !TRIED.contains(name)).collect();
    json!({ "names": names, "action": "SCMP_ACT_ALLOW" })
}

fn profile(default: &str, architectures: &[Arch], rules: Value) -> Value {
    let mut all = rules.as_array().expect("rules").clone();
    all.push(others());
    let names: Vec<&str> = architectures.iter().map(|arch| arch.scmp()).collect();
    json!({ "defaultAction": default, "defaultErrnoRet": MARK, "architectures": names, "syscalls": all })
}

fn tries(calls: &[(Arch, &'static str, &[u64])]) -> Vec<Try> {
    calls
        .iter()
        .map(|(abi, name, given)| {
            let mut args = [0; 6];
            args[..given.len()].copy_from_slice(given);
            Try { abi: *abi, name, args }
        })
        .collect()
}

/// What the model answers.
fn meant(profile: &Profile, call: &Try) -> Action {
    let nr = call.number() | if call.abi == X32 { X32_BIT } else { 0 };
    // The i386 entry takes the low halves of the registers.
    let args = if call.abi == I386 { call.args.map(|arg| arg & 0xffff_ffff) } else { call.args };
    profile.action(X86_64, &SeccompData { nr, arch: call.abi.audit(), instruction_pointer: 0, args })
}

/// Does the outcome show this answer? `bare` is the kernel's own.
fn shows(outcome: Outcome, action: Action, bare: Outcome) -> bool {
    match action {
        Action::Allow | Action::Log => outcome == bare,
        Action::Errno(number) => outcome == Outcome::Returned(-i64::from(number)),
        // Without a tracer.
        Action::Trace(_) => outcome == Outcome::Returned(-38),
        Action::Trap | Action::KillThread | Action::KillProcess => outcome == Outcome::Killed(SIGSYS),
        Action::Notify => false,
    }
}

/// Where crun does not do as runc: it answers ENOSYS to no call for being newer than the profile.
fn newer(profile: &Profile, call: &Try) -> bool {
    let table = profile.table(call.abi);
    table.is_some_and(|table| table.missing(call.number()) == ENOSYS && table.missing(0) != ENOSYS)
}

fn compare(what: &str, document: &Value, calls: &[Try]) {
    let engines = engines();
    if engines.is_empty() {
        return;
    }
    let probe = match probe(calls) {
        Ok(probe) => probe,
        Err(why) => return skipped(&why),
    };
    let profile = oci::read(document).expect("a valid profile");
    let filter = compile(&profile, X86_64, Gate::None).expect("small").insns;
    let bare = alone(&probe, None);
    let ours = alone(&probe, Some(filter));
    assert_eq!((bare.len(), ours.len()), (calls.len(), calls.len()), "{what}");
    for ((call, ours), bare) in calls.iter().zip(&ours).zip(&bare) {
        let action = meant(&profile, call);
        assert!(shows(*ours, action, *bare), "{what}: {call:x?}: {action:?}, our filter {ours:?}, bare {bare:?}");
    }
    for engine in engines {
        let theirs = contained(&probe, engine, document);
        assert_eq!(theirs.len(), calls.len(), "{what}: {engine}");
        for ((call, theirs), bare) in calls.iter().zip(&theirs).zip(&bare) {
            let action = meant(&profile, call);
            if engine == "crun" && newer(&profile, call) {
                continue;
            }
            assert!(
                shows(*theirs, action, *bare),
                "{what}: {engine}: {call:x?}: {action:?}, {theirs:?}, bare {bare:?}"
            );
        }
    }
}

#[test]
fn conditions() {
    let document = profile(
        "SCMP_ACT_ERRNO",
        &[X86_64, I386, X32],
        json!([
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 4294967295u64, "op": "SCMP_CMP_EQ" }] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
            { "names": ["getpriority"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 0xf0, "valueTwo": 0x10, "op": "SCMP_CMP_MASKED_EQ" }] },
            { "names": ["kcmp"], "action": "SCMP_ACT_ERRNO", "errnoRet": OTHER, "args": [
              { "index": 2, "value": 3, "op": "SCMP_CMP_GT" }, { "index": 3, "value": 7, "op": "SCMP_CMP_LE" }] },
            { "names": ["keyctl"], "action": "SCMP_ACT_ALLOW", "args": [
              { "index": 0, "value": 990, "op": "SCMP_CMP_EQ" }, { "index": 0, "value": 991, "op": "SCMP_CMP_EQ" },
              { "index": 1, "value": 5, "op": "SCMP_CMP_EQ" }] },
            { "names": ["ioprio_get"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
        ]),
    );
    let query: &[u64] = &[0xffff_ffff];
    let calls = tries(&[
        (X86_64, "personality", query),
        (X86_64, "personality", &[0xffff_ffff | HIGH]),
        (X86_64, "personality", &[8]),
        (I386, "personality", query),
        (X86_64, "socket", &[99, 1, 0]),
        (X86_64, "socket", &[40, 1, 0]),
        (X86_64, "socket", &[40 | HIGH, 1, 0]),
        (I386, "socket", &[40, 1, 0]),
        (I386, "socket", &[99, 1, 0]),
        (X86_64, "getpriority", &[0x10]),
        (X86_64, "getpriority", &[0x1f]),
        (X86_64, "getpriority", &[0x20]),
        (X86_64, "getpriority", &[0x10 | HIGH]),
        (X86_64, "kcmp", &[0, 0, 4, 7]),
        (X86_64, "kcmp", &[0, 0, 3, 7]),
        (X86_64, "kcmp", &[0, 0, 4, 8]),
        (X86_64, "kcmp", &[0, 0, u64::MAX, 0]),
        (X86_64, "keyctl", &[990, 1]),
        (X86_64, "keyctl", &[991, 1]),
        (X86_64, "keyctl", &[992, 5]),
        (X86_64, "keyctl", &[992, 6]),
        (X86_64, "ioprio_get", &[77]),
        (I386, "ioprio_get", &[77]),
    ]);
    compare("conditions", &document, &calls);
}

#[test]
fn rules_that_meet() {
    let document = profile(
        "SCMP_ACT_ERRNO",
        &[X86_64],
        json!([
            // The default, dropped.
            { "names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": MARK },
            // Another number is another action.
            { "names": ["kcmp"], "action": "SCMP_ACT_ERRNO", "errnoRet": OTHER },
            // Swallowed by the rule without conditions, whatever the order.
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": OTHER, "args": [{ "index": 0, "value": 99, "op": "SCMP_CMP_EQ" }] },
            { "names": ["socket", "no_such_call", "Kcmp"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0 },
            { "names": ["keyctl"], "action": "SCMP_ACT_LOG" },
            { "names": ["ioprio_get"], "action": "SCMP_ACT_TRAP" },
            { "names": ["sched_rr_get_interval"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["umount"], "action": "SCMP_ACT_TRACE", "errnoRet": 9 },
            { "names": ["statmount"], "action": "SCMP_ACT_TRACE", "errnoRet": 9 },
        ]),
    );
    let calls = tries(&[
        (X86_64, "getpriority", &[99]),
        (X86_64, "kcmp", &[0, 0, 99]),
        (X86_64, "socket", &[99, 1]),
        (X86_64, "personality", &[0xffff_ffff]),
        (X86_64, "keyctl", &[999]),
        (X86_64, "ioprio_get", &[99]),
        (X86_64, "sched_rr_get_interval", &[u64::MAX]),
        (X86_64, "statmount", &[0, 0, 0, 99]),
        // Not among the architectures.
        (I386, "getpriority", &[99]),
        (X32, "getpriority", &[99]),
    ]);
    compare("rules that meet", &document, &calls);
}

#[test]
fn defaults() {
    let calls = tries(&[
        (X86_64, "getpriority", &[99]),
        (X86_64, "kcmp", &[0, 0, 99]),
        (I386, "getpriority", &[99]),
        (X32, "getpriority", &[99]),
        (X86_64, "mseal", &[1, 1, 1]),
    ]);
    let rule = json!([{ "names": ["kcmp"], "action": "SCMP_ACT_ERRNO", "errnoRet": OTHER }]);
    for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL"] {
        let mut document = profile(default, &[X86_64, X32, I386], rule.clone());
        document.as_object_mut().expect("an object").remove("defaultErrnoRet");
        compare(default, &document, &calls);
    }
    // Without architectures: the native one.
    compare("no architectures", &profile("SCMP_ACT_ERRNO", &[], rule), &calls);
}

/// Calls that are newer than the newest one named: runc answers ENOSYS, crun the default.
#[test]
fn newer_calls() {
    let engines = engines();
    let newest = json!([{ "names": ["kcmp"], "action": "SCMP_ACT_ALLOW" }]);
    let mut document = profile("SCMP_ACT_ERRNO", &[X86_64], newest);
    let names = document["syscalls"][1]["names"].as_array_mut().expect("names");
    names
        .retain(|name| zerocap_seccomp::since(name.as_str().expect("a name")).is_some_and(|version| version.major < 6));
    let calls = tries(&[(X86_64, "mseal", &[1, 1, 1]), (X86_64, "getpriority", &[99])]);
    compare("newer calls", &document, &calls);
    let Ok(probe) = probe(&calls) else { return };
    for engine in engines {
        let number = if engine == "runc" { 38 } else { i64::from(MARK) };
        let expected = [Outcome::Returned(-number), Outcome::Returned(-i64::from(MARK))];
        assert_eq!(contained(&probe, engine, &document), expected, "{engine}");
    }
}

/// i386 socketcall carries the operations that rules name.
#[test]
fn socketcall() {
    let document = profile(
        "SCMP_ACT_ERRNO",
        &[X86_64, I386],
        json!([{ "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] }]),
    );
    let mut document = document;
    // The other operations are refused here, so that the carrier has something to tell apart.
    let names = document["syscalls"][1]["names"].as_array_mut().expect("names");
    names.retain(|name| !["bind", "listen"].contains(&name.as_str().expect("a name")));
    let calls = tries(&[
        (I386, "socketcall", &[1, 1]),
        (I386, "socketcall", &[2, 1]),
        (I386, "socketcall", &[3, 1]),
        (I386, "socketcall", &[4, 1]),
        (I386, "socketcall", &[99, 1]),
        (I386, "socket", &[40, 1]),
    ]);
    compare("socketcall", &document, &calls);
}

/// The profile that containerd gives to pods, and one in Docker's format.
#[test]
fn whole_profiles() {
    let default: Value = serde_json::from_str(include_str!("../../fixtures/runtime-default.json")).expect("JSON");
    let calls = tries(&[
        (X86_64, "personality", &[0xffff_ffff]),
        (X86_64, "personality", &[0x0004_0000]),
        (X86_64, "socket", &[99, 1]),
        (X86_64, "socket", &[40, 1]),
        (X86_64, "socket", &[40 | HIGH, 1]),
        (X86_64, "kcmp", &[0, 0, 99]),
        (X86_64, "keyctl", &[999]),
        (X86_64, "clone", &[0x1001_0000]),
        (X86_64, "clone", &[0x0001_0000]),
        (X86_64, "clone3", &[]),
        (X86_64, "unshare", &[0x8000_0000]),
        (I386, "umount", &[0]),
        (I386, "socketcall", &[99, 1]),
        (X32, "getpriority", &[99]),
        (X32, "keyctl", &[999]),
        (X86_64, "mseal", &[1, 1, 1]),
    ]);
    compare("RuntimeDefault", &default, &calls);
    let rule = |extra: Value| {
        let mut rule = json!({ "names": ["kcmp"], "action": "SCMP_ACT_ERRNO", "errno": "ENOKEY" });
        rule.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        rule
    };
    let docker = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EREMOTEIO",
        "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
        "syscalls": [rule(json!({ "includes": { "minKernel": "4.8", "arches": ["amd64"] } })),
            { "name": "keyctl", "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "name": "getpriority", "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN"] } }, others()] });
    let target = Target { arch: X86_64, capabilities: Default::default(), kernel: (6, 1) };
    let resolved = resolve(&docker, &target).expect("valid").seccomp;
    let calls = tries(&[
        (X86_64, "kcmp", &[0, 0, 99]),
        (X86_64, "keyctl", &[999]),
        (X86_64, "getpriority", &[99]),
        (X86_64, "ioprio_get", &[99]),
        (I386, "getpriority", &[99]),
    ]);
    compare("Docker's format", &resolved, &calls);
}

/// A published profile that refuses execve: no engine starts a container under it.
#[test]
fn nothing_starts_under_the_posted_profile() {
    let document: Value = serde_json::from_str(include_str!("../../fixtures/posted-backend.json")).expect("JSON");
    let Ok(probe) = probe(&tries(&[(X86_64, "getpriority", &[99])])) else {
        return skipped("cc cannot make the probe");
    };
    for engine in engines() {
        let output = run(&probe, engine, &document);
        assert!(!output.status.success() && output.stdout.is_empty(), "{engine}: {output:?}");
    }
}

/// The calls without which the linter says that runc does not start a container (SL13), and some that are none.
#[test]
fn calls_that_engines_make_last() {
    let Ok(probe) = probe(&tries(&[(X86_64, "getpriority", &[99])])) else {
        return skipped("cc cannot make the probe");
    };
    for engine in engines() {
        for (name, needed) in [
            ("close", "runc"),
            ("fstat", "runc"),
            ("fstatfs", "runc"),
            ("getdents64", "runc"),
            ("openat", "runc"),
            ("statx", "runc"),
            ("openat2", ""),
            ("capset", ""),
            ("close_range", ""),
        ] {
            let document = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }] });
            let started = run(&probe, engine, &document).status.success();
            assert_eq!(started, engine != needed, "{engine} without {name}");
            let options = Options { engine: Engine::from_name(engine), ..Options::default() };
            let report = lint(name, document.to_string().as_bytes(), &options).expect("a profile");
            let said =
                report.findings.iter().any(|finding| finding.rule.id == "SL13" && finding.kernel.contains(engine));
            assert_eq!(said, engine == needed, "{engine} without {name}");
        }
    }
}
