//! An engine that goes on working under `linux.seccomp` finds its calls there, and the workload does not.

mod common;

use common::meaning::{Answer, Filters};
use common::{ENGINE_NUMBERS, exec_process, host, host_with_calls, map, pod_with, sandbox_spec, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::{Confinement, Host, Target, confine};
use zerocap_seccomp::{Arch, SeccompData};

const PLATFORM: &[(&str, &str)] = &[("network-enforcement", "platform")];
const ACCEPT4: u32 = ENGINE_NUMBERS[0];
const ACCEPT: u32 = ENGINE_NUMBERS[1];
/// Refused by platform mode, and needed by no engine.
const LISTEN: u32 = 50;

fn call(nr: u32) -> SeccompData {
    SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [3, 0, 0, 0, 0, 0] }
}

fn init(spec: &Value, host: &Host) -> Confinement {
    let policy = pod_with(PLATFORM).container("c1", &map(PLATFORM)).expect("a policy");
    confine(spec, Target::Init, &policy, host).expect("a confinement")
}

fn pause(spec: &Value, host: &Host) -> Value {
    let policy = pod_with(PLATFORM).sandbox().expect("a policy");
    confine(spec, Target::Sandbox, &policy, host).expect("a confinement").spec
}

fn with_profile(mut spec: Value, profile: Value) -> Value {
    spec["linux"]["seccomp"] = profile;
    spec
}

/// Allows next to nothing, and none of the engine's calls.
fn narrow() -> Value {
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["futex"], "action": "SCMP_ACT_ALLOW" }] })
}

#[test]
fn the_engine_finds_its_calls_and_the_workload_does_not() {
    let spec = workload_spec();
    let confined = init(&spec, &host_with_calls());
    let layer = Filters::oci(&confined.spec);
    for nr in ENGINE_NUMBERS {
        assert_eq!(layer.answer(&call(nr)), Answer::Allow, "call {nr}");
    }
    assert!(layer.answer(&call(LISTEN)) >= Answer::Errno);
    let all = layer.and_plan(confined.plan.as_ref());
    for nr in [ACCEPT4, ACCEPT, LISTEN] {
        assert!(all.answer(&call(nr)) >= Answer::Errno, "call {nr} reaches the workload");
    }
    let without = Filters::oci(&init(&spec, &host()).spec);
    assert!(without.answer(&call(ACCEPT4)) >= Answer::Errno, "left there for an engine that does not need it");
}

#[test]
fn calls_that_the_pods_profile_lacks_are_lent_to_the_engine_only() {
    let spec = with_profile(workload_spec(), narrow());
    let confined = init(&spec, &host_with_calls());
    let layer = Filters::oci(&confined.spec);
    for nr in ENGINE_NUMBERS {
        assert_eq!(layer.answer(&call(nr)), Answer::Allow, "call {nr}");
    }
    let all = layer.and_plan(confined.plan.as_ref());
    for nr in ENGINE_NUMBERS {
        assert_eq!(all.answer(&call(nr)), Answer::Errno, "call {nr} reaches the workload");
    }
}

#[test]
fn what_is_executed_into_the_container_gets_none_of_them() {
    let spec = workload_spec();
    let policy = pod_with(PLATFORM).container("c1", &map(PLATFORM)).expect("a policy");
    let process = exec_process(&spec, &["true"]);
    let exec = confine(&spec, Target::Exec { process: &process }, &policy, &host_with_calls()).expect("a confinement");
    let all = Filters::default().and_plan(exec.plan.as_ref());
    assert!(all.answer(&call(ACCEPT4)) >= Answer::Errno);
}

#[test]
fn the_pause_container_keeps_them_only_where_its_own_profile_has_them() {
    let layer = Filters::oci(&pause(&sandbox_spec(), &host_with_calls()));
    assert_eq!(layer.answer(&call(ACCEPT4)), Answer::Allow);
    assert!(layer.answer(&call(LISTEN)) >= Answer::Errno);
    let layer = Filters::oci(&pause(&with_profile(sandbox_spec(), narrow()), &host_with_calls()));
    assert_eq!(layer.answer(&call(ACCEPT4)), Answer::Errno, "nobody would refuse it afterwards");
}

#[test]
fn the_report_names_what_was_left() {
    let report = init(&workload_spec(), &host_with_calls()).report;
    let change = report.changes.iter().find(|change| change.path == "/linux/seccomp").expect("a change");
    assert!(
        change.what.contains("left there for the engine, which starts under this layer: accept, accept4"),
        "{}",
        change.what
    );
    assert!(!change.what.contains("recvfrom"), "the policy does not refuse it: {}", change.what);
}
