//! Every error of annotations, floor, spec, profile and promises: what the user wrote, and what the user reads.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;

use common::{exec_process, host, map, sandbox_spec, snapshot, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::{Floor, Host, HostArch, PacketFence, PodPolicy, Target, ZcError, code, confine};

/// Codes of these ranges that only the shim can raise: they need its eyes.
const OF_THE_SHIM: [&str; 2] = ["ZC0313", "ZC0314"];

struct Case {
    title: &'static str,
    error: ZcError,
}

/// A pod that must be refused, under a floor.
fn pod(title: &'static str, floor: &str, annotations: &[(&str, &str)]) -> Case {
    let floor = Floor::parse(&format!("version = 1\n{floor}")).expect("a floor");
    let error = PodPolicy::new(&map(annotations), &floor).expect_err(title);
    Case { title, error }
}

/// A floor file that must be refused.
fn floor(title: &'static str, toml: &str) -> Case {
    Case { title, error: Floor::parse(toml).expect_err(title) }
}

/// A spec that must be refused: the real one with one change, under platform mode and further annotations.
fn spec(title: &'static str, annotations: &[(&str, &str)], change: impl FnOnce(&mut Value)) -> Case {
    on_host(title, annotations, host(), change)
}

fn on_host(title: &'static str, annotations: &[(&str, &str)], host: Host, change: impl FnOnce(&mut Value)) -> Case {
    let mut spec = workload_spec();
    change(&mut spec);
    let policy = common::pod(annotations).container("c1", &with_mode(annotations)).expect("a policy");
    let error = confine(&spec, Target::Init, &policy, &host).expect_err(title);
    Case { title, error }
}

/// The same in a pod whose network is left to the cluster.
fn cluster(title: &'static str, annotations: &[(&str, &str)]) -> Case {
    let policy = common::pod_with(annotations).container("c1", &map(annotations)).expect("a policy");
    let error = confine(&workload_spec(), Target::Init, &policy, &host()).expect_err(title);
    Case { title, error }
}

/// The namespaces of a spec.
fn list(spec: &mut Value) -> &mut Vec<Value> {
    spec["linux"]["namespaces"].as_array_mut().expect("an array")
}

fn with_mode(annotations: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let mut all = map(annotations);
    all.insert("network-enforcement".into(), "platform".into());
    all
}

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

fn annotations() -> Vec<Case> {
    let long = "8080,".repeat(10_000);
    let many = vec!["8080"; 257].join(",");
    vec![
        pod("unknown knob", "", &[("zerocap.io/proxyport", "3128")]),
        pod("unknown knob of a container", "", &[PLATFORM, ("listn.zerocap.io/web", "80")]),
        pod("bad mode", "", &[("network-enforcement", "platfrom")]),
        pod("bad port", "", &[PLATFORM, ("zerocap.io/proxy-port", "three")]),
        pod("bad ports", "", &[PLATFORM, ("zerocap.io/listen", "8080,http")]),
        pod("bad preset", "", &[PLATFORM, ("zerocap.io/seccomp", "genral")]),
        pod("bad system call", "", &[PLATFORM, ("zerocap.io/seccomp-deny", "ptrace,Open")]),
        pod("misspelt system call", "", &[PLATFORM, ("zerocap.io/seccomp-allow", "ptrac")]),
        pod("program without an end", "", &[PLATFORM, ("zerocap.io/seccomp-deny", "exit_group")]),
        pod("bad path", "", &[PLATFORM, ("zerocap.io/fs-write", "/data,../etc")]),
        pod("bad filesystem", "", &[PLATFORM, ("zerocap.io/filesystem", "readonly")]),
        pod("bad unix", "", &[PLATFORM, ("zerocap.io/unix", "abstract")]),
        pod("bad destination", "", &[PLATFORM, ("zerocap.io/egress", "https://example.com")]),
        pod("bad descriptor", "", &[PLATFORM, ("zerocap.io/fd-open", "2=/data:ro")]),
        pod("bad descriptors", "", &[PLATFORM, ("zerocap.io/fd-allow", "0-2,x")]),
        pod("bad promise", "", &[PLATFORM, ("zerocap.io/require", "egres")]),
        pod("bad enforcement", "", &[PLATFORM, ("zerocap.io/mode", "off")]),
        pod("bad policy name", "", &[("zerocap.io/policy", "My Policy")]),
        pod("conflicting spellings", "", &[PLATFORM, ("zerocap.io/network-enforcement", "cluster")]),
        pod("large value", "", &[PLATFORM, ("zerocap.io/listen", &long)]),
        pod("long list", "", &[PLATFORM, ("zerocap.io/listen", &many)]),
        pod("exception without mode", "", &[("filesystem.zerocap.io/app", "image")]),
        pod("stricter exception", "", &[PLATFORM, ("filesystem.zerocap.io/app", "read-only")]),
        pod(
            "exception that cannot be compared",
            "",
            &[PLATFORM, ("zerocap.io/listen", "80"), ("listen.zerocap.io/app", "81")],
        ),
        pod("exception to a knob without order", "", &[PLATFORM, ("proxy-port.zerocap.io/app", "3129")]),
        pod("malformed container name", "", &[PLATFORM, ("listen.zerocap.io/My_App", "80")]),
        pod("international name", "", &[PLATFORM, ("zerocap.io/egress", "b\u{fc}cher.example:443")]),
        pod("name of loopback", "", &[PLATFORM, ("zerocap.io/egress", "localhost:8080")]),
        pod("many ports of a name", "", &[PLATFORM, ("zerocap.io/egress", "api.example.com:1-65535")]),
        pod("a preset that keeps no promise", "", &[PLATFORM, ("zerocap.io/seccomp", "sandbox-blocklist")]),
        pod(
            "a preset that is not looser",
            "",
            &[PLATFORM, ("zerocap.io/seccomp", "general"), ("seccomp.zerocap.io/app", "model-backend")],
        ),
        pod("fd-allow", "", &[PLATFORM, ("zerocap.io/fd-allow", "0-2")]),
        pod(
            "filesystem and a path list",
            "",
            &[PLATFORM, ("zerocap.io/filesystem", "read-only"), ("zerocap.io/fs-write", "/data")],
        ),
        pod("listen on the proxy's port", "", &[PLATFORM, ("zerocap.io/listen", "8080,3128")]),
        pod("listen without platform mode", "", &[("network-enforcement", "cluster"), ("zerocap.io/listen", "8080")]),
        pod(
            "listen of a container without platform mode",
            "",
            &[PLATFORM, ("network-enforcement.zerocap.io/web", "cluster"), ("listen.zerocap.io/web", "80")],
        ),
    ]
}

fn floors() -> Vec<Case> {
    vec![
        floor("no TOML", "version = 1\n[defaults]\nunix container\n"),
        floor("no version", "[defaults]\n"),
        floor("unknown key", "version = 1\n\n[default]\nunix = \"none\"\n"),
        floor("unknown knob", "version = 1\n[ceilings]\nlisten-ports = [80]\n"),
        floor("wrong type", "version = 1\n[defaults]\nunix = true\n"),
        floor("bad value", "version = 1\n[defaults]\n  unix = \"some\"\n"),
        floor(
            "bad value in a section",
            "version = 1\n[[section]]\nnamespaces = [\"a\"]\nceilings = { proxy-port = 0 }\n",
        ),
        floor("bad pattern", "version = 1\n[[section]]\nnamespaces = [\"prod/*\"]\n"),
        floor("no pattern", "version = 1\n[[section]]\nnamespaces = []\n"),
        floor("version", "version = 2\n"),
        floor("loose default", "version = 1\n[defaults]\nunix = \"any\"\n[ceilings]\nunix = \"container\"\n"),
        floor(
            "loose default of a section",
            "version = 1\n[ceilings]\nunix = \"container\"\n[[section]]\nnamespaces = [\"a\"]\ndefaults = { unix = \"any\" }\n",
        ),
        floor("undefined policy", "version = 1\n[[section]]\nnamespaces = [\"a\"]\npolicies = [\"web\"]\n"),
        floor("policy of a policy", "version = 1\n[policies.web]\npolicy = \"other\"\n"),
        floor("files twice", "version = 1\n[policies.web]\nfilesystem = \"read-only\"\nfs-write = [\"/data\"]\n"),
        floor("not supported", "version = 1\n[defaults]\nfd-allow = \"0-2\"\n"),
        floor("no network", "version = 1\n[names]\nnever = [\"10.0.0.0/8\", \"10.0.0.1/8\"]\n"),
        pod(
            "name beyond the ceiling",
            "[ceilings]\negress = [\"*.example.com:443\"]",
            &[PLATFORM, ("zerocap.io/egress", "example.org:443")],
        ),
        pod("forbidden", "forbidden = [\"listen\"]", &[PLATFORM, ("zerocap.io/listen", "80")]),
        pod("beyond the ceiling", "[ceilings]\nunix = \"container\"", &[PLATFORM, ("zerocap.io/unix", "any")]),
        pod(
            "exception beyond the ceiling",
            "[ceilings]\nnetwork-enforcement = \"platform\"",
            &[PLATFORM, ("network-enforcement.zerocap.io/app", "cluster")],
        ),
        pod(
            "policy beyond the ceiling",
            "[ceilings]\nlisten = [80]\n[policies.web]\nlisten = [80, 81]",
            &[PLATFORM, ("zerocap.io/policy", "web")],
        ),
        pod(
            "path list beyond read-only",
            "[ceilings]\nfilesystem = \"read-only\"",
            &[PLATFORM, ("zerocap.io/fs-write", "/etc")],
        ),
        pod("audit not permitted", "", &[PLATFORM, ("zerocap.io/mode", "audit")]),
        pod(
            "record permitted, not supported",
            "modes = [\"enforce\", \"record\"]",
            &[PLATFORM, ("zerocap.io/mode", "record")],
        ),
        pod("audit without platform mode", "modes = [\"audit\"]", &[("zerocap.io/mode", "audit")]),
        pod("no such policy", "[policies.web]\nlisten = [80]", &[PLATFORM, ("zerocap.io/policy", "wep")]),
        pod("no policy at all", "", &[PLATFORM, ("zerocap.io/policy", "web")]),
        Case { title: "unknown built-in floor", error: Floor::none().and_builtin("plattform").expect_err("unknown") },
    ]
}

fn specs() -> Vec<Case> {
    let mut cases = vec![
        spec("no object", &[], |s| *s = json!([])),
        spec("no process", &[], |s| s["process"] = Value::Null),
        spec("arguments are no array", &[], |s| s["process"]["args"] = "sh".into()),
        spec("an argument is no string", &[], |s| s["process"]["args"][1] = 7.into()),
        spec("mounts are no array", &[], |s| s["mounts"] = json!({})),
        spec("a mount is null", &[], |s| s["mounts"][3] = Value::Null),
        spec("uid is too large", &[], |s| s["process"]["user"]["uid"] = json!(1u64 << 32)),
        spec("capabilities in other case", &[], |s| {
            s["process"]["Capabilities"] = json!({ "effective": ["CAP_SYS_ADMIN"] })
        }),
        spec("seccomp in other letters", &[], |s| s["linux"]["\u{17f}eccomp"] = Value::Null),
        spec("options in other case", &[], |s| s["mounts"][0]["Options"] = json!(["rw"])),
        spec("namespace twice", &[], |s| list(s).push(json!({ "type": "ipc", "path": "/proc/1/ns/ipc" }))),
        spec("host network", &[], |s| {
            list(s).retain(|n| n["type"] != "network");
        }),
        spec("network of the node's init", &[], |s| s["linux"]["namespaces"][4]["path"] = "/proc/1/ns/net".into()),
        spec("all devices", &[], |s| s["linux"]["resources"]["devices"][0]["allow"] = true.into()),
        spec("writable /sys", &[], |s| s["mounts"][4]["options"] = json!(["nosuid", "rw"])),
        spec("startContainer hook", &[], |s| s["hooks"] = json!({ "startContainer": [{ "path": "/bin/x" }] })),
        spec("engine annotation", &[], |s| s["annotations"]["run.oci.seccomp_bpf_data"] = "x".into()),
        spec("mount at the launcher", &[], |s| s["mounts"][6]["destination"] = "/.zerocap/".into()),
        spec("mount below the launcher", &[], |s| s["mounts"][6]["destination"] = "etc/../.zerocap/launcher".into()),
        spec("mount over the root", &[], |s| s["mounts"][6]["destination"] = "//".into()),
        spec("uid 0", &[], |s| s["process"]["user"]["uid"] = 0.into()),
        spec("no user", &[], |s| s["process"]["user"] = Value::Null),
        spec("uid 0 mapped to root", &[], |s| {
            s["process"]["user"]["uid"] = 0.into();
            list(s).push(json!({ "type": "user" }));
            s["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
        }),
        spec("shared propagation", &[], |s| s["mounts"][6]["options"] = json!(["rbind", "rshared"])),
        spec("no program", &[], |s| s["process"]["args"] = json!([])),
        spec("host PID namespace", &[], |s| {
            list(s).retain(|n| n["type"] != "pid");
        }),
        spec("unreadable profile", &[], |s| s["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_NOTHING".into()),
        spec("notifying profile that lacks the launcher's calls", &[], |s| {
            s["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                { "names": ["read", "execve"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["connect"], "action": "SCMP_ACT_NOTIFY" },
            ] });
        }),
    ];
    cases.push(cluster("unix: none without a filter", &[("zerocap.io/unix", "none")]));
    cases.push(no_name());
    cases.push(Case { title: "architecture", error: HostArch::from_name("riscv64").expect_err("not supported") });
    cases.push(exec_as_root());
    cases.push(host_network_pod());
    cases
}

fn no_name() -> Case {
    let annotations = [PLATFORM, ("filesystem.zerocap.io/app", "image")];
    let error = common::pod_with(&annotations).container("", &map(&annotations)).expect_err("no name");
    Case { title: "container without name in a pod with exceptions", error }
}

fn exec_as_root() -> Case {
    let spec = workload_spec();
    let mut process = exec_process(&spec, &["sh"]);
    process["user"]["uid"] = 0.into();
    let policy = common::pod(&[]).container_of(&spec).expect("a policy");
    let error = confine(&spec, Target::Exec { process: &process }, &policy, &host()).expect_err("uid 0");
    Case { title: "exec as uid 0", error }
}

/// A container's own spec does not show it: containerd names the sandbox's namespace, which is the node's.
fn host_network_pod() -> Case {
    let mut sandbox = sandbox_spec();
    list(&mut sandbox).retain(|n| n["type"] != "network");
    let spec = workload_spec();
    let policy =
        PodPolicy::from_sandbox(&sandbox, &Floor::none()).and_then(|pod| pod.container_of(&spec)).expect("a policy");
    let error = confine(&spec, Target::Init, &policy, &host()).expect_err("hostNetwork");
    Case { title: "container of a pod whose sandbox has hostNetwork", error }
}

fn no_fence(host: &mut Host) {
    host.packet_fence =
        PacketFence { works: false, missing: "no cgroup v2 tree can be used: No such device (os error 19)".into() };
}

fn promises() -> Vec<Case> {
    let without = |change: fn(&mut Host)| {
        let mut host = host();
        change(&mut host);
        host
    };
    vec![
        on_host(
            "neither Landlock nor a packet fence",
            &[],
            without(|h| (h.landlock, h.packet_fence) = Default::default()),
            |_| (),
        ),
        on_host("no packet fence", &[], without(no_fence), |_| ()),
        on_host(
            "no packet fence, with destinations",
            &[("zerocap.io/egress", "10.0.0.0/8:443")],
            without(no_fence),
            |_| (),
        ),
        on_host("explicit egress", &[("zerocap.io/require", "privileges,egress")], without(no_fence), |_| ()),
        on_host(
            "explicit inbound with listen",
            &[("zerocap.io/require", "inbound"), ("zerocap.io/listen", "8080")],
            without(no_fence),
            |_| (),
        ),
        spec("explicit neighbours", &[("zerocap.io/require", "neighbours")], |_| ()),
        spec("files without a knob for them", &[("zerocap.io/require", "files")], |_| ()),
        spec("call that a promise rests on", &[("zerocap.io/seccomp-allow", "io_uring_setup")], |_| {}),
        cluster("egress where the cluster has the network", &[("zerocap.io/require", "egress")]),
        on_host(
            "path list without Landlock",
            &[("zerocap.io/fs-read", "/usr"), ("zerocap.io/require", "files")],
            without(|h| h.landlock = Default::default()),
            |_| (),
        ),
    ]
}

fn all() -> Vec<Case> {
    [annotations(), floors(), specs(), promises()].into_iter().flatten().collect()
}

#[test]
fn what_users_read() {
    let mut text = String::new();
    for case in all() {
        writeln!(text, "# {}\n{}\n", case.title, case.error).expect("a string takes everything");
        assert!(!case.error.hint.is_empty(), "{}: no hint", case.title);
        assert!(!case.error.to_string().contains('\n'), "{}: more than one line", case.title);
        assert!(case.error.to_string().len() < 600, "{}: too long", case.title);
    }
    snapshot::check("errors.txt", &text);
}

#[test]
fn every_code_of_these_rooms_is_met() {
    let met: BTreeSet<&str> = all().iter().map(|case| case.error.code.as_str()).chain(OF_THE_SHIM).collect();
    let ours = |code: &&str| ("ZC01".."ZC06").contains(&code.get(..4).unwrap_or_default());
    let table: BTreeSet<&str> = code::all().map(|entry| entry.code.as_str()).filter(ours).collect();
    assert_eq!(table.difference(&met).collect::<Vec<_>>(), Vec::<&&str>::new(), "in the table and in no test");
}

#[test]
fn the_table_is_complete_and_unambiguous() {
    let mut seen = BTreeSet::new();
    let mut last = "";
    for entry in code::all() {
        let code = entry.code.as_str();
        assert!(seen.insert(code), "{code} is there twice");
        assert!(last < code, "{code} is out of order");
        last = code;
        assert!(code.len() == 6 && code.starts_with("ZC"), "{code}");
        for (part, text) in
            [("title", entry.title), ("cause", entry.cause), ("cure", entry.cure), ("example", entry.example)]
        {
            assert!(!text.trim().is_empty(), "{code} has no {part}");
        }
        assert!(entry.cause.ends_with('.') && entry.cure.ends_with('.') && !entry.title.ends_with('.'), "{code}");
        assert_eq!(code::lookup(&code.to_ascii_lowercase()), Some(entry));
        assert_eq!(code::lookup(&code[2..]), Some(entry));
        assert_eq!(entry.code.entry(), Some(entry));
    }
    assert_eq!(code::lookup("ZC9999"), None);
    assert!(seen.len() > 60);
}
