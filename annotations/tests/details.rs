//! The corners of the translation, one by one.

mod common;

use common::meaning::{Answer, Filters};
use common::{host, map, pod, pod_with, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::knob::Transport;
use zerocap_annotations::report::{PromiseReport, State};
use zerocap_annotations::{Confinement, Host, Promise, Target, ZcError, confine};
use zerocap_plan::{Landlock, LaunchPlan};
use zerocap_seccomp::{Arch, SeccompData};

const READ_FILE: u64 = 1 << 2;
const MAKE_REG: u64 = 1 << 8;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const RESOLVE_UNIX: u64 = 1 << 16;

fn try_init(spec: &Value, annotations: &[(&str, &str)], host: &Host) -> Result<Confinement, ZcError> {
    let mut all = map(annotations);
    all.insert("network-enforcement".into(), "platform".into());
    confine(spec, Target::Init, &pod(annotations).container("c1", &all)?, host)
}

fn init(spec: &Value, annotations: &[(&str, &str)], host: &Host) -> Confinement {
    try_init(spec, annotations, host).unwrap_or_else(|error| panic!("{error}"))
}

fn landlock(confined: &Confinement) -> &Landlock {
    let ruleset = confined.plan.as_ref().and_then(|plan: &LaunchPlan| plan.landlock.as_ref());
    ruleset.expect("a ruleset")
}

fn row(confined: &Confinement, promise: Promise) -> &PromiseReport {
    confined.report.promises.iter().find(|row| row.promise == promise).expect("a row")
}

fn rule<'a>(landlock: &'a Landlock, path: &str) -> Option<&'a zerocap_plan::PathRule> {
    landlock.paths.iter().find(|rule| rule.path == path.as_bytes())
}

#[test]
fn uid_0_of_a_user_namespace_is_somebody_else_on_the_node() {
    let mut spec = workload_spec();
    spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    spec["linux"]["namespaces"]
        .as_array_mut()
        .expect("an array")
        .push(json!({ "type": "user", "path": "/proc/16659/ns/user" }));
    assert!(try_init(&spec, &[], &host()).is_err(), "without a mapping nothing shows it");
    spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 524288, "size": 65536 }]);
    let confined = init(&spec, &[], &host());
    assert_eq!(confined.expect.uid, Some(524_288));
    spec["process"]["user"]["uid"] = 1000.into();
    assert_eq!(init(&spec, &[], &host()).expect.uid, Some(525_288));
}

#[test]
fn a_volume_of_the_user_at_dev_shm_stays_and_the_report_says_so() {
    let mut spec = workload_spec();
    spec["mounts"][9] = json!({ "destination": "/dev/shm/", "type": "bind", "source": "/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/shm", "options": ["rbind", "rw"] });
    let confined = init(&spec, &[], &host());
    assert_eq!(confined.spec["mounts"][9], spec["mounts"][9]);
    assert!(confined.report.notes.iter().any(|note| note.contains("/dev/shm")));
    assert!(row(&confined, Promise::Neighbours).reason.contains("/dev/shm is a volume"));
}

#[test]
fn a_read_only_dev_shm_stays_read_only() {
    let mut spec = workload_spec();
    spec["mounts"][9]["options"] = json!(["rbind", "ro"]);
    let options = init(&spec, &[], &host()).spec["mounts"][9]["options"].clone();
    assert!(options.as_array().expect("options").contains(&"ro".into()));
}

#[test]
fn hooks_outside_the_container_stay() {
    let mut spec = workload_spec();
    spec["hooks"] = json!({ "createRuntime": [{ "path": "/usr/bin/hook", "env": ["A=B"] }], "startContainer": [] });
    assert_eq!(init(&spec, &[], &host()).spec["hooks"], spec["hooks"]);
}

#[test]
fn device_rules_of_an_ordinary_pod_pass() {
    for rule in [
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "c", "major": 195, "minor": 0, "access": "rw" }),
        json!({ "allow": true, "type": "c", "major": 136, "access": "rwm" }),
        json!({ "allow": false }),
    ] {
        let mut spec = workload_spec();
        spec["linux"]["resources"]["devices"].as_array_mut().expect("an array").push(rule.clone());
        assert!(try_init(&spec, &[], &host()).is_ok(), "{rule}");
    }
}

#[test]
fn device_rules_of_a_privileged_container_do_not() {
    for rule in [
        json!({ "allow": true, "access": "rwm" }),
        json!({ "allow": true }),
        json!({ "allow": true, "type": "a" }),
        json!({ "allow": true, "type": "b", "access": "r" }),
        json!({ "allow": true, "type": "b", "major": -1, "access": "w" }),
        json!({ "allow": true, "type": "a", "major": 8, "access": "r" }),
    ] {
        let mut spec = workload_spec();
        spec["linux"]["resources"]["devices"][0] = rule.clone();
        assert_eq!(try_init(&spec, &[], &host()).map_err(|e| e.code.as_str()).err(), Some("ZC0305"), "{rule}");
    }
}

#[test]
fn listen_opens_bind_for_its_ports_or_all() {
    let ports = |listen| {
        let confined = init(&workload_spec(), &[("zerocap.io/listen", listen)], &host());
        let landlock = landlock(&confined);
        let bind: Vec<u16> = landlock.ports.iter().filter(|p| p.access == 1).map(|p| p.port).collect();
        (landlock.handled_net, bind, row(&confined, Promise::Inbound).state)
    };
    assert_eq!(ports("8080,443"), (3, vec![443, 8080], State::Kept));
    assert_eq!(ports("*"), (0, vec![], State::Kept), "so many connects to loopback are the packet fence's alone");
    assert_eq!(ports("none"), (3, vec![], State::Kept));
}

#[test]
fn without_a_packet_fence_the_network_is_kept_in_part_and_that_is_not_enough() {
    let without = Host { packet_fence: Default::default(), ..host() };
    for annotations in [&[][..], &[("zerocap.io/listen", "8080")], &[("zerocap.io/egress", "10.0.0.0/8:443")]] {
        let code = try_init(&workload_spec(), annotations, &without).map_err(|e| e.code.as_str()).err();
        assert_eq!(code, Some("ZC0502"), "{annotations:?}");
    }
    let fewer =
        [("zerocap.io/require", "privileges"), ("zerocap.io/listen", "*"), ("zerocap.io/egress", "10.0.0.0/8:443")];
    let confined = init(&workload_spec(), &fewer, &without);
    assert_eq!((&confined.packets, confined.expect.packet_fence), (&None, false));
    let connect: Vec<u16> = landlock(&confined).ports.iter().filter(|p| p.access == 2).map(|p| p.port).collect();
    assert_eq!(connect, [3128], "Landlock would open 443 on every address");
    for promise in [Promise::Egress, Promise::Inbound] {
        assert_eq!(row(&confined, promise).state, State::Partly);
    }
}

#[test]
fn egress_opens_its_addresses_in_the_fence_and_its_ports_in_landlock() {
    let egress = "10.0.0.0/8:5432,[fd00::1]:80-81,udp://10.9.9.9:53";
    let confined = init(&workload_spec(), &[("zerocap.io/egress", egress), ("zerocap.io/require", "egress")], &host());
    let rules = confined.packets.as_ref().expect("a packet fence");
    let may = |transport, to: &str, port| rules.permits(transport, to.parse().expect("an address"), port);
    assert!(
        may(Transport::Tcp, "10.1.1.1", 5432)
            && may(Transport::Tcp, "fd00::1", 81)
            && may(Transport::Udp, "10.9.9.9", 53)
    );
    assert!(
        !may(Transport::Tcp, "11.1.1.1", 5432)
            && !may(Transport::Tcp, "10.9.9.9", 53)
            && !may(Transport::Udp, "10.1.1.1", 5432)
    );
    let connect: Vec<u16> = landlock(&confined).ports.iter().filter(|p| p.access == 2).map(|p| p.port).collect();
    assert_eq!(connect, [80, 81, 3128, 5432]);
    assert_eq!(confined.plan.as_ref().and_then(|plan| plan.forbidden_connect), Some(1));
    assert_eq!(row(&confined, Promise::Egress).state, State::Kept);
}

#[test]
fn datagram_sockets_exist_only_where_the_fence_judges_datagrams() {
    let socket = SeccompData { nr: 41, arch: 0xc000_003e, instruction_pointer: 0, args: [2, 2, 0, 0, 0, 0] };
    let answer = |annotations: &[(&str, &str)], host: &Host| {
        let confined = init(&workload_spec(), annotations, host);
        Filters::oci(&confined.spec).and_plan(confined.plan.as_ref()).answer(&socket)
    };
    let udp = ("zerocap.io/egress", "udp://10.9.9.9:53");
    assert_eq!(answer(&[udp], &host()), Answer::Allow);
    assert_ne!(answer(&[("zerocap.io/egress", "10.9.9.9:53")], &host()), Answer::Allow);
    let without = Host { packet_fence: Default::default(), ..host() };
    assert_ne!(answer(&[udp, ("zerocap.io/require", "privileges")], &without), Answer::Allow);
}

#[test]
fn the_forbidden_connect_is_never_the_proxy() {
    for (port, forbidden) in [("1", 2), ("2", 1), ("65535", 1)] {
        let confined = init(&workload_spec(), &[("zerocap.io/proxy-port", port)], &host());
        assert_eq!(confined.plan.and_then(|plan| plan.forbidden_connect), Some(forbidden));
    }
}

#[test]
fn unix_any_leaves_abstract_sockets_alone() {
    let confined = init(&workload_spec(), &[("zerocap.io/unix", "any")], &host());
    assert_eq!(landlock(&confined).scoped, 2, "signals only");
    assert!(row(&confined, Promise::Neighbours).reason.contains("unix is any"));
}

#[test]
fn from_abi_9_on_unix_sockets_are_fully_kept_and_renames_still_work() {
    let mut host = host();
    (host.landlock.abi, host.landlock.fs) = (9, 0x1_ffff);
    let confined = init(&workload_spec(), &[("zerocap.io/require", "neighbours")], &host);
    let ruleset = landlock(&confined);
    assert_eq!(ruleset.handled_fs, RESOLVE_UNIX | REFER);
    assert_eq!(rule(ruleset, "/").map(|rule| rule.access), Some(REFER));
    assert_eq!(row(&confined, Promise::Neighbours).state, State::Kept);
}

#[test]
fn a_read_list_leaves_writes_and_renames_alone() {
    let confined = init(&workload_spec(), &[("zerocap.io/fs-read", "/usr,/app")], &host());
    let ruleset = landlock(&confined);
    assert_eq!(ruleset.handled_fs & (MAKE_REG | READ_FILE), READ_FILE);
    assert!(rule(ruleset, "/app").is_some_and(|rule| rule.access & READ_FILE != 0));
    assert_eq!(rule(ruleset, "/").map(|rule| rule.access), Some(REFER));
    assert_eq!(confined.spec["root"], workload_spec()["root"]);
}

#[test]
fn what_may_be_executed_may_be_read() {
    let confined =
        init(&workload_spec(), &[("zerocap.io/fs-read", "/data"), ("zerocap.io/fs-execute", "/bin")], &host());
    assert_eq!(rule(landlock(&confined), "/bin").map(|rule| rule.access), Some(1 | READ_FILE));
    assert_eq!(row(&confined, Promise::Files).state, State::Partly);
}

/// Landlock is not asked about a memfd: with a list of programs it is sealed, or the report says that it is not bound.
#[test]
fn listed_programs_bind_programs_in_memory_or_the_report_says_so() {
    const MEMFD_CREATE: u32 = 319;
    const NOEXEC_SEAL: u64 = 8;
    let cases = [
        ([("network-enforcement", "platform"), ("zerocap.io/fs-execute", "/bin")], true, false),
        ([("zerocap.io/seccomp", "general"), ("zerocap.io/fs-execute", "/bin")], true, false),
        ([("zerocap.io/seccomp", "model-backend"), ("zerocap.io/fs-execute", "/bin")], true, false),
        ([("zerocap.io/seccomp", "sandbox-blocklist"), ("zerocap.io/fs-execute", "/bin")], false, true),
        ([("network-enforcement", "cluster"), ("zerocap.io/fs-execute", "/bin")], false, true),
        ([("network-enforcement", "platform"), ("zerocap.io/fs-read", "/bin")], false, false),
    ];
    for (annotations, sealed, said) in cases {
        let policy = pod_with(&annotations).container("c1", &map(&annotations)).expect("a policy");
        let confined = confine(&workload_spec(), Target::Init, &policy, &host()).expect("a confinement");
        let filters = Filters::oci(&confined.spec).and_plan(confined.plan.as_ref());
        let answer = |flags| {
            let (arch, args) = (Arch::X86_64.audit(), [0x1000, flags, 0, 0, 0, 0]);
            filters.answer(&SeccompData { nr: MEMFD_CREATE, arch, instruction_pointer: 0, args })
        };
        assert_eq!(answer(NOEXEC_SEAL), Answer::Allow, "{annotations:?}");
        assert_eq!(answer(0), if sealed { Answer::Errno } else { Answer::Allow }, "{annotations:?}");
        let files = row(&confined, Promise::Files);
        assert_eq!(files.reason.contains("memfd"), said, "{annotations:?}: {}", files.reason);
    }
}

#[test]
fn a_read_list_says_what_inotify_tells() {
    let confined = init(&workload_spec(), &[("zerocap.io/fs-read", "/usr")], &host());
    let files = row(&confined, Promise::Files);
    assert_eq!(files.state, State::Partly);
    assert!(files.reason.contains("inotify"), "{}", files.reason);
    let without = init(&workload_spec(), &[("zerocap.io/fs-write", "/tmp")], &host());
    assert!(!row(&without, Promise::Files).reason.contains("inotify"));
}

#[test]
fn read_only_keeps_the_kubelets_files_and_read_only_volumes_out() {
    let mut spec = workload_spec();
    let volume = |destination: &str, option: &str| json!({ "destination": destination, "type": "bind", "source": "/srv", "options": ["rbind", option] });
    let mounts = spec["mounts"].as_array_mut().expect("an array");
    mounts.extend([
        volume("/rw/", "rw"),
        volume("/ro", "ro"),
        volume("/rro", "rro"),
        json!({ "destination": "/cache", "type": "tmpfs", "source": "tmpfs" }),
    ]);
    let confined = init(&spec, &[("zerocap.io/filesystem", "read-only")], &host());
    let ruleset = landlock(&confined);
    for writable in ["/rw", "/cache"] {
        assert!(rule(ruleset, writable).is_some_and(|rule| rule.access & MAKE_REG != 0), "{writable}");
    }
    for read_only in ["/ro", "/rro", "/etc/hosts", "/etc/resolv.conf", "/dev/shm", "/dev", "/proc", "/"] {
        assert_eq!(rule(ruleset, read_only), None, "{read_only}");
    }
    assert!(rule(ruleset, "/dev/null").is_some_and(|rule| rule.access & MAKE_REG == 0));
    assert_eq!(confined.spec["root"]["readonly"], true);
    assert_eq!(row(&confined, Promise::Files).state, State::Kept);
}

#[test]
fn rights_that_the_kernel_lacks_are_not_asked_for_and_reported() {
    let mut host = host();
    (host.landlock.abi, host.landlock.fs) = (2, 0x3fff);
    let confined = init(&workload_spec(), &[("zerocap.io/filesystem", "read-only")], &host);
    assert_eq!(landlock(&confined).handled_fs & TRUNCATE, 0);
    let files = row(&confined, Promise::Files);
    assert_eq!(files.state, State::Partly);
    assert!(files.reason.contains("truncation") && files.reason.contains("ioctl"), "{}", files.reason);
}

#[test]
fn scopes_that_the_kernel_lacks_are_reported() {
    let mut host = host();
    (host.landlock.abi, host.landlock.scoped) = (5, 0);
    let confined = init(&workload_spec(), &[], &host);
    assert_eq!(landlock(&confined).scoped, 0);
    assert!(row(&confined, Promise::Neighbours).reason.contains("abstract unix sockets"));
}

#[test]
fn require_may_name_fewer_promises_and_the_rest_is_reported() {
    let mut host = host();
    (host.landlock, host.packet_fence) = Default::default();
    assert_eq!(try_init(&workload_spec(), &[], &host).map_err(|e| e.code.as_str()).err(), Some("ZC0501"));
    let confined = init(&workload_spec(), &[("zerocap.io/require", "privileges,protocols")], &host);
    assert_eq!(row(&confined, Promise::Egress).state, State::NotKept);
    assert_eq!(confined.plan.as_ref().and_then(|plan| plan.landlock.as_ref()), None);
    assert!(!confined.expect.landlock);
}

#[test]
fn without_a_profile_of_the_pod_only_ours_is_loaded() {
    for absent in [None, Some(Value::Null), Some(json!({})), Some(json!({ "defaultAction": "", "syscalls": [] }))] {
        let mut spec = workload_spec();
        let linux = spec["linux"].as_object_mut().expect("an object");
        linux.remove("seccomp");
        linux.extend(absent.map(|absent| ("seccomp".to_owned(), absent)));
        let confined = init(&spec, &[], &host());
        assert_eq!(confined.spec["linux"].get("seccomp"), spec["linux"].get("seccomp"));
        assert_eq!(confined.plan.as_ref().map(|plan| plan.filters.len()), Some(1));
        assert_eq!(confined.expect.min_filters, 1);
    }
}

#[test]
fn the_pause_container_without_a_profile_gets_one() {
    let mut spec = common::sandbox_spec();
    spec["linux"].as_object_mut().expect("an object").remove("seccomp");
    let policy = pod(&[]).sandbox().expect("a policy");
    let confined = confine(&spec, Target::Sandbox, &policy, &host()).expect("a confinement");
    let seccomp = &confined.spec["linux"]["seccomp"];
    assert_eq!(seccomp["defaultAction"], "SCMP_ACT_ALLOW");
    let refused: Vec<&Value> = seccomp["syscalls"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|rule| rule["names"].as_array().into_iter().flatten())
        .collect();
    assert!(refused.contains(&&"bpf".into()) && refused.contains(&&"unshare".into()));
}

#[test]
fn seccomp_alone_leaves_network_and_capabilities_to_the_pod() {
    let spec = workload_spec();
    let annotations = [("zerocap.io/seccomp", "general")];
    let policy = pod_with(&annotations).container("c1", &map(&annotations)).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    assert_eq!(confined.spec["process"]["capabilities"], spec["process"]["capabilities"]);
    assert_eq!(confined.spec["linux"]["namespaces"], spec["linux"]["namespaces"]);
    let plan = confined.plan.expect("a plan");
    assert_eq!((plan.landlock, plan.filters.len()), (None, 1));
    assert!(!confined.expect.caps_zero && confined.expect.no_new_privs);
}

#[test]
fn a_container_that_shares_a_pid_namespace_is_scoped_and_reported() {
    let mut spec = workload_spec();
    spec["linux"]["namespaces"][0]["path"] = "/proc/16659/ns/pid".into();
    let confined = init(&spec, &[], &host());
    assert_eq!(landlock(&confined).scoped, 3);
    let neighbours = row(&confined, Promise::Neighbours);
    assert_eq!(neighbours.state, State::Partly);
    assert!(neighbours.reason.contains("PID namespace is shared"));
    assert!(neighbours.reason.contains("oom_score_adj"));
    assert!(!confined.expect.own_pid_ns);
}

#[test]
fn fields_that_nobody_knows_go_through() {
    let mut spec = workload_spec();
    spec["futureField"] = json!({ "a": [1, 2.5, null] });
    spec["process"]["futureField"] = 18_446_744_073_709_551_615u64.into();
    spec["linux"]["futureField"] = "x".into();
    spec["mounts"][2]["futureField"] = true.into();
    let confined = init(&spec, &[], &host()).spec;
    for path in ["/futureField", "/process/futureField", "/linux/futureField", "/mounts/2/futureField"] {
        assert_eq!(confined.pointer(path), spec.pointer(path), "{path}");
    }
}

#[test]
fn too_many_volumes_for_a_plan_refuse_the_start() {
    let mut spec = workload_spec();
    let volumes = (0..1100)
        .map(|n| json!({ "destination": format!("/v/{n}"), "type": "bind", "source": "/srv", "options": ["rw"] }));
    spec["mounts"].as_array_mut().expect("an array").extend(volumes);
    assert!(try_init(&spec, &[], &host()).is_ok());
    let refused =
        try_init(&spec, &[("zerocap.io/filesystem", "read-only")], &host()).map_err(|e| e.code.as_str()).err();
    assert_eq!(refused, Some("ZC0602"));
}

#[test]
fn the_report_comes_back_from_json() {
    let report = init(&workload_spec(), &[("zerocap.io/listen", "80")], &host()).report;
    let json = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<zerocap_annotations::Report>(&json).ok(), Some(report));
}
