//! What is handed to the engine, to the launcher and to readers, for a few pods: snapshots, reviewed like code.

mod common;

use std::fmt::Write;

use common::{exec_process, host, map, pod, pod_with, sandbox_spec, snapshot, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::{Confinement, Target, confine};
use zerocap_plan::LaunchPlan;

/// The lines of `to` that are not in `from`, and the other way round, in order: a diff for people.
fn diff(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    // Longest common subsequence; the specs have some hundred lines once the names are folded.
    let mut length = vec![vec![0u32; to.len() + 1]; from.len() + 1];
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            length[i][j] =
                if from[i] == to[j] { length[i + 1][j + 1] + 1 } else { length[i + 1][j].max(length[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < from.len() || j < to.len() {
        if i < from.len() && j < to.len() && from[i] == to[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == to.len() || (i < from.len() && length[i + 1][j] >= length[i][j + 1]) {
            writeln!(out, "-{}", from[i]).expect("a string takes everything");
            i += 1;
        } else {
            writeln!(out, "+{}", to[j]).expect("a string takes everything");
            j += 1;
        }
    }
    out
}

/// A spec as lines, without the list of allowed calls, of which the difference is a snapshot of its own.
fn lines(spec: &Value) -> String {
    let mut spec = spec.clone();
    if let Some(seccomp) = spec.pointer_mut("/linux/seccomp") {
        *seccomp = "(below)".into();
    }
    serde_json::to_string_pretty(&spec).expect("JSON")
}

fn seccomp(spec: &Value) -> String {
    let mut text = String::new();
    let profile = spec.pointer("/linux/seccomp").unwrap_or(&Value::Null);
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        let conditions: Vec<String> =
            ["action", "errnoRet", "args"].iter().filter_map(|key| rule.get(key)).map(Value::to_string).collect();
        for name in rule["names"].as_array().into_iter().flatten() {
            writeln!(text, "{} {}", name, conditions.join(" ")).expect("a string takes everything");
        }
    }
    text
}

fn plan(plan: Option<&LaunchPlan>) -> String {
    let Some(plan) = plan else { return "no plan\n".into() };
    let mut text = format!(
        "role {:?}, forbidden connect {:?}, native ABI only {}\n",
        plan.role, plan.forbidden_connect, plan.native_abi_only
    );
    if let Some(landlock) = &plan.landlock {
        writeln!(
            text,
            "landlock fs {:#x} net {:#x} scoped {:#x}",
            landlock.handled_fs, landlock.handled_net, landlock.scoped
        )
        .expect("a string takes everything");
        for rule in &landlock.paths {
            writeln!(text, "  {} {:#x} {:?}", String::from_utf8_lossy(&rule.path), rule.access, rule.missing)
                .expect("a string takes everything");
        }
        for rule in &landlock.ports {
            writeln!(text, "  port {} {:#x}", rule.port, rule.access).expect("a string takes everything");
        }
    }
    for filter in &plan.filters {
        writeln!(text, "filter with {} words of cookie, spec_allow {}", filter.cookie.len(), filter.spec_allow)
            .expect("a string takes everything");
    }
    text
}

fn render(input: &Value, confined: &Confinement) -> String {
    format!(
        "## spec\n{}\n## linux.seccomp\n{}\n## plan\n{}\n## expect\n{}\n\n## report\n{}\n",
        diff(&lines(input), &lines(&confined.spec)),
        diff(&seccomp(input), &seccomp(&confined.spec)),
        plan(confined.plan.as_ref()),
        serde_json::to_string_pretty(&confined.expect).expect("JSON"),
        serde_json::to_string_pretty(&confined.report).expect("JSON"),
    )
}

fn volume(spec: &mut Value, destination: &str, source: &str, option: &str) {
    spec["mounts"].as_array_mut().expect("mounts").push(
        json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind", "rprivate", option] }),
    );
}

#[test]
fn platform_init() {
    let spec = workload_spec();
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    snapshot::check("platform-init.txt", &render(&spec, &confined));
}

#[test]
fn platform_exec() {
    let spec = workload_spec();
    let process = exec_process(&spec, &["/bin/sh", "-c", "id"]);
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let confined = confine(&spec, Target::Exec { process: &process }, &policy, &host()).expect("a confinement");
    snapshot::check("platform-exec.txt", &render(&process, &confined));
}

#[test]
fn platform_sandbox() {
    let spec = sandbox_spec();
    let policy = pod(&[]).sandbox().expect("a policy");
    let confined = confine(&spec, Target::Sandbox, &policy, &host()).expect("a confinement");
    snapshot::check("platform-sandbox.txt", &render(&spec, &confined));
}

#[test]
fn read_only_with_volumes_and_listen() {
    let mut spec = workload_spec();
    volume(&mut spec, "/data", "/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/data", "rw");
    volume(&mut spec, "/config", "/var/lib/kubelet/pods/u/volumes/kubernetes.io~configmap/config", "ro");
    volume(&mut spec, "/dev/termination-log", "/var/lib/kubelet/pods/u/containers/c1/0a1b2c3d", "rw");
    let annotations = [
        ("network-enforcement", "platform"),
        ("zerocap.io/filesystem", "read-only"),
        ("zerocap.io/listen", "8080, 9090"),
        ("zerocap.io/proxy-port", "3129"),
        ("zerocap.io/unix", "none"),
    ];
    let policy = pod_with(&annotations).container("c1", &map(&annotations)).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    snapshot::check("read-only-init.txt", &render(&spec, &confined));
}

#[test]
fn path_lists_where_the_cluster_has_the_network() {
    let spec = workload_spec();
    let annotations = [
        ("zerocap.io/fs-read", "/usr,/lib,/etc/ssl"),
        ("zerocap.io/fs-write", "/tmp"),
        ("zerocap.io/fs-execute", "/usr/bin"),
    ];
    let policy = pod_with(&annotations).container("c1", &map(&annotations)).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    snapshot::check("cluster-path-lists.txt", &render(&spec, &confined));
}

#[test]
fn a_profile_that_lacks_what_the_launcher_needs() {
    let mut spec = workload_spec();
    spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{ "names": ["read", "write", "execve", "exit_group", "mmap", "ptrace"], "action": "SCMP_ACT_ALLOW" }],
    });
    let policy = pod(&[]).container_of(&spec).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    assert_eq!(confined.plan.as_ref().map(|plan| plan.filters.len()), Some(2));
    assert_eq!(confined.expect.min_filters, 3);
    snapshot::check("narrow-profile-init.txt", &render(&spec, &confined));
}

#[test]
fn annotations_that_changed_are_in_the_report() {
    let spec = workload_spec();
    let frozen = pod(&[("zerocap.io/listen", "8080"), ("zerocap.io/proxy-port", "3129")]);
    let now = map(&[("network-enforcement", "cluster"), ("zerocap.io/filesystem", "read-only")]);
    let policy = frozen.container("c1", &now).expect("a policy");
    let report = confine(&spec, Target::Init, &policy, &host()).expect("a confinement").report;
    let text = serde_json::to_string_pretty(&json!({ "policy": report.policy, "differences": report.differences }))
        .expect("JSON");
    snapshot::check("differences.txt", &(text + "\n"));
}

#[test]
fn engines_can_read_what_is_written() {
    let spec = workload_spec();
    let policy = pod(&[("zerocap.io/filesystem", "read-only")]).container("c1", &map(&[])).expect("a policy");
    let confined = confine(&spec, Target::Init, &policy, &host()).expect("a confinement");
    let typed: oci_spec::runtime::Spec = serde_json::from_value(confined.spec).expect("an OCI spec");
    let process = typed.process().as_ref().expect("a process");
    assert_eq!(process.args().as_ref().and_then(|args| args.first()).map(String::as_str), Some("/.zerocap/launcher"));
    let capabilities = process.capabilities().as_ref().expect("capabilities");
    for set in [
        capabilities.bounding(),
        capabilities.effective(),
        capabilities.permitted(),
        capabilities.inheritable(),
        capabilities.ambient(),
    ] {
        assert_eq!(set.as_ref().map(std::collections::HashSet::len), Some(0));
    }
}
