//! What a person does with a confined pod through the kubelet, and what holds for each process of it.

use std::time::Duration;

use serde_json::json;
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::process::Status;
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{TestResult, ensure, ensure_eq};

use crate::Suite;
use crate::manifest::{Namespace, annotated, container, restricted};

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

pub fn add(suite: &mut Suite) {
    suite.add("pods::confined_from_the_api_down", confined);
    suite.add("pods::by_the_class_alone", by_the_class_alone);
    suite.add("pods::plain_under_our_handler", plain);
    suite.add("pods::logs_exec_copy_and_forward", everyday);
    suite.add("pods::init_sidecar_and_ephemeral_containers", all_kinds);
    suite.add("pods::probes_of_all_kinds", probes);
    suite.add("pods::job_and_exit_code", job);
    suite.add("pods::out_of_memory", out_of_memory);
    suite.add("pods::user_namespace", user_namespace);
    suite.add("pods::refused_start_is_readable", refused_start);
    suite.add("pods::annotation_removed_stays_confined", frozen);
    suite.add_alone("pods::kubelet_and_containerd_restart", restarts);
}

fn unconfined(text: &str) -> Vec<String> {
    let status = Status::parse(text);
    let mut missing = status.unconfined();
    let filters: u32 = status.get("Seccomp_filters").parse().unwrap_or(0);
    if filters < 2 {
        missing.push(format!("{filters} filters"));
    }
    missing
}

fn confined(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let missing = unconfined(&space.kubectl(&[&["exec", "pod", "--"], &STATUS[..]].concat())?);
    ensure!(missing.is_empty(), "exec is not confined: {missing:?}");
    let missing = unconfined(&space.kubectl(&["exec", "pod", "--", "cat", "/proc/1/status"])?);
    ensure!(missing.is_empty(), "init is not confined: {missing:?}");
    let reached = space.kubectl(&["exec", "pod", "--", "sh", "-c", "echo | nc -w 3 10.90.0.1 443"]);
    ensure!(reached.is_err_and(|e| e.to_string().contains("ermission denied")), "the API server can be reached");
    Ok(())
}

/// The class with the floor needs no annotation.
fn by_the_class_alone(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = annotated(restricted("pod"), &[]);
    pod["spec"]["runtimeClassName"] = json!("zerocap-platform");
    space.run(&pod)?;
    let missing = unconfined(&space.kubectl(&[&["exec", "pod", "--"], &STATUS[..]].concat())?);
    ensure!(missing.is_empty(), "not confined: {missing:?}");
    Ok(())
}

/// Without an annotation the pod is as under runc: the control of all the others.
fn plain(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.run(&annotated(restricted("pod"), &[]))?;
    let status = Status::parse(&space.kubectl(&[&["exec", "pod", "--"], &STATUS[..]].concat())?);
    ensure_eq!(status.get("Seccomp_filters"), "1", "filters");
    let reached = space.kubectl(&["exec", "pod", "--", "sh", "-c", "echo | nc -w 3 10.90.0.1 443"]);
    ensure!(reached.is_ok(), "an unconfined pod cannot reach the API server: {reached:?}");
    Ok(())
}

fn everyday(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["containers"] = json!([container("main", &["sh", "-c", "echo first; exec sleep 100000"])]);
    space.run(&pod)?;
    space.until(Duration::from_secs(10), "the log", || Ok(space.kubectl(&["logs", "pod"])?.contains("first")))?;
    let failed = cluster.exec(&["kubectl", "-n", &space.name, "exec", "pod", "--", "sh", "-c", "exit 42"], "")?;
    ensure_eq!(failed.status.code(), Some(42), "the exit code of an exec");
    let echoed = cluster.exec(&["kubectl", "-n", &space.name, "exec", "-i", "pod", "--", "cat"], "through\n")?;
    ensure_eq!(String::from_utf8_lossy(&echoed.stdout).as_ref(), "through\n", "standard input of an exec");
    // kubectl cp is tar inside the container.
    let file = format!("{}/keys/ca.crt", cluster.dir().display());
    space.kubectl(&["exec", "pod", "--", "mkdir", "-p", "/tmp/in"])?;
    space.kubectl(&["cp", &file, "pod:/tmp/in/ca.crt"])?;
    let copied = space.kubectl(&["exec", "pod", "--", "cat", "/tmp/in/ca.crt"])?;
    ensure!(copied.contains("BEGIN CERTIFICATE"), "kubectl cp: {copied:?}");
    Ok(())
}

fn all_kinds(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    let mut sidecar = container("side", &["sleep", "100000"]);
    sidecar["restartPolicy"] = json!("Always");
    pod["spec"]["initContainers"] = json!([container("setup", &STATUS), sidecar]);
    space.run(&pod)?;
    let missing = unconfined(&space.kubectl(&["logs", "pod", "-c", "setup"])?);
    ensure!(missing.is_empty(), "the init container is not confined: {missing:?}");
    let missing = unconfined(&space.kubectl(&[&["exec", "pod", "-c", "side", "--"], &STATUS[..]].concat())?);
    ensure!(missing.is_empty(), "the sidecar is not confined: {missing:?}");
    let image = zerocap_e2e::node::image("busybox");
    space.kubectl(&[
        "debug",
        "pod",
        "--image",
        &image,
        "--image-pull-policy=Never",
        "--profile=restricted",
        "--container=look",
        "--target=main",
        "--",
        "sh",
        "-c",
        "cat /proc/self/status; sleep 100000",
    ])?;
    space.until(Duration::from_secs(30), "the ephemeral container's status", || {
        Ok(space.kubectl(&["logs", "pod", "-c", "look"]).unwrap_or_default().contains("Seccomp_filters"))
    })?;
    let missing = unconfined(&space.kubectl(&["logs", "pod", "-c", "look"])?);
    ensure!(missing.is_empty(), "the ephemeral container is not confined: {missing:?}");
    Ok(())
}

fn probes(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = annotated(restricted("web"), &[("network-enforcement", "platform"), ("zerocap.io/listen", "8080")]);
    let server = "mkdir -p /tmp/www; echo page > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    let mut main = container("main", &["sh", "-c", server]);
    main["ports"] = json!([{ "containerPort": 8080 }]);
    main["startupProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1, "failureThreshold": 30 });
    main["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1, "failureThreshold": 10 });
    main["livenessProbe"] =
        json!({ "exec": { "command": ["sh", "-c", "test -e /tmp/www/index.html"] }, "periodSeconds": 1 });
    pod["spec"]["containers"] = json!([main]);
    space.run(&pod)?;
    // A liveness probe that fails restarts the container, confined again.
    space.kubectl(&["exec", "web", "--", "rm", "/tmp/www/index.html"])?;
    let restarts = "-ojsonpath={.status.containerStatuses[0].restartCount}";
    space.until(Duration::from_secs(40), "a restart by the liveness probe", || {
        Ok(space.kubectl(&["get", "pod", "web", restarts])? != "0")
    })?;
    space.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "pod/web"])?;
    let missing = unconfined(&space.kubectl(&["exec", "web", "--", "cat", "/proc/1/status"])?);
    ensure!(missing.is_empty(), "after the restart: {missing:?}");
    Ok(())
}

fn job(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let template = |command: &[&str]| {
        let mut pod = restricted("unused");
        pod["spec"]["restartPolicy"] = json!("Never");
        pod["spec"]["containers"] = json!([container("main", command)]);
        json!({ "metadata": pod["metadata"]["annotations"].is_object().then(|| json!({ "annotations": pod["metadata"]["annotations"] })),
                "spec": pod["spec"] })
    };
    let job = |name: &str, command: &[&str]| {
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
                "spec": { "backoffLimit": 0, "template": template(command) } })
    };
    space.create(&job("good", &["true"]))?;
    space.create(&job("bad", &["sh", "-c", "echo the reason > /dev/termination-log; exit 7"]))?;
    space.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job/good"])?;
    space.kubectl(&["wait", "--for=condition=Failed", "--timeout=60s", "job/bad"])?;
    let end = space.kubectl(&[
        "get", "pods", "-l", "job-name=bad",
        "-ojsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode} {.items[0].status.containerStatuses[0].state.terminated.message}",
    ])?;
    ensure_eq!(end.trim(), "7 the reason", "exit code and termination message");
    Ok(())
}

fn out_of_memory(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("hungry");
    pod["spec"]["restartPolicy"] = json!("Never");
    let mut main = container("main", &["sh", "-c", "x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done"]);
    main["resources"] = json!({ "limits": { "memory": "24Mi" } });
    pod["spec"]["containers"] = json!([main]);
    space.create(&pod)?;
    let reason = "-ojsonpath={.status.containerStatuses[0].state.terminated.reason}";
    space.until(Duration::from_secs(60), "OOMKilled", || {
        Ok(space.kubectl(&["get", "pod", "hungry", reason])? == "OOMKilled")
    })?;
    Ok(())
}

fn user_namespace(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["hostUsers"] = json!(false);
    space.run(&pod)?;
    let map = space.kubectl(&["exec", "pod", "--", "cat", "/proc/self/uid_map"])?;
    ensure!(map.split_whitespace().nth(1) != Some("0"), "no user namespace: {map:?}");
    let missing = unconfined(&space.kubectl(&[&["exec", "pod", "--"], &STATUS[..]].concat())?);
    ensure!(missing.is_empty(), "not confined: {missing:?}");
    Ok(())
}

/// What the API server let through and the shim refuses is one sentence in `kubectl describe`.
fn refused_start(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let annotations = [("network-enforcement", "platform"), ("zerocap.io/policy", "nobody-defined-this")];
    space.create(&annotated(restricted("pod"), &annotations))?;
    let wanted = "ZC0209";
    space.until(Duration::from_secs(30), "the refusal in kubectl describe", || {
        Ok(space.story("pod").contains(wanted))
    })?;
    Ok(())
}

/// Annotations can be taken off a running pod. The policy was fixed when its sandbox was made.
fn frozen(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["containers"] = json!([container("main", &["sh", "-c", "trap 'exit 1' TERM; sleep 100000 & wait"])]);
    space.run(&pod)?;
    space.kubectl(&["annotate", "pod", "pod", "network-enforcement-"])?;
    let count = "-ojsonpath={.status.containerStatuses[0].restartCount}";
    let restarted = || Ok(space.kubectl(&["get", "pod", "pod", count])? != "0");
    let mut tries = 3;
    loop {
        // The end of init may take this exec with it; and a shell that has not come to its trap yet ignores the signal.
        let said = space.kubectl(&["exec", "pod", "--", "kill", "-TERM", "1"]);
        tries -= 1;
        match space.until(Duration::from_secs(30), "a restart", restarted) {
            Ok(()) => break,
            Err(error) if tries == 0 => return fail(format!("{error}; kill: {said:?}\n{}", space.story("pod"))),
            Err(_) => {}
        }
    }
    // The count may be told before the container runs again.
    let mut status = Err(std::io::Error::other("not tried"));
    space
        .until(Duration::from_secs(60), "an exec after the restart", || {
            status = space.kubectl(&["exec", "pod", "--", "cat", "/proc/1/status"]);
            Ok(status.is_ok())
        })
        .map_err(|error| std::io::Error::other(format!("{error}: {status:?}\n{}", space.story("pod"))))?;
    let missing = unconfined(&status?);
    ensure!(missing.is_empty(), "after the restart without the annotation: {missing:?}");
    Ok(())
}

fn restarts(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let id = "-ojsonpath={.status.containerStatuses[0].containerID}";
    let before = space.kubectl(&["get", "pod", "pod", id])?;
    for component in ["kubelet", "containerd"] {
        cluster.restart(component)?;
        space.until(Duration::from_secs(40), "exec after a restart", || {
            Ok(space.kubectl(&["exec", "pod", "--", "true"]).is_ok())
        })?;
        let missing = unconfined(&space.kubectl(&[&["exec", "pod", "--"], &STATUS[..]].concat())?);
        ensure!(missing.is_empty(), "after the restart of {component}: {missing:?}");
    }
    ensure_eq!(space.kubectl(&["get", "pod", "pod", id])?, before, "the container lives on");
    Ok(())
}
