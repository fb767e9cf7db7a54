//! What people and Kubernetes do with pods every day, with a pod in platform mode: each of it works as with any other.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::process::Status;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::Suite;
use crate::manifest::{Namespace, annotated, container, restricted};

pub fn add(suite: &mut Suite) {
    suite.add("works::terminal_of_an_exec", terminal);
    suite.add("works::logs_that_follow", logs);
    suite.add("works::files_copied_both_ways", copied);
    suite.add("works::attach", attach);
    suite.add("works::port_forward", port_forward);
    suite.add("works::kubelet_stats_summary", stats);
    suite.add("works::volumes_of_all_kinds", volumes);
    suite.add("works::pre_stop_and_resource_limits", pre_stop);
    suite.add("works::processes_shared_in_a_pod", shared_processes);
    suite.add("works::termination_message_from_its_own_path", termination_message);
    suite.add("works::rollout_restart", rollout);
    suite.add("works::static_pod", static_pod);
}

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");
const LIMIT: Duration = Duration::from_secs(60);

/// Two filters and no capability: what every process of these pods has.
fn confined(status: &str) -> bool {
    let status = Status::parse(status);
    status.unconfined().is_empty() && status.get("Seccomp_filters").parse().unwrap_or(0) >= 2
}

/// kubectl that stays, with pipes.
fn start(space: &Namespace<'_>, arguments: &[&str]) -> io::Result<Child> {
    Command::new(node::repository().join("hack/cluster"))
        .args(["exec", "--dir"])
        .arg(space.cluster.dir())
        .args(["kubectl", "-n", &space.name])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Reads until the text has come.
fn read_until(child: &mut Child, wanted: &str) -> io::Result<String> {
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let (to, from) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // To its end, also when nobody listens any more: a program whose output is closed dies with its next word.
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let _ = to.send(buffer[..length].to_vec());
        }
    });
    let deadline = Instant::now() + LIMIT;
    let mut text = String::new();
    while !text.contains(wanted) {
        match from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Err(_) => return Err(io::Error::other(format!("{wanted:?} did not come: {text:?}"))),
        }
    }
    Ok(text)
}

/// Ends a command of [`start`], and the kubectl that its shells have started.
fn stop(mut child: Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no pid"))?;
    kill_process_group(group, Signal::KILL)?;
    child.wait().map(drop)
}

/// `exec -it` through a pty of kubectl's own, as a person's terminal is one.
fn terminal(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let line = format!("kubectl -n {} exec -it pod -- sh", space.name);
    let typed = "stty size; tty; grep -c ^CapBnd:.*0000000000000000 /proc/self/status; exit 7\n";
    let output = cluster.exec(&["script", "-qec", &line, "/dev/null"], typed)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains("/dev/pts/0"), "no terminal: {said:?}");
    ensure_eq!(output.status.code(), Some(7), "the exit code");
    Ok(())
}

fn logs(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    let line = "until [ -e /tmp/go ]; do sleep 0.1; done; echo said later; sleep 100000";
    pod["spec"]["containers"] = json!([container("main", &["sh", "-c", line])]);
    space.run(&pod)?;
    let mut follower = start(&space, &["logs", "-f", "pod"])?;
    space.kubectl(&["exec", "pod", "--", "touch", "/tmp/go"])?;
    read_until(&mut follower, "said later")?;
    Ok(stop(follower)?)
}

fn copied(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let (from, to) = (cluster.dir().join("keys/ca.crt"), cluster.dir().join(format!("{}.crt", space.name)));
    let (source, target) = (from.display().to_string(), to.display().to_string());
    space.kubectl(&["cp", &source, "pod:/tmp/in.crt"])?;
    space.kubectl(&["cp", "pod:/tmp/in.crt", &target])?;
    ensure!(fs::read(&from)? == fs::read(&to)?, "there and back it is another file");
    Ok(())
}

fn attach(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    let mut main = container("main", &["sh", "-c", "while read line; do echo \"heard $line\"; done"]);
    main["stdin"] = json!(true);
    pod["spec"]["containers"] = json!([main]);
    space.run(&pod)?;
    let mut attached = start(&space, &["attach", "-i", "pod"])?;
    let mut typing = attached.stdin.take().ok_or("no pipe")?;
    // What is typed before it is attached is lost.
    let typist = thread::spawn(move || {
        while typing.write_all(b"hello\n").is_ok() {
            thread::sleep(Duration::from_millis(300));
        }
    });
    let heard = read_until(&mut attached, "heard hello");
    stop(attached)?;
    drop(typist.join());
    heard?;
    Ok(())
}

/// The kubelet's side of it connects on the pod's loopback: the port has to be in `listen`.
fn port_forward(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = annotated(restricted("pod"), &[PLATFORM, ("zerocap.io/listen", "8080")]);
    let serve = "echo through the tunnel >/tmp/index.html; exec httpd -f -p 8080 -h /tmp";
    let refused = "while true; do echo unlisted | nc -l -p 8081; sleep 1; done";
    pod["spec"]["containers"] = json!([container("main", &["sh", "-c", &format!("({refused}) & {serve}")])]);
    space.run(&pod)?;
    // A listener in /proc/net/tcp: state 0A. kubectl ends when the first connection is refused.
    space.until(LIMIT, "the server", || {
        Ok(space
            .kubectl(&["exec", "pod", "--", "grep", "-E", ":1F90 [0-9A-F]+:0000 0A", "/proc/net/tcp6", "/proc/net/tcp"])
            .is_ok())
    })?;
    let mut forward = start(&space, &["port-forward", "pod/pod", "18080:8080", "18081:8081"])?;
    let ask = |port: u16| -> io::Result<String> {
        let script =
            format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 60 cat <&3");
        Ok(String::from_utf8_lossy(&cluster.exec(&["bash", "-c", &script], "")?.stdout).into_owned())
    };
    let ready = read_until(&mut forward, "Forwarding from 127.0.0.1:18081");
    let answers = ready.and_then(|_| Ok((ask(18080)?, ask(18081)?)));
    stop(forward)?;
    let (listed, unlisted) = answers?;
    ensure!(listed.contains("through the tunnel"), "the listed port: {listed:?}");
    ensure!(!unlisted.contains("unlisted"), "a port that is not listed answers: {unlisted:?}");
    Ok(())
}

/// What the kubelet measures of a pod under runc it measures of this one too. Which figures those are depends on the node.
fn stats(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut control = annotated(restricted("control"), &[]);
    control["spec"]["runtimeClassName"] = Value::Null;
    space.run(&control)?;
    space.run(&restricted("pod"))?;
    let figures = [
        "/containers/0/cpu/usageCoreNanoSeconds",
        "/containers/0/memory/workingSetBytes",
        "/containers/0/memory/rssBytes",
        "/containers/0/rootfs/inodesUsed",
        "/containers/0/logs/inodesUsed",
        "/cpu/usageCoreNanoSeconds",
        "/memory/workingSetBytes",
        "/network/txBytes",
        "/ephemeral-storage/inodesUsed",
        "/process_stats/process_count",
    ];
    let mut seen = (Vec::new(), Vec::new());
    let waited = space.until(LIMIT, "both pods in the kubelet's summary", || {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", crate::daemon::NODE);
        let summary: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path], "")?)?;
        let of = |name: &str| -> Vec<&str> {
            let pods = summary["pods"].as_array().into_iter().flatten();
            let ours =
                |pod: &&Value| pod["podRef"]["namespace"] == space.name.as_str() && pod["podRef"]["name"] == name;
            let measured = |pod: &Value, figure: &str| pod.pointer(figure).and_then(Value::as_u64) > Some(0);
            pods.filter(ours).flat_map(|pod| figures.into_iter().filter(|figure| measured(pod, figure))).collect()
        };
        seen = (
            of("control").iter().map(|f| (*f).to_owned()).collect(),
            of("pod").iter().map(|f| (*f).to_owned()).collect(),
        );
        Ok(seen.0.len() >= 4 && seen.0.iter().all(|figure: &String| seen.1.contains(figure)))
    });
    waited.map_err(|error| io::Error::other(format!("{error}: under runc {:?}, here {:?}", seen.0, seen.1)))?;
    ensure!(seen.1.iter().any(|figure| figure.starts_with("/containers/0/memory")), "no memory: {:?}", seen.1);
    Ok(())
}

fn volumes(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    space.create(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "map" }, "data": { "key": "of the map" } }))?;
    space.create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "secret" }, "stringData": { "key": "of the secret" } }))?;
    let mut pod = annotated(
        restricted("pod"),
        &[PLATFORM, ("zerocap.io/filesystem", "read-only"), ("example.com/says", "of the pod")],
    );
    pod["spec"]["securityContext"]["fsGroup"] = json!(4711);
    pod["spec"]["volumes"] = json!([
        { "name": "empty", "emptyDir": {} },
        { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
        { "name": "map", "configMap": { "name": "map" } },
        { "name": "secret", "secret": { "secretName": "secret" } },
        { "name": "downward", "downwardAPI": { "items": [{ "path": "says", "fieldRef": { "fieldPath": "metadata.annotations['example.com/says']" } }] } },
        { "name": "all", "projected": { "sources": [
            { "configMap": { "name": "map", "items": [{ "key": "key", "path": "from-map" }] } },
            { "secret": { "name": "secret", "items": [{ "key": "key", "path": "from-secret" }] } },
            { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
        ] } },
    ]);
    let mut main = container("main", &["sleep", "100000"]);
    main["volumeMounts"] = json!([
        { "name": "empty", "mountPath": "/empty" },
        { "name": "empty", "mountPath": "/part", "subPath": "deep/er" },
        { "name": "memory", "mountPath": "/memory" },
        { "name": "map", "mountPath": "/map" },
        { "name": "map", "mountPath": "/one/file", "subPath": "key" },
        { "name": "secret", "mountPath": "/secret" },
        { "name": "downward", "mountPath": "/downward" },
        { "name": "all", "mountPath": "/all", "readOnly": true },
    ]);
    pod["spec"]["containers"] = json!([main]);
    space.run(&pod)?;
    let sh = |line: &str| space.kubectl(&["exec", "pod", "--", "sh", "-c", line]);
    for (file, text) in [
        ("/map/key", "of the map"),
        ("/one/file", "of the map"),
        ("/secret/key", "of the secret"),
        ("/downward/says", "of the pod"),
        ("/all/from-map", "of the map"),
        ("/all/from-secret", "of the secret"),
    ] {
        ensure_eq!(sh(&format!("cat {file}"))?, text, "a volume");
    }
    ensure!(sh("cat /all/token")?.split('.').count() == 3, "the projected token is none");
    // Written through the one mount, read through the other; with the group that the pod asked for.
    sh("echo written > /part/file && echo too > /memory/file")?;
    ensure_eq!(sh("cat /empty/deep/er/file /memory/file")?, "written\ntoo\n", "what was written");
    ensure_eq!(sh("stat -c %g /empty /memory /part/file | sort -u")?.trim(), "4711", "the group of the volumes");
    ensure!(sh("id -G")?.contains("4711"), "the process is not in the group: {}", sh("id -G")?);
    // The control: everything else is read-only.
    ensure!(sh("echo x > /tmp/x").is_err() && sh("echo x > /map/key").is_err(), "more than the volumes can be written");
    // The kubelet changes a map by exchanging a link.
    let changed = r#"{"data":{"key":"another"}}"#;
    space.kubectl(&["patch", "configmap", "map", "-p", changed])?;
    // It looks once a minute; an annotation of the pod makes it look now.
    space.kubectl(&["annotate", "pod", "pod", "example.com/look=now"])?;
    Ok(space.until(Duration::from_secs(120), "the changed map", || Ok(sh("cat /map/key")? == "another"))?)
}

/// The hook runs confined, before the container gets its signal.
fn pre_stop(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["terminationGracePeriodSeconds"] = json!(20);
    let line = "touch /tmp/told; tail -f /tmp/told & trap 'sleep 1; exit 0' TERM; while true; do sleep 0.1; done";
    let mut main = container("main", &["sh", "-c", line]);
    main["lifecycle"] =
        json!({ "preStop": { "exec": { "command": ["sh", "-c", "cat /proc/self/status >> /tmp/told"] } } });
    main["resources"] =
        json!({ "limits": { "memory": "32Mi", "cpu": "100m" }, "requests": { "memory": "16Mi", "cpu": "10m" } });
    pod["spec"]["containers"] = json!([main]);
    space.run(&pod)?;
    let uid = space.kubectl(&["get", "pod", "pod", "-ojsonpath={.metadata.uid}"])?;
    // The limits are those of the container's own group, whatever else was put on it.
    let line = format!(
        "find /sys/fs/cgroup -path '*pod{uid}/*' \\( -name memory.limit_in_bytes -o -name memory.max \\) -exec cat {{}} + | sort -u; \
         find /sys/fs/cgroup -path '*pod{uid}/*' \\( -name cpu.cfs_quota_us -o -name cpu.max \\) -exec cat {{}} +"
    );
    let limits = String::from_utf8_lossy(&cluster.exec(&["sh", "-c", &line], "")?.stdout).into_owned();
    ensure!(limits.lines().any(|line| line == "33554432"), "the memory limit: {limits}");
    ensure!(limits.lines().any(|line| line.starts_with("10000")), "the limit of processor time: {limits}");
    let mut follower = start(&space, &["logs", "-f", "pod"])?;
    space.kubectl(&["delete", "pod", "pod", "--wait=false"])?;
    let told = read_until(&mut follower, "Seccomp_filters");
    stop(follower)?;
    ensure!(confined(&told?), "the hook is not confined");
    Ok(())
}

fn shared_processes(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("pod");
    pod["spec"]["shareProcessNamespace"] = json!(true);
    pod["spec"]["containers"] =
        json!([container("main", &["sleep", "100000"]), container("side", &["sleep", "222222"])]);
    space.create(&pod)?;
    // Signals and memory of a neighbour are out of reach only as far as the kernel has scopes: the report says so, and what is not kept
    // fully and was not asked for by name does not stop the pod.
    space.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "pod/pod"])?;
    let seen = space.kubectl(&["exec", "pod", "-c", "main", "--", "ps", "-o", "args"])?;
    ensure!(seen.contains("sleep 222222") && seen.contains("/pause"), "the other container's processes: {seen}");
    let line = "kill -TERM $(ps -o pid,args | awk '/[s]leep 222222/{print $1}')";
    let killed = space.kubectl(&["exec", "pod", "-c", "main", "--", "sh", "-c", line]);
    let restarts = || {
        space.kubectl(&[
            "get",
            "pod",
            "pod",
            "-ojsonpath={.status.containerStatuses[?(@.name==\"side\")].restartCount}",
        ])
    };
    ensure!(killed.is_err() && restarts()? == "0", "a neighbour could be killed: {killed:?}");
    let status = space.kubectl(&["exec", "pod", "-c", "main", "--", "cat", "/proc/self/status"])?;
    ensure!(confined(&status), "not confined: {status}");
    Ok(())
}

fn termination_message(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    // Read-only but for volumes: the file that the kubelet puts there can be written all the same.
    let mut pod = annotated(restricted("pod"), &[PLATFORM, ("zerocap.io/filesystem", "read-only")]);
    pod["spec"]["restartPolicy"] = json!("Never");
    let mut main = container("main", &["sh", "-c", "echo last words > /mine/log; exit 3"]);
    main["terminationMessagePath"] = json!("/mine/log");
    let mut logged = container("logged", &["sh", "-c", "echo from the log; exit 4"]);
    logged["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    pod["spec"]["containers"] = json!([main, logged]);
    space.create(&pod)?;
    let mut ends = Value::Null;
    space.until(LIMIT, "the end of both", || {
        let pod: Value = serde_json::from_str(&space.kubectl(&["get", "pod", "pod", "-ojson"])?)?;
        ends = pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| {
                (container["name"].as_str().unwrap_or_default().to_owned(), container["state"]["terminated"].clone())
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        Ok(ends["main"].is_object() && ends["logged"].is_object())
    })?;
    ensure_eq!(ends["main"]["message"], "last words\n", "the message");
    ensure_eq!(ends["main"]["exitCode"], 3, "the exit code");
    ensure_eq!(ends["logged"]["message"], "from the log\n", "the message from the log");
    Ok(())
}

fn rollout(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let pod = restricted("unused");
    let template = json!({ "metadata": { "labels": { "app": "a" }, "annotations": pod["metadata"]["annotations"] }, "spec": pod["spec"] });
    space.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "a" } }, "template": template },
    }))?;
    let status = || space.kubectl(&["rollout", "status", "deployment/a", "--timeout=120s"]);
    let names = || space.kubectl(&["get", "pods", "-l", "app=a", "--field-selector=status.phase=Running", "-oname"]);
    status()?;
    let before = names()?;
    space.kubectl(&["rollout", "restart", "deployment/a"])?;
    status()?;
    space.until(LIMIT, "the end of the old pods", || Ok(!names()?.lines().any(|name| before.contains(name))))?;
    for pod in names()?.lines() {
        ensure!(confined(&space.kubectl(&["exec", pod, "--", "cat", "/proc/1/status"])?), "{pod} is not confined");
    }
    ensure_eq!(names()?.lines().count(), 2, "pods after the restart");
    Ok(())
}

/// A file for the kubelet; no admission policy sees it before it runs, and the API server has a mirror of it only.
fn static_pod(cluster: &Cluster) -> TestResult {
    let space = Namespace::new(cluster)?;
    let mut pod = restricted("by-file");
    pod["metadata"]["namespace"] = json!(space.name);
    let path = format!("/etc/kubernetes/manifests/{}.json", space.name);
    let wrote = cluster.exec(&["sh", "-c", &format!("cat >{path}")], &pod.to_string())?;
    ensure!(wrote.status.success(), "the file: {wrote:?}");
    let name = format!("by-file-{}", crate::daemon::NODE);
    let mut status = String::new();
    let runs = space.until(LIMIT, "the static pod", || {
        status = space.kubectl(&["exec", &name, "--", "cat", "/proc/1/status"]).unwrap_or_default();
        Ok(!status.is_empty())
    });
    let removed = cluster.exec(&["rm", &path], "")?;
    runs?;
    ensure!(confined(&status), "not confined: {status}");
    ensure!(removed.status.success(), "{removed:?}");
    Ok(space.until(LIMIT, "its end", || Ok(space.kubectl(&["get", "pod", &name]).is_err()))?)
}
