//! Platform mode on the specs that a real containerd wrote for a restricted pod.

mod common;

use common::{exec_process, host, pod, sandbox_spec, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::report::State;
use zerocap_annotations::{Confinement, Floor, Host, LandlockAbilities, PodPolicy, Policy, Promise, Target, confine};
use zerocap_plan::Role;

const EMPTY: [&str; 5] = ["ambient", "bounding", "effective", "inheritable", "permitted"];

fn empty_sets() -> Value {
    EMPTY.iter().map(|set| ((*set).to_owned(), json!([]))).collect::<serde_json::Map<_, _>>().into()
}

/// Where root may not limit them, processes of a user namespace that the CRI has made inherit the limit from the engine.
#[test]
fn the_core_limit_is_inherited_where_the_engine_may_not_set_it() {
    let limit = json!([{ "type": "RLIMIT_CORE", "hard": 1, "soft": 1 }]);
    let none = json!([]);
    for (limits_any_user, user, inherited) in [
        (true, json!({ "type": "user", "path": "/proc/7/ns/user" }), false),
        (false, json!({ "type": "user" }), false),
        (false, json!({ "type": "user", "path": "/proc/7/ns/user" }), true),
    ] {
        let mut spec = workload_spec();
        spec["linux"]["namespaces"].as_array_mut().expect("namespaces").push(user);
        spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 1_048_576, "size": 65_536 }]);
        spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "hard": 7, "soft": 7 }]);
        let policy = pod(&[]).container_of(&spec).expect("a policy");
        let host = Host { limits_any_user, ..host() };
        for target in [Target::Init, Target::Exec { process: &spec["process"] }] {
            let confined = confine(&spec, target, &policy, &host).expect("a confinement");
            let process = if target == Target::Init { &confined.spec["process"] } else { &confined.spec };
            assert_eq!(confined.core_limit_inherited, inherited);
            assert_eq!(process["rlimits"], if inherited { none.clone() } else { limit.clone() });
            assert!(confined.expect.no_core);
        }
    }
}

#[test]
fn sysctls_of_the_pods_ipc_hold_in_the_namespace_of_its_own() {
    let spec = workload_spec();
    let mut sandbox = sandbox_spec();
    sandbox["linux"]["sysctl"] = json!({
        "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "20", "net.ipv4.ip_forward": "1", "kernel.shm_next_id": "7",
    });
    let change = |sandbox: &Value| {
        let policy =
            PodPolicy::from_sandbox(sandbox, &Floor::none()).expect("a pod").container_of(&spec).expect("a policy");
        let stored = serde_json::to_string(&policy).expect("JSON");
        assert_eq!(serde_json::from_str::<Policy>(&stored).expect("the same"), policy);
        confine(&spec, Target::Init, &policy, &host()).expect("a confinement").spec["linux"]["sysctl"].clone()
    };
    assert_eq!(change(&sandbox), json!({ "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "20" }));
    // The node's own namespace is nobody's to set.
    let namespaces = sandbox["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.retain(|namespace| namespace["type"] != "ipc");
    assert_eq!(change(&sandbox), Value::Null);
}

#[test]
fn init_gets_zero_capabilities_the_launcher_and_a_plan() {
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    let process = &confined.spec["process"];
    assert_eq!(process["capabilities"], empty_sets());
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(process["args"][0], "/.zerocap/launcher");
    assert_eq!(process["args"][1], "/bin/sh");
    assert_eq!(process["rlimits"], json!([{ "type": "RLIMIT_CORE", "hard": 1, "soft": 1 }]));
    assert_eq!(process["env"], spec["process"]["env"]);

    let mounts = confined.spec["mounts"].as_array().expect("mounts");
    let last = mounts.last().expect("the launcher's mount");
    assert_eq!(last["destination"], "/.zerocap");
    assert_eq!(last["source"], "/run/zerocap/launcher");
    let shm = mounts.iter().find(|m| m["destination"] == "/dev/shm").expect("/dev/shm");
    assert_eq!(shm["type"], "tmpfs");
    let namespaces = confined.spec["linux"]["namespaces"].as_array().expect("namespaces");
    assert!(namespaces.contains(&json!({ "type": "ipc" })));
    assert!(namespaces.contains(&json!({ "type": "network", "path": "/proc/16659/ns/net" })));

    let plan = confined.plan.expect("a plan");
    assert_eq!(plan.role, Role::Init);
    let landlock = plan.landlock.expect("Landlock");
    assert_eq!((landlock.handled_net, landlock.scoped), (3, 3));
    assert_eq!(landlock.ports.iter().map(|p| (p.port, p.access)).collect::<Vec<_>>(), [(3128, 2)]);
    assert_eq!(plan.forbidden_connect, Some(1));
    assert_eq!(plan.filters.len(), 1, "RuntimeDefault has all that the launcher needs");
    assert_eq!(confined.expect.min_filters, 2);
    assert_eq!(confined.expect.uid, Some(65532));
    assert!(confined.expect.caps_zero && confined.expect.no_new_privs && confined.expect.own_pid_ns);
}

/// Kernels that have Landlock, and neither its network rights nor its scopes.
#[test]
fn a_domain_keeps_other_processes_out_of_reach_whatever_rights_there_are() {
    const REFER: u64 = 1 << 13;
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let on = |abi, fs| {
        let host = Host { landlock: LandlockAbilities { abi, fs, net: 0, scoped: 0 }, ..host() };
        confine(&spec, Target::Init, &policy, &host).expect("a confinement")
    };
    let open = |confined: &Confinement| {
        let promises = &confined.report.promises;
        promises.iter().any(|p| p.promise == Promise::Neighbours && p.reason.contains("memory and open files"))
    };
    let second = on(2, 0x3fff);
    assert!(!open(&second));
    let domain = second.plan.expect("a plan").landlock.expect("a domain");
    assert_eq!((domain.handled_fs, domain.handled_net, domain.scoped), (REFER, 0, 0));
    // Granted everywhere, so that files can be moved.
    let paths: Vec<_> = domain.paths.iter().map(|rule| (rule.path.as_slice(), rule.access)).collect();
    assert_eq!(paths, [(&b"/"[..], REFER)]);
    let first = on(1, 0x1fff);
    assert!(open(&first));
    assert_eq!(first.plan.expect("a plan").landlock, None);
}

#[test]
fn exec_gets_the_same_but_signals_within_its_own_pid_namespace() {
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let process = exec_process(&spec, &["/bin/kill", "-TERM", "1"]);
    let confined = confine(&spec, Target::Exec { process: &process }, &policy, &host()).expect("a confinement");
    assert_eq!(confined.spec["capabilities"], empty_sets());
    assert_eq!(confined.spec["args"], json!(["/.zerocap/launcher", "/bin/kill", "-TERM", "1"]));
    let plan = confined.plan.expect("a plan");
    assert_eq!(plan.role, Role::Exec);
    assert_eq!(plan.landlock.expect("Landlock").scoped, 1);

    let mut shared = spec.clone();
    shared["linux"]["namespaces"][0]["path"] = "/proc/16659/ns/pid".into();
    let confined = confine(&shared, Target::Exec { process: &process }, &policy, &host()).expect("a confinement");
    assert_eq!(confined.plan.and_then(|p| p.landlock).map(|l| l.scoped), Some(3));
    assert!(!confined.expect.own_pid_ns);
}

#[test]
fn exec_under_an_engine_without_seccomp_loads_the_pods_own_profile() {
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let process = exec_process(&spec, &["true"]);
    let mut host = host();
    host.engine.seccomp_on_exec = false;
    let confined = confine(&spec, Target::Exec { process: &process }, &policy, &host).expect("a confinement");
    assert_eq!(confined.plan.expect("a plan").filters.len(), 2);
    assert_eq!(confined.expect.min_filters, 2);
}

#[test]
fn the_pause_container_gets_zero_capabilities_and_no_launcher() {
    let spec = sandbox_spec();
    let policy = pod(&[]).sandbox().expect("a policy");
    let confined = confine(&spec, Target::Sandbox, &policy, &host()).expect("a confinement");
    assert_eq!(confined.spec["process"]["capabilities"], empty_sets());
    assert_eq!(confined.spec["process"]["args"], json!(["/pause"]));
    assert_eq!(confined.spec["mounts"], spec["mounts"]);
    assert_ne!(confined.spec["linux"]["seccomp"], spec["linux"]["seccomp"]);
    assert_eq!(confined.plan, None);
}

#[test]
fn without_a_knob_nothing_is_touched() {
    let spec = workload_spec();
    for annotations in
        [&[][..], &[("network-enforcement", "cluster")], &[("zerocap.io/network-enforcement", "namespace")]]
    {
        let policy = common::pod_with(annotations).container("c1", &common::map(annotations)).expect("a policy");
        let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
        assert_eq!(confined.spec, spec);
        assert_eq!(confined.plan, None);
        assert!(!confined.report.active);
    }
}

#[test]
fn what_is_only_partly_kept_is_said() {
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let report = confine(&spec, Target::Init, &policy, &host()).expect("a confinement").report;
    let state = |promise| report.promises.iter().find(|p| p.promise == promise).map(|p| p.state);
    assert_eq!(state(Promise::Privileges), Some(State::Kept));
    assert_eq!(state(Promise::Egress), Some(State::Kept));
    assert_eq!(state(Promise::Inbound), Some(State::Kept));
    assert_eq!(state(Promise::Neighbours), Some(State::Partly));
    assert_eq!(state(Promise::Files), Some(State::NotAsked));
}
