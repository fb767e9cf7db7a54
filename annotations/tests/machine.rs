//! A program on this machine: what only a container gives is said to be missing, and refuses where it is required.

mod common;

use common::{host, map};
use serde_json::{Value, json};
use zerocap_annotations::report::{Fence, State, TargetKind};
use zerocap_annotations::{Confinement, Floor, PodPolicy, Promise, Target, ZcError, confine};

fn spec(uid: u32) -> Value {
    json!({ "process": { "args": ["true"], "user": { "uid": uid } }, "linux": {} })
}

fn run(uid: u32, privileged: bool, annotations: &[(&str, &str)]) -> Result<Confinement, ZcError> {
    let annotations = map(annotations);
    let policy = PodPolicy::new(&annotations, &Floor::none())?.container("", &annotations)?;
    confine(&spec(uid), Target::Machine { privileged }, &policy, &host())
}

fn state(confinement: &Confinement, promise: Promise) -> State {
    confinement.report.promises.iter().find(|row| row.promise == promise).map_or(State::NotAsked, |row| row.state)
}

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

#[test]
fn platform_mode_needs_no_container() {
    let confinement = run(1000, false, &[PLATFORM]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(confinement.spec, spec(1000), "there is no engine that would read it");
    assert_eq!(confinement.report.target, TargetKind::Machine);
    assert!(confinement.report.changes.is_empty());
    let plan = confinement.plan.as_ref().expect("a launcher");
    assert!(plan.landlock.is_some() && plan.filters.len() == 1 && plan.native_abi_only);
    let expect = &confinement.expect;
    assert!(expect.caps_zero && expect.no_new_privs && expect.launcher && expect.min_filters == 1);
    assert!(expect.any_bounding && !expect.own_pid_ns && !expect.own_ipc_ns);
    assert_eq!(expect.uid, Some(1000));
    assert_eq!(state(&confinement, Promise::Privileges), State::Kept);
    assert_eq!(state(&confinement, Promise::Protocols), State::Kept);
    assert_eq!(state(&confinement, Promise::Neighbours), State::Partly);
}

#[test]
fn who_may_empty_the_bounding_set_must() {
    let confinement = run(1000, true, &[PLATFORM]).unwrap_or_else(|error| panic!("{error}"));
    assert!(confinement.expect.caps_zero && !confinement.expect.any_bounding);
}

#[test]
fn what_takes_a_container_refuses_where_it_is_required() {
    for (annotations, uid) in [
        (vec![PLATFORM, ("zerocap.io/require", "neighbours")], 1000),
        (vec![PLATFORM, ("zerocap.io/require", "egress")], 1000),
        // Root without capabilities still owns the files.
        (vec![PLATFORM, ("zerocap.io/require", "privileges")], 0),
        (vec![PLATFORM, ("zerocap.io/filesystem", "read-only"), ("zerocap.io/require", "files")], 1000),
    ] {
        let error = run(uid, true, &annotations).map(|_| ()).expect_err("a refusal");
        assert_eq!(error.code.as_str(), "ZC0502", "{error}");
    }
    assert!(run(1000, true, &[PLATFORM, ("zerocap.io/require", "privileges,protocols,descriptors")]).is_ok());
}

#[test]
fn no_fence_of_a_container_is_claimed() {
    let annotations = [PLATFORM, ("zerocap.io/filesystem", "read-only")];
    let confinement = run(0, true, &annotations).unwrap_or_else(|error| panic!("{error}"));
    let containers = [Fence::PrivateIpc, Fence::PrivatePid, Fence::ReadOnlyMounts, Fence::PacketFence];
    let fences = confinement.report.promises.iter().flat_map(|row| &row.fences);
    let claimed: Vec<_> = fences.filter(|fence| fence.applied && containers.contains(&fence.fence)).collect();
    assert!(claimed.is_empty(), "{claimed:?}");
}

/// Path lists alone: the terminal and services of the machine are told of.
#[test]
fn other_ways_to_files_are_told_of() {
    let reason = |annotations: &[(&str, &str)], promise| {
        let confinement = run(1000, false, annotations).unwrap_or_else(|error| panic!("{error}"));
        let row = confinement.report.promises.into_iter().find(|row| row.promise == promise);
        row.map(|row| row.reason).unwrap_or_default()
    };
    let list = ("zerocap.io/fs-read", "/usr");
    assert!(reason(&[list], Promise::Files).contains("TIOCSTI"));
    assert!(!reason(&[PLATFORM, list], Promise::Files).contains("TIOCSTI"));
    assert!(reason(&[PLATFORM], Promise::Neighbours).contains("D-Bus"));
    assert!(!reason(&[PLATFORM, ("zerocap.io/unix", "none")], Promise::Neighbours).contains("D-Bus"));
}
