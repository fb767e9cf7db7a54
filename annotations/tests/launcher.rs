//! What the launcher still has to do passes the layers that `confine` stacks: loading each filter under those before it,
//! and the last calls, which carry the cookie, under all of them.

mod common;

use common::meaning::{Answer, Filters, cookie};
use common::{exec_process, host, map, pod_with, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::{Target, confine};
use zerocap_seccomp::{Arch, SeccompData};

const READ: u32 = 0;
const WRITE: u32 = 1;
const EXECVE: u32 = 59;
const EXIT_GROUP: u32 = 231;
const SECCOMP: u32 = 317;
const SET_MODE_FILTER: u64 = 1;
const SPEC_ALLOW: u64 = 4;

fn call(nr: u32, args: [u64; 6]) -> SeccompData {
    SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args }
}

fn profiles() -> Vec<Value> {
    let allow = |names: &[&str]| json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }] });
    vec![
        workload_spec()["linux"]["seccomp"].clone(),
        Value::Null,
        allow(&["mmap", "exit_group"]),
        allow(&["futex"]),
        json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [] }),
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["seccomp", "execve", "write"], "action": "SCMP_ACT_KILL_PROCESS" }] }),
    ]
}

const PODS: [&[(&str, &str)]; 14] = [
    &[("network-enforcement", "platform")],
    &[("network-enforcement", "platform"), ("zerocap.io/listen", "*"), ("zerocap.io/unix", "any")],
    &[("network-enforcement", "platform"), ("zerocap.io/unix", "none")],
    &[("zerocap.io/seccomp", "general")],
    &[("zerocap.io/seccomp", "general"), ("zerocap.io/unix", "none")],
    &[("zerocap.io/filesystem", "read-only")],
    &[("network-enforcement", "platform"), ("zerocap.io/seccomp", "strict")],
    &[("network-enforcement", "platform"), ("zerocap.io/seccomp", "minimal")],
    &[("network-enforcement", "platform"), ("zerocap.io/seccomp", "model-backend"), ("zerocap.io/unix", "none")],
    &[("network-enforcement", "platform"), ("zerocap.io/seccomp", "general, model-backend")],
    &[("zerocap.io/seccomp", "minimal, model-backend, strict")],
    &[("zerocap.io/seccomp", "model-backend")],
    &[("zerocap.io/seccomp", "strict, model-backend"), ("zerocap.io/fs-execute", "/bin")],
    &[("zerocap.io/seccomp", "sandbox-blocklist")],
];

#[test]
fn the_last_calls_and_every_load_pass() {
    let [c0, c1, c2] = cookie();
    let mut stacked = 0;
    for profile in profiles() {
        for annotations in PODS {
            for seccomp_on_exec in [true, false] {
                let mut spec = workload_spec();
                spec["linux"]["seccomp"] = profile.clone();
                let mut host = host();
                host.engine.seccomp_on_exec = seccomp_on_exec;
                let policy = pod_with(annotations).container("c1", &map(annotations)).expect("a policy");
                let init = confine(&spec, Target::Init, &policy, &host).expect("a confinement");
                let process = exec_process(&spec, &["true"]);
                let exec = confine(&spec, Target::Exec { process: &process }, &policy, &host).expect("a confinement");
                let engine = if seccomp_on_exec { Filters::oci(&init.spec) } else { Filters::default() };
                let stacks = [
                    (Filters::oci(&init.spec).and_plan(init.plan.as_ref()), &init),
                    (engine.and_plan(exec.plan.as_ref()), &exec),
                ];
                for (filters, confined) in stacks {
                    let what = format!("{:?} {annotations:?} {profile}", confined.report.target);
                    for (nr, arg) in [(WRITE, 4), (READ, 5), (EXECVE, 0x1000), (EXIT_GROUP, 125)] {
                        let last = call(nr, [arg, 0x2000, 0x3000, c0, c1, c2]);
                        assert_eq!(filters.answer(&last), Answer::Allow, "call {nr}: {what}");
                    }
                    let ours = confined.plan.as_ref().map_or(0, |plan| plan.filters.len());
                    for few in 1..=ours {
                        for flags in [0, SPEC_ALLOW] {
                            let load = call(SECCOMP, [SET_MODE_FILTER, flags, 0x7fff_0000, c0, c1, c2]);
                            assert_eq!(
                                filters.answer_without_last(few, &load),
                                Answer::Allow,
                                "load with {few} to go: {what}"
                            );
                            stacked += usize::from(few > 1);
                        }
                    }
                }
            }
        }
    }
    assert!(stacked > 10, "the pod's own profile is never loaded by the launcher");
}

#[test]
fn without_the_cookie_the_pods_own_profile_holds() {
    let mut spec = workload_spec();
    spec["linux"]["seccomp"] = profiles()[3].clone();
    let policy = pod_with(PODS[0]).container("c1", &map(PODS[0])).expect("a policy");
    let init = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    let filters = Filters::oci(&init.spec).and_plan(init.plan.as_ref());
    for nr in [READ, WRITE, EXECVE, EXIT_GROUP] {
        for args in [[0; 6], [1, 2, 3, cookie()[0], cookie()[1], cookie()[2] ^ 1 << 63]] {
            assert_eq!(filters.answer(&call(nr, args)), Answer::Errno, "call {nr} with {args:?}");
        }
    }
}
