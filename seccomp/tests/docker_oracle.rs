//! Docker's profile format is read as Docker reads it: its own code (tests/docker/main.go) gets the same profiles with the same
//! capabilities, and what it would hand to the engine has to mean the same. One of the profiles is the one that Docker has by default.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use zerocap_seccomp::algebra::{differences, equal};
use zerocap_seccomp::oci::docker::{Target, resolve};
use zerocap_seccomp::{Arch, Gate, compile, oci};

/// What a container has by default under Docker.
const USUAL: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];
/// Those that the default profile asks for.
const ASKED: [&str; 13] = [
    "CAP_DAC_READ_SEARCH",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_SYS_NICE",
    "CAP_SYSLOG",
    "CAP_BPF",
];

/// Everything that the format has, and that the default profile may one day do without.
fn everything() -> Value {
    let cmp = |index, value: u64, second: u64, op: &str| json!({ "index": index, "value": value, "valueTwo": second, "op": format!("SCMP_CMP_{op}") });
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
            { "architecture": "SCMP_ARCH_S390X", "subArchitectures": null },
        ],
        "syscalls": [
            { "names": ["read", "write", "socketcall"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {} },
            { "name": "getpid", "names": [], "action": "SCMP_ACT_LOG", "args": null, "includes": null, "excludes": null },
            { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } },
            { "names": ["mseal"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "250.7" } },
            { "names": ["openat2"], "action": "SCMP_ACT_ALLOW", "excludes": { "minKernel": "4.8" } },
            { "names": ["statmount"], "action": "SCMP_ACT_ALLOW", "excludes": { "minKernel": "250.7" } },
            { "names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["amd64", "x32"] } },
            { "names": ["sync_file_range2"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["arm64"] } },
            { "names": ["modify_ldt"], "action": "SCMP_ACT_ALLOW", "excludes": { "arches": ["s390x", "amd64"] } },
            { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN", "CAP_BPF"] } },
            { "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN", "CAP_BPF"] } },
            { "names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_CHROOT"], "arches": ["amd64"], "minKernel": "3.1" },
              "excludes": { "caps": ["CAP_SYS_BOOT"] } },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [cmp(0, 0x7e02_0000, 0, "MASKED_EQ")],
              "excludes": { "caps": ["CAP_SYS_ADMIN"], "arches": ["s390"] } },
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [cmp(0, 0, 0, "EQ")] },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [cmp(0, 0xffff_ffff, 0, "EQ")] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [cmp(0, 38, 0, "LT")] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [cmp(0, 40, 0, "GT"), cmp(1, 5, 0, "NE")] },
            { "names": ["kill"], "action": "SCMP_ACT_TRAP", "args": [cmp(1, 9, 0, "GE"), cmp(0, 1, 0, "LE")] },
            { "names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["swapon"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 },
        ],
    })
}

/// What Docker refuses, each for a reason of its own.
fn refused() -> Vec<Value> {
    let with = |rule: Value| json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] });
    let names = |key: &str, filter: Value| with(json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW", key: filter }));
    vec![
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
                "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] }], "syscalls": [] }),
        with(json!({ "name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW" })),
        with(json!({ "names": "read", "action": "SCMP_ACT_ALLOW" })),
        with(json!({ "names": ["read"], "action": 7 })),
        with(json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": -1 }] })),
        names("includes", json!({ "minKernel": "4" })),
        names("includes", json!({ "minKernel": "4.8.1" })),
        names("excludes", json!({ "minKernel": "a.b" })),
        names("excludes", json!({ "minKernel": 4 })),
        names("includes", json!({ "caps": "CAP_BPF" })),
        names("excludes", json!({ "arches": [1] })),
    ]
}

/// Docker's code, built; or why not.
fn docker() -> Result<std::path::PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker-oracle");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=readonly")
        .output()
        .map_err(|error| format!("Go is not installed: {error}"))?;
    let complaint = String::from_utf8_lossy(&built.stderr).lines().last().unwrap_or_default().to_owned();
    if built.status.success() { Ok(program) } else { Err(format!("Docker's code cannot be built: {complaint}")) }
}

fn ask(program: &Path, questions: &[(String, Vec<&str>)]) -> Vec<Value> {
    let questions: Vec<Value> =
        questions.iter().map(|(profile, caps)| json!({ "profile": profile, "capabilities": caps })).collect();
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was just built");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(json!(questions).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn running_kernel() -> (u64, u64) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (numbers.next().expect("major"), numbers.next().expect("minor"))
}

#[test]
fn profiles_mean_what_docker_makes_of_them() {
    let program = match docker() {
        Ok(program) => program,
        Err(why) => {
            // Not by eprintln, which libtest keeps back: whoever counts must see it.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
            return;
        }
    };
    let mut containers: Vec<Vec<&str>> = vec![vec![], USUAL.to_vec(), ASKED.to_vec()];
    containers.extend(ASKED.iter().map(|one| vec![*one]));
    containers.extend(ASKED.iter().map(|one| [&USUAL[..], &[*one]].concat()));
    let everything = everything().to_string();
    let questions: Vec<(String, Vec<&str>)> = containers
        .iter()
        .flat_map(|caps| [(String::new(), caps.clone()), (everything.clone(), caps.clone())])
        .chain(refused().into_iter().map(|profile| (profile.to_string(), vec![])))
        .collect();
    let (mut alike, mut refused_by_both, mut meanings) = (0, 0, BTreeSet::new());
    for ((_, caps), answer) in questions.iter().zip(ask(&program, &questions)) {
        let profile: Value = serde_json::from_str(answer["profile"].as_str().expect("text")).expect("JSON");
        let capabilities = caps.iter().map(|name| (*name).to_owned()).collect();
        let target = Target { arch: Arch::X86_64, capabilities, kernel: running_kernel() };
        let ours = resolve(&profile, &target).and_then(|resolved| oci::read(&resolved.seccomp));
        if answer["seccomp"].is_null() {
            assert!(ours.is_err(), "{}: we read {profile}", answer["error"]);
            refused_by_both += 1;
            continue;
        }
        let ours = ours.expect("Docker reads it");
        let theirs = oci::read(&answer["seccomp"]).expect("a profile");
        let differing = differences(Arch::X86_64, &ours, &theirs).count();
        assert_eq!(equal(Arch::X86_64, &ours, &theirs), Ok(true), "{caps:?}: {differing:?} differences");
        let program = compile(&ours, Arch::X86_64, Gate::None).expect("it fits");
        meanings.insert(format!("{:?}", program.insns));
        alike += 1;
    }
    println!(
        "{alike} readings alike, {} of them different from one another, {refused_by_both} refused by both",
        meanings.len()
    );
    assert_eq!((alike, refused_by_both), (2 * containers.len(), refused().len()));
    // Were everything dropped, everything would be alike.
    assert!(meanings.len() > 12, "{}", meanings.len());
}
