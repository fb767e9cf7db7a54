//! Specs and annotations as nobody should write them, from a printed seed.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// A runner whose seed is printed, and taken from ZEROCAP_SEED where that is set.
pub fn runner(cases: u32) -> TestRunner {
    let seed: u64 = match std::env::var("ZEROCAP_SEED") {
        Ok(text) => text.parse().expect("ZEROCAP_SEED is a number"),
        Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_secs()),
    };
    println!("{cases} cases with ZEROCAP_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];
pub const CAPABILITIES: [&str; 6] =
    ["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_SETPCAP", "CAP_DAC_OVERRIDE", "CAP_PERFMON", "CAP_NOT_A_CAPABILITY"];

fn capabilities() -> impl Strategy<Value = Option<Value>> {
    let sets = btree_map(select(&SETS[..]), subsequence(&CAPABILITIES[..], 0..=CAPABILITIES.len()), 0..=5);
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        sets.prop_map(|sets| Some(json!(sets))),
        Just(Some(
            SETS.iter().map(|set| ((*set).to_owned(), json!(CAPABILITIES))).collect::<serde_json::Map<_, _>>().into()
        )),
    ]
}

const CALLS: [&str; 40] = [
    "read",
    "write",
    "execve",
    "exit_group",
    "openat",
    "openat2",
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "sendto",
    "setsockopt",
    "clone",
    "clone3",
    "unshare",
    "setns",
    "mount",
    "ptrace",
    "bpf",
    "io_uring_setup",
    "prctl",
    "seccomp",
    "landlock_restrict_self",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "close_range",
    "close",
    "fcntl",
    "getrandom",
    "personality",
    "ioctl",
    "kill",
    "mmap",
    "futex",
    "memfd_create",
    "execveat",
    "keyctl",
    "not_a_call",
    "socketcall",
];
const ACTIONS: [&str; 7] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
];
const OPERATORS: [&str; 7] =
    ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];

/// Values near which arguments are interesting.
pub fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(&[0u64, 1, 2, 6, 10, 16, 17, 40, 262, 0x2000_0000, 0x7e02_0000, 0x8000_0000, 0xffff_ffff, u64::MAX][..]),
        0u64..64,
        any::<u64>(),
        // The upper half of an int's register.
        (0u64..64).prop_map(|low| low | 1 << 32),
    ]
}

fn profile() -> impl Strategy<Value = Value> {
    let condition = (0u64..6, word(), word(), select(&OPERATORS[..]))
        .prop_map(|(index, value, two, op)| json!({ "index": index, "value": value, "valueTwo": two, "op": op }));
    let rule =
        (subsequence(&CALLS[..], 1..12), select(&ACTIONS[..]), vec(condition, 0..3), proptest::option::of(0u64..40))
            .prop_map(|(names, action, args, errno)| {
                let mut rule = json!({ "names": names, "action": action });
                if !args.is_empty() {
                    rule["args"] = args.into();
                }
                if let Some(errno) = errno {
                    rule["errnoRet"] = errno.into();
                }
                rule
            });
    let architectures =
        subsequence(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"][..], 0..=4);
    (select(&ACTIONS[..]), vec(rule, 0..6), architectures, any::<bool>()).prop_map(
        |(default, rules, architectures, flags)| {
            let mut profile = json!({ "defaultAction": default, "architectures": architectures, "syscalls": rules });
            if flags {
                profile["flags"] = json!([]);
            }
            profile
        },
    )
}

/// What becomes of `linux.seccomp`: the real profile, none, another.
#[derive(Debug, Clone)]
enum Seccomp {
    Real,
    None,
    Null,
    Other(Value),
}

fn mount() -> impl Strategy<Value = Value> {
    let destination = select(
        &[
            "/data",
            "/dev/shm",
            "/tmp/x",
            "/dev/termination-log",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/proc",
            "/.zerocap",
            "/.zerocap/x",
            "/data/../cache",
            "rel",
        ][..],
    );
    let options =
        subsequence(&["rbind", "rprivate", "ro", "rw", "nosuid", "rslave", "rshared", "unknown-option"][..], 0..=8);
    (destination, select(&["bind", "tmpfs", "sysfs", "proc", "unknown"][..]), options)
        .prop_map(|(destination, kind, options)| json!({ "destination": destination, "type": kind, "source": "/srv/x", "options": options }))
}

/// A change that every engine would ignore, or that none may be handed.
#[derive(Debug, Clone)]
struct Oddity {
    at: &'static str,
    key: &'static str,
    value: Value,
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let at = select(&["", "/process", "/linux", "/process/user", "/mounts/0", "/linux/seccomp", "/annotations"][..]);
    let key = select(
        &[
            "futureField",
            "x-unknown",
            "Capabilities",
            "NOnewprivileges",
            "linuX",
            "Seccomp",
            "\u{17f}eccomp",
            "Namespaces",
            "ARGS",
            "mountſ",
            "run.oci.x",
            "org.criu.config",
        ][..],
    );
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!(["CAP_SYS_ADMIN"])),
        Just(json!("x")),
        Just(json!(false))
    ];
    (at, key, value).prop_map(|(at, key, value)| Oddity { at, key, value })
}

/// The real spec of a restricted pod, changed.
pub fn spec() -> impl Strategy<Value = Value> {
    let no_new_privs = prop_oneof![
        Just(None),
        Just(Some(Value::Bool(false))),
        Just(Some(Value::Bool(true))),
        Just(Some(Value::Null)),
        Just(Some(json!("yes")))
    ];
    let seccomp = prop_oneof![
        4 => Just(Seccomp::Real),
        1 => Just(Seccomp::None),
        1 => Just(Seccomp::Null),
        6 => profile().prop_map(Seccomp::Other),
    ];
    let limits = vec((select(&["RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_UNKNOWN", "rlimit_core"][..]), 0u64..4), 0..3);
    let namespaces = subsequence(&["pid", "ipc", "uts", "mount", "network", "cgroup"][..], 4..=6);
    let few = |strategy| vec(strategy, 0..3);
    let rare = prop_oneof![8 => Just(Vec::new()), 2 => vec(oddity(), 1..3)];
    let uid = prop_oneof![8 => Just(65532u64), 1 => Just(0u64), 1 => Just(1u64 << 40)];
    (capabilities(), no_new_privs, seccomp, limits, namespaces, few(mount()), rare, uid, any::<[bool; 3]>()).prop_map(
        |(capabilities, no_new_privs, seccomp, limits, namespaces, mounts, oddities, uid, bits)| {
            let mut spec = super::workload_spec();
            set(&mut spec["process"], "capabilities", capabilities);
            set(&mut spec["process"], "noNewPrivileges", no_new_privs);
            match seccomp {
                Seccomp::Real => {}
                Seccomp::None => set(&mut spec["linux"], "seccomp", None),
                Seccomp::Null => spec["linux"]["seccomp"] = Value::Null,
                Seccomp::Other(profile) => spec["linux"]["seccomp"] = profile,
            }
            if bits[0] {
                let limits: Vec<Value> =
                    limits.iter().map(|(kind, n)| json!({ "type": kind, "hard": n, "soft": n })).collect();
                spec["process"]["rlimits"] = limits.into();
            }
            if bits[1] && bits[2] {
                let joined = |kind: &&str| {
                    if *kind == "pid" {
                        json!({ "type": kind })
                    } else {
                        json!({ "type": kind, "path": format!("/proc/99/ns/{kind}") })
                    }
                };
                spec["linux"]["namespaces"] = namespaces.iter().map(joined).collect();
            }
            if let Some(all) = spec["mounts"].as_array_mut() {
                all.extend(mounts);
            }
            spec["process"]["user"]["uid"] = uid.into();
            for oddity in oddities {
                if let Some(Value::Object(map)) = spec.pointer_mut(oddity.at) {
                    map.insert(oddity.key.to_owned(), oddity.value);
                }
            }
            spec
        },
    )
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let Value::Object(map) = object {
        match value {
            Some(value) => map.insert(key.to_owned(), value),
            None => map.remove(key),
        };
    }
}

/// One annotation: mostly valid ones, with what is wrong in between.
fn annotation() -> impl Strategy<Value = (String, String)> {
    let valid = select(
        &[
            ("network-enforcement", "platform"),
            ("network-enforcement", "cluster"),
            ("zerocap.io/network-enforcement", "platform"),
            ("zerocap.io/proxy-port", "3129"),
            ("zerocap.io/listen", "8080"),
            ("zerocap.io/listen", "8080,9090"),
            ("zerocap.io/listen", "*"),
            ("zerocap.io/egress", "10.0.0.0/8:443,udp://10.1.2.3:53"),
            ("zerocap.io/egress", "10.0.0.0/8:443"),
            ("zerocap.io/egress", "*.models.example:443,8443, udp://time.example:123"),
            ("zerocap.io/egress", "a.models.example:443"),
            ("zerocap.io/egress", "0.0.0.0/0:1-65535,[::/0]:80-443"),
            ("zerocap.io/seccomp", "general"),
            ("zerocap.io/seccomp", "strict"),
            ("zerocap.io/seccomp", "minimal"),
            ("zerocap.io/seccomp", "model-backend"),
            ("zerocap.io/seccomp", "general,model-backend"),
            ("zerocap.io/seccomp", "sandbox-blocklist"),
            ("zerocap.io/seccomp", "general, sandbox-blocklist"),
            ("seccomp.zerocap.io/c1", "general"),
            ("zerocap.io/seccomp-deny", "mkdir,ptrace"),
            ("zerocap.io/seccomp-allow", "ptrace,kcmp"),
            ("zerocap.io/filesystem", "read-only"),
            ("zerocap.io/filesystem", "image"),
            ("zerocap.io/fs-read", "/usr,/lib,/data"),
            ("zerocap.io/fs-write", "/data,/tmp"),
            ("zerocap.io/fs-write", "/data/in"),
            ("zerocap.io/fs-execute", "/usr/bin"),
            ("zerocap.io/unix", "any"),
            ("zerocap.io/unix", "container"),
            ("zerocap.io/unix", "none"),
            ("zerocap.io/require", "privileges,protocols"),
            ("zerocap.io/require", "egress"),
            ("zerocap.io/mode", "enforce"),
            ("zerocap.io/mode", "audit"),
            ("listen.zerocap.io/c1", "*"),
            ("unix.zerocap.io/c1", "any"),
            ("network-enforcement.zerocap.io/c1", "cluster"),
            ("filesystem.zerocap.io/c1", "image"),
            ("fs-write.zerocap.io/c1", "/"),
            ("example.com/other", "whatever"),
        ][..],
    )
    .prop_map(|(key, value)| (key.to_owned(), value.to_owned()));
    let key = "(zerocap.io/|[a-z-]{1,12}\\.zerocap\\.io/)?[A-Za-z0-9./-]{0,20}";
    let huge = Just(("zerocap.io/fs-write".to_owned(), "/a,".repeat(1024 * 1024 / 3)));
    prop_oneof![40 => valid, 1 => (key, ".{0,40}"), 1 => huge]
}

/// The annotations of a pod.
pub fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    vec(annotation(), 0..5).prop_map(|all| all.into_iter().collect())
}

/// Annotations with platform mode, which is what most of the promises hang on.
pub fn mostly_platform() -> impl Strategy<Value = BTreeMap<String, String>> {
    (annotations(), proptest::bool::weighted(0.8)).prop_map(|(mut all, platform)| {
        if platform {
            all.insert("network-enforcement".into(), "platform".into());
        }
        all
    })
}

/// Any JSON, with our keys in it often enough that it is looked into.
pub fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        4 => select(
            &["process", "args", "user", "uid", "capabilities", "rlimits", "type", "linux", "namespaces", "path", "seccomp", "defaultAction", "syscalls",
              "names", "action", "index", "op", "mounts", "destination", "options", "source", "hooks", "startContainer", "annotations", "resources",
              "devices", "allow", "access", "major", "root", "readonly", "uidMappings", "containerID", "hostID", "size", "noNewPrivileges",
              "io.kubernetes.cri.sandbox-id", "network-enforcement"][..]
        ).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(
            &[
                "",
                "/",
                "..",
                "/../..",
                "bind",
                "sysfs",
                "network",
                "pid",
                "user",
                "SCMP_ACT_ALLOW",
                "/dev/shm",
                "/sandboxes//shm",
                "rw"
            ][..]
        )
        .prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
