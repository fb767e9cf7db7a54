//! What the node daemon tells, through the real API server, and what its account may not do.
//!
//! The daemon runs beside the kubelet with the chart's account, rights and policy, and with a token that the API server bound to this
//! node, as the kubelet gets it for a pod.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::manifest::{Namespace, annotated, container, restricted};
use crate::{Suite, chart, scrape};

pub const NODE: &str = "zerocap-node";
pub const ACCOUNT: &str = "zerocap-node-daemon";
pub const SERVER: &str = "https://10.89.0.1:6443";
const CONDITION: &str = "zerocap.io/Enforced";

pub fn add(suite: &mut Suite) {
    suite.add("daemon::confined_pod_is_enforced", enforced);
    suite.add("daemon::sidecar_with_an_exception", exception);
    suite.add("daemon::gate_keeps_unconfined_pods_from_ready", gate);
    suite.add("daemon::refused_start_is_told_once", refused);
    suite.add("daemon::blocked_destination_is_told_with_what_permits_it", blocked);
    suite.add("daemon::node_labels_by_behaviour", node_labels);
    suite.add("daemon::numbers_and_reports", numbers);
    suite.add("daemon::plugin_of_kubectl", plugin);
    suite.add("daemon::token_of_another_node_may_nothing", other_node);
    suite.add("daemon::own_token_may_its_own_only", own_token);
    suite.add("daemon::policy_knows_every_field", every_field);
    suite.add("daemon::small_and_idle", small);
}

/// Applies the account, its rights and its policy, as the chart makes them.
fn rights(cluster: &Cluster) -> io::Result<()> {
    let parts = ["rbac", "policy", "metrics"].map(|part| format!("--show-only=templates/node-daemon/{part}.yaml"));
    let folder = chart::folder();
    let image = "image.repository=unused";
    let mut arguments = vec!["template", "zerocap", &folder, "-n", "zerocap", "--kube-version", "1.36.0"];
    let listen = format!("daemon.metrics.listen={}", scrape::ADDRESS);
    arguments.extend(["--set", "daemon.enabled=true", "--set", image, "--set", &listen]);
    arguments.extend(parts.iter().map(String::as_str));
    let objects = cluster.helm(&arguments)?;
    cluster.apply(&objects)?;
    // kubectl reads before it patches, which the daemon does not. For that alone the tests give the account more.
    let reader = ["create", "clusterrole", "test-reader", "--verb=get", "--resource=pods/status,nodes"];
    cluster.kubectl(&reader, "")?;
    let account = format!("--serviceaccount=zerocap:{ACCOUNT}");
    cluster
        .kubectl(&["create", "clusterrolebinding", "test-reader", "--clusterrole=test-reader", &account], "")
        .map(drop)
}

/// A token of the daemon's account, bound to a node if one is named.
fn token(cluster: &Cluster, of: Option<&str>) -> io::Result<String> {
    token_of(cluster, ACCOUNT, of)
}

/// A token of an account of the chart, bound to a node if one is named.
pub fn token_of(cluster: &Cluster, account: &str, of: Option<&str>) -> io::Result<String> {
    let mut arguments = vec!["-n", "zerocap", "create", "token", account];
    if let Some(node) = of {
        arguments.extend(["--bound-object-kind", "Node", "--bound-object-name", node]);
    }
    cluster.kubectl(&arguments, "").map(|token| token.trim().to_owned())
}

/// A daemon beside the kubelet. It ends with the cluster, whose processes end together.
pub struct Daemon {
    log: PathBuf,
}

impl Daemon {
    /// `name` tells its files from those of the others.
    pub fn start(cluster: &Cluster, node: &str, name: &str, more: &[&str]) -> io::Result<(Self, Child)> {
        let dir = cluster.dir();
        let (token_file, log) = (dir.join(format!("daemon-{name}.token")), dir.join(format!("daemon-{name}.log")));
        fs::write(&token_file, token(cluster, Some(node))?)?;
        let child = Command::new(node::repository().join("hack/cluster"))
            .args(["exec", "--dir"])
            .arg(dir)
            .arg(node::release_folder().join("zerocap"))
            .args(["node", "watch", "--node", node, "--server", SERVER, "--certificate-authority"])
            .arg(dir.join("keys/ca.crt"))
            .arg("--token-file")
            .arg(token_file)
            .args(more)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(dir.join(format!("daemon-{name}.err")))?)
            .spawn()?;
        Ok((Self { log }, child))
    }

    /// The daemon that the tests share.
    pub fn shared(cluster: &Cluster) -> io::Result<&'static Self> {
        static SHARED: OnceLock<Result<Daemon, String>> = OnceLock::new();
        let start = || {
            rights(cluster)?;
            // A policy takes a moment to bite.
            std::thread::sleep(Duration::from_secs(2));
            let more = ["--listen", "127.0.0.1:9464", "--metrics-listen", scrape::ADDRESS];
            Self::start(cluster, NODE, "shared", &more).map(|(daemon, _)| daemon)
        };
        SHARED
            .get_or_init(|| start().map_err(|error: io::Error| error.to_string()))
            .as_ref()
            .map_err(|error| io::Error::other(error.clone()))
    }

    /// Its lines, as JSON each.
    fn lines(&self) -> io::Result<Vec<Value>> {
        fs::read_to_string(&self.log)?
            .lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::other))
            .collect()
    }
}

/// The condition of a pod, as (status, reason, message).
pub fn condition(space: &Namespace<'_>, pod: &str) -> io::Result<(String, String, String)> {
    let pod: Value = serde_json::from_str(&space.kubectl(&["get", "pod", pod, "-ojson"])?)?;
    let told = pod["status"]["conditions"].as_array().into_iter().flatten().find(|told| told["type"] == CONDITION);
    let text = |key: &str| told.and_then(|told| told[key].as_str()).unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

/// Waits until the condition says that, and gives its message.
pub fn wait_for(space: &Namespace<'_>, pod: &str, status: &str, reason: &str) -> io::Result<String> {
    let mut last = (String::new(), String::new(), String::new());
    let waited = space.until(Duration::from_secs(90), "the condition", || {
        last = condition(space, pod)?;
        Ok((last.0.as_str(), last.1.as_str()) == (status, reason))
    });
    waited.map_err(|error| io::Error::other(format!("{error}; wanted {status} {reason}, it says {last:?}")))?;
    Ok(last.2)
}

fn is_ready(space: &Namespace<'_>, pod: &str, kind: &str) -> io::Result<bool> {
    let path = format!("-ojsonpath={{.status.conditions[?(@.type==\"{kind}\")].status}}");
    Ok(space.kubectl(&["get", "pod", pod, &path])? == "True")
}

pub fn with_gate(mut pod: Value) -> Value {
    pod["spec"]["readinessGates"] = json!([{ "conditionType": CONDITION }]);
    pod
}

fn enforced(cluster: &Cluster) -> TestResult {
    let daemon = Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    space.kubectl(&["wait", "--for=condition=zerocap.io/Enforced", "--timeout=60s", "pod/pod"])?;
    let message = wait_for(&space, "pod", "True", "Confined")?;
    ensure!(message.starts_with("main: platform mode, ") && message.contains(" kept"), "the message: {message}");
    // Nothing else was touched: the kubelet's conditions are all there.
    for kind in ["Ready", "ContainersReady", "Initialized", "PodScheduled"] {
        ensure!(is_ready(&space, "pod", kind)?, "{kind} is not True any more");
    }
    let uid = space.kubectl(&["get", "pod", "pod", "-ojsonpath={.metadata.uid}"])?;
    ensure!(
        daemon.lines()?.iter().any(|line| line["pod-uid"] == uid && line["enforced"] == true),
        "no line in the log"
    );
    Ok(())
}

/// A container that an exception leaves alone does not make the others less confined, and is said to be left alone.
fn exception(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let annotations = [("network-enforcement", "platform"), ("network-enforcement.zerocap.io/proxy", "cluster")];
    let mut pod = annotated(restricted("pod"), &annotations);
    pod["spec"]["containers"] =
        json!([container("main", &["sleep", "100000"]), container("proxy", &["sleep", "100000"])]);
    space.run(&pod)?;
    let message = wait_for(&space, "pod", "True", "Confined")?;
    ensure!(message.contains("proxy: left alone by an exception"), "the message: {message}");
    Ok(())
}

fn gate(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    // The control: a confined pod passes the gate.
    space.run(&with_gate(restricted("confined")))?;
    // Under our class without any annotation nothing is enforced.
    space.create(&with_gate(annotated(restricted("nothing"), &[])))?;
    wait_for(&space, "nothing", "False", "NothingAsked")?;
    // No policy looks at kube-system: an annotated pod without our class runs there, unconfined.
    let exempt = Namespace::of(cluster, "kube-system");
    let mut pod = with_gate(restricted("unconfined"));
    pod["spec"]["runtimeClassName"] = Value::Null;
    exempt.create(&pod)?;
    let judged = wait_for(&exempt, "unconfined", "False", "NoReport");
    let states = (is_ready(&exempt, "unconfined", "ContainersReady")?, is_ready(&exempt, "unconfined", "Ready")?);
    exempt.kubectl(&["delete", "pod", "unconfined", "--wait=false"])?;
    ensure!(judged?.contains("UNCONFINED"), "the message does not say it");
    let column = |pod: &str| -> io::Result<(String, String)> {
        let wide = space.kubectl(&["get", "pod", pod, "-o", "wide"])?;
        let ends: Vec<&str> = wide.lines().filter_map(|line| line.trim_end().rsplit("  ").next()).collect();
        Ok((ends.first().unwrap_or(&"").trim().to_owned(), ends.get(1).unwrap_or(&"").trim().to_owned()))
    };
    let said = |gates: &str| ("READINESS GATES".to_owned(), gates.to_owned());
    ensure_eq!((column("confined")?, column("nothing")?), (said("1/1"), said("0/1")), "gates in -o wide");
    ensure_eq!(states, (true, false), "containers ready, pod ready");
    ensure!(
        is_ready(&space, "nothing", "ContainersReady")? && !is_ready(&space, "nothing", "Ready")?,
        "it passed the gate"
    );
    Ok(())
}

/// The Events that the daemon wrote about a pod.
fn events(space: &Namespace<'_>, pod: &str) -> io::Result<Vec<Value>> {
    let selector = format!("--field-selector=involvedObject.name={pod}");
    let all: Value = serde_json::from_str(&space.kubectl(&["get", "events", &selector, "-ojson"])?)?;
    let ours = |event: &&Value| event["reportingComponent"] == "zerocap.io/node";
    Ok(all["items"].as_array().into_iter().flatten().filter(ours).cloned().collect())
}

fn refused(cluster: &Cluster) -> TestResult {
    let daemon = Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    let platform = ("network-enforcement", "platform");
    // The sandbox is refused, or the container: its path is a link in the image.
    for (name, annotation, code) in [
        ("sandbox", ("zerocap.io/policy", "nobody-defined-this"), "ZC0209"),
        ("container", ("zerocap.io/fs-execute", "/bin/sh"), "ZC06"),
    ] {
        space.create(&annotated(restricted(name), &[platform, annotation]))?;
        let message = wait_for(&space, name, "False", "Refused")?;
        ensure!(message.contains(code), "{name}: {message}");
        space.until(Duration::from_secs(30), "the Event", || Ok(!events(&space, name)?.is_empty()))?;
    }
    // The kubelet tries again and again; the daemon has told it, and does not tell it twice.
    std::thread::sleep(Duration::from_secs(20));
    for name in ["sandbox", "container"] {
        let told = events(&space, name)?;
        ensure_eq!(told.len(), 1, "Events of the {}", name);
        ensure!(told[0]["message"].as_str().is_some_and(|text| text.contains("zerocap explain ZC")), "{:?}", told[0]);
        ensure!(space.story(name).contains("ZerocapRefused"), "kubectl describe does not show it");
        let uid = space.kubectl(&["get", "pod", name, "-ojsonpath={.metadata.uid}"])?;
        let lines = daemon.lines()?;
        let mine: Vec<_> = lines.iter().filter(|line| line["msg"] == "refused" && line["pod-uid"] == uid).collect();
        ensure_eq!(mine.len(), 1, "lines in the log");
        ensure!(mine[0]["rule"].as_str().is_some_and(|rule| rule.starts_with("ZC0")), "no rule: {}", mine[0]);
    }
    Ok(())
}

/// The proxy's port on another host: Landlock, which knows ports only, lets it pass, and the packet fence refuses it.
fn blocked(cluster: &Cluster) -> TestResult {
    let daemon = Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    for port in ["3128", "3128"] {
        let said = space.kubectl(&["exec", "pod", "--", "nc", "-w", "1", "10.90.0.1", port]);
        ensure!(said.is_err(), "it was not refused");
    }
    space.until(Duration::from_secs(60), "the Event", || Ok(!events(&space, "pod")?.is_empty()))?;
    let told = events(&space, "pod")?;
    ensure_eq!(told.len(), 1, "Events");
    let message = told[0]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("tcp://10.90.0.1:3128 was refused"), "{message}");
    ensure!(message.ends_with("add 10.90.0.1:3128 to zerocap.io/egress"), "{message}");
    ensure!(space.story("pod").contains("ZerocapBlocked"), "kubectl describe does not show it");
    let uid = space.kubectl(&["get", "pod", "pod", "-ojsonpath={.metadata.uid}"])?;
    let lines = daemon.lines()?;
    let mine: Vec<_> = lines.iter().filter(|line| line["msg"] == "refused" && line["pod-uid"] == uid).collect();
    ensure_eq!(mine.len(), 1, "lines in the log");
    ensure_eq!(mine[0]["permit"]["entry"], "10.90.0.1:3128", "what would permit it");
    Ok(())
}

/// The labels zerocap.io/… of a node.
fn labels(cluster: &Cluster, name: &str) -> io::Result<Value> {
    let node: Value = serde_json::from_str(&cluster.kubectl(&["get", "node", name, "-ojson"], "")?)?;
    let ours =
        node["metadata"]["labels"].as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("zerocap.io/"));
    Ok(ours.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into())
}

/// A Node that nothing stands behind.
pub fn other(cluster: &Cluster, name: &str) -> io::Result<()> {
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
    cluster.apply(&node.to_string())
}

fn node_labels(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let zerocap = node::release_folder().join("zerocap").display().to_string();
    let found = cluster.exec(&[&zerocap, "check", "--output", "json"], "")?;
    let found: Value = serde_json::from_slice::<Value>(&found.stdout)?["abilities"].clone();
    let fence = found["packet_fence"]["works"].to_string();
    space.until(Duration::from_secs(90), "the labels", || {
        Ok(labels(cluster, NODE)?["zerocap.io/packet-fence"] == fence)
    })?;
    let labelled = labels(cluster, NODE)?;
    ensure_eq!(labelled["zerocap.io/landlock-abi"], json!(found["landlock"]["abi"].to_string()), "the ABI");
    ensure_eq!(labelled["zerocap.io/seccomp"], json!(found["seccomp"]["filter"].to_string()), "filters");

    // A node whose kernel was found to have neither says so. Its daemon reads that from its state directory.
    let state = cluster.dir().join("poor");
    fs::create_dir_all(&state)?;
    let mut poor = found;
    poor["packet_fence"] = json!({ "works": false, "missing": "cgroup v2" });
    poor["landlock"] = json!({ "abi": 0, "fs": 0, "net": 0, "scoped": 0, "broken": [], "untried": [] });
    fs::write(state.join("host.json"), poor.to_string())?;
    other(cluster, "poor")?;
    let (_, mut child) = Daemon::start(cluster, "poor", "poor", &["--state", &state.display().to_string()])?;
    let said = space.until(Duration::from_secs(60), "the labels of the poor node", || {
        let labels = labels(cluster, "poor")?;
        Ok(["packet-fence", "landlock-files", "landlock-tcp"]
            .iter()
            .all(|key| labels[format!("zerocap.io/{key}")] == "false"))
    });
    child.kill()?;
    child.wait()?;
    cluster.kubectl(&["delete", "node", "poor"], "")?;
    said?;
    Ok(())
}

/// What the daemon answers on its loopback.
pub fn page(cluster: &Cluster, path: &str) -> io::Result<String> {
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let said = String::from_utf8_lossy(&cluster.exec(&["bash", "-c", &script], "")?.stdout).into_owned();
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other(format!("{path}: {said}")))
    }
}

fn numbers(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    wait_for(&space, "pod", "True", "Confined")?;
    let row = |text: &str, name: &str| -> f64 {
        text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).sum()
    };
    space.until(Duration::from_secs(20), "the numbers", || {
        let text = page(cluster, "/metrics")?;
        let confined = row(&text, "zerocap_containers{mode=\"platform\",verdict=\"confined\"}");
        let starts = row(&text, "zerocap_start_seconds_count");
        let fences = row(&text, "zerocap_container_fences{fence=\"packet-fence\"}");
        Ok(confined >= 1.0 && starts >= 1.0 && fences >= 1.0 && row(&text, "zerocap_pods{enforced=\"true\"}") >= 1.0)
    })?;
    let mut known = Value::Null;
    space.until(Duration::from_secs(20), "the pod's report", || {
        known = page(cluster, &format!("/pods/{}/pod", space.name))
            .map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?;
        Ok(known["reports"]["main"].is_object())
    })?;
    ensure_eq!(known["reports"]["main"]["active"], json!(true), "the report");
    ensure!(
        known["reports"]["main"]["verified"].as_array().is_some_and(|steps| steps.len() > 5),
        "nothing verified: {known}"
    );
    // The port is the pod's loopback's only: the node's address does not answer.
    let outside = cluster.exec(&["bash", "-c", "exec 3<>/dev/tcp/10.89.0.1/9464"], "")?;
    ensure!(!outside.status.success(), "the network reaches the daemon's port");
    Ok(())
}

/// Makes kubectl find its plugin.
pub fn plugin_folder(cluster: &Cluster) -> io::Result<()> {
    static LINKED: OnceLock<Result<(), String>> = OnceLock::new();
    let link = cluster.dir().join("bin/kubectl-zerocap");
    let make = || symlink(node::release_folder().join("zerocap"), &link).map_err(|error| error.to_string());
    LINKED.get_or_init(make).clone().map_err(io::Error::other)
}

fn plugin(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    plugin_folder(cluster)?;
    let space = Namespace::new(cluster)?;
    let annotations =
        [("network-enforcement", "platform"), ("zerocap.io/listen", "8080"), ("zerocap.io/egress", "192.0.2.1:443")];
    space.run(&annotated(restricted("pod"), &annotations))?;
    wait_for(&space, "pod", "True", "Confined")?;
    let ask =
        |arguments: &[&str]| cluster.exec(&[&["kubectl", "zerocap"], arguments, &["-n", &space.name]].concat(), "");
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let list = ask(&["status"])?;
    ensure!(text(&list).contains("Confined"), "status: {list:?}");
    let one = ask(&["status", "pod"])?;
    ensure!(one.status.success() && text(&one).contains("enforced    True"), "status pod: {one:?}");
    let list: Value = serde_json::from_str(&text(&ask(&["status", "--output", "json"])?))?;
    ensure_eq!(list["pods"][0]["enforced"], json!("True"), "as JSON");
    let explained = text(&ask(&["explain", "pod"])?);
    ensure!(explained.contains("annotation zerocap.io/listen"), "explain: {explained}");
    let egress: Value = serde_json::from_str(&text(&ask(&["egress", "pod", "--output", "json"])?))?;
    ensure_eq!(egress["containers"][0]["proxy-port"], json!(3128), "the proxy's port");
    ensure!(egress["containers"][0]["egress"].as_str().is_some_and(|egress| egress.contains("192.0.2.1")), "{egress}");
    // With kubectl's own rights: a person who may see no pods sees none here.
    let refused = cluster.exec(&["kubectl", "zerocap", "status", "missing", "-n", &space.name], "")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(2) && said.contains("ZC1404") && said.contains("not found"), "{refused:?}");
    Ok(())
}

/// kubectl with a token and nothing else.
pub fn with_token(cluster: &Cluster, token: &str, arguments: &[&str]) -> io::Result<String> {
    let authority = cluster.dir().join("keys/ca.crt").display().to_string();
    let whom =
        ["--kubeconfig", "/dev/null", "--server", SERVER, "--certificate-authority", &authority, "--token", token];
    cluster.kubectl(&[&whom[..], arguments].concat(), "")
}

/// A patch of a pod's status, as kubectl sends it.
fn patch_status(cluster: &Cluster, token: &str, space: &Namespace<'_>, patch: &Value) -> io::Result<String> {
    let patch = patch.to_string();
    with_token(
        cluster,
        token,
        &["-n", &space.name, "patch", "pod", "pod", "--subresource=status", "--type=strategic", "-p", &patch],
    )
}

fn our_condition() -> Value {
    json!({ "status": { "conditions": [{ "type": CONDITION, "status": "True", "reason": "Forged" }] } })
}

/// The action is refused, with these words.
pub fn denied(what: &str, said: io::Result<String>, words: &str) -> TestResult {
    match said {
        Ok(_) => ensure!(false, "{what}: admitted"),
        Err(error) => ensure!(error.to_string().contains(words), "{what}: {error}"),
    }
    Ok(())
}

fn other_node(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    other(cluster, "elsewhere")?;
    let theirs = token(cluster, Some("elsewhere"))?;
    let nobodys = token(cluster, None)?;
    let words = "of another node, or of none";
    for (whose, token) in [("another node's", &theirs), ("no node's", &nobodys)] {
        denied(whose, patch_status(cluster, token, &space, &our_condition()), words)?;
        let label = r#"{"metadata":{"labels":{"zerocap.io/ready":"true"}}}"#;
        denied(whose, with_token(cluster, token, &["patch", "node", NODE, "--type=merge", "-p", label]), words)?;
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "forged" }, "eventTime": "2026-01-01T00:00:00.000000Z",
            "type": "Warning", "reason": "X", "action": "X", "note": "x", "reportingController": "zerocap.io/node",
            "reportingInstance": NODE, "regarding": { "kind": "Pod", "name": "pod", "namespace": space.name },
        });
        let file = cluster.dir().join("forged.json");
        fs::write(&file, event.to_string())?;
        let file = file.display().to_string();
        denied(
            whose,
            with_token(cluster, token, &["-n", &space.name, "create", "--validate=false", "-f", &file]),
            words,
        )?;
    }
    // The control: of its own node it may.
    let label = r#"{"metadata":{"labels":{"zerocap.io/ready":"false"}}}"#;
    with_token(cluster, &theirs, &["patch", "node", "elsewhere", "--type=merge", "-p", label])?;
    cluster.kubectl(&["delete", "node", "elsewhere"], "")?;
    Ok(())
}

fn own_token(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let space = Namespace::new(cluster)?;
    space.run(&restricted("pod"))?;
    let own = token(cluster, Some(NODE))?;
    // The control: its own conditions it may set.
    patch_status(cluster, &own, &space, &our_condition())?;
    let blocked =
        json!({ "status": { "conditions": [{ "type": "zerocap.io/Blocked", "status": "True", "reason": "X" }] } });
    patch_status(cluster, &own, &space, &blocked)?;
    let status = |patch: Value| patch_status(cluster, &own, &space, &json!({ "status": patch }));
    denied("another condition", status(json!({ "conditions": [{ "type": "Ready", "status": "False" }] })), "no other")?;
    denied("the phase", status(json!({ "phase": "Failed" })), "nothing of a pod's status")?;
    denied("the message", status(json!({ "message": "forged" })), "nothing of a pod's status")?;
    // A Service would take a pod with its labels for one of its own.
    denied(
        "labels",
        patch_status(cluster, &own, &space, &json!({ "metadata": { "labels": { "app": "x" } } })),
        "labels",
    )?;
    denied(
        "annotations",
        patch_status(cluster, &own, &space, &json!({ "metadata": { "annotations": { "a": "x" } } })),
        "annotations",
    )?;
    let node = |patch: &str| with_token(cluster, &own, &["patch", "node", NODE, "--type=merge", "-p", patch]);
    denied("a foreign label", node(r#"{"metadata":{"labels":{"example.com/x":"y"}}}"#), "no others")?;
    denied("a label taken away", node(r#"{"metadata":{"labels":{"kubernetes.io/os":null}}}"#), "no others")?;
    denied("cordoned", node(r#"{"spec":{"unschedulable":true}}"#), "spec")?;
    for arguments in [
        &["get", "secrets", "-A"][..],
        &["get", "nodes"],
        &["delete", "pod", "pod", "-n", &space.name],
        &["-n", &space.name, "exec", "pod", "--", "true"],
        &["-n", &space.name, "annotate", "pod", "pod", "a=b"],
        &["-n", "zerocap", "create", "token", ACCOUNT],
    ] {
        denied(&arguments.join(" "), with_token(cluster, &own, arguments), "orbidden")?;
    }
    Ok(())
}

/// The policy compares field by field, since CEL cannot say "all but". A field that Kubernetes adds has to be added there.
fn every_field(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let schema: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", "/openapi/v3/api/v1"], "")?)?;
    let fields = schema["components"]["schemas"]["io.k8s.api.core.v1.PodStatus"]["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    ensure!(fields.len() > 10, "no schema of PodStatus");
    let policy =
        cluster.kubectl(&["get", "validatingadmissionpolicy", "zerocap-node-daemon-pods.zerocap.io", "-ojson"], "")?;
    for field in fields.keys() {
        ensure!(policy.contains(&format!("oldObject.status.?{field}")), "the policy does not compare {field}");
    }
    let warnings = "-ojsonpath={.items[*].status.typeChecking.expressionWarnings}";
    let said = cluster.kubectl(&["get", "validatingadmissionpolicies", warnings], "")?;
    ensure!(said.trim().is_empty(), "type checking: {said}");
    Ok(())
}

/// The shared daemon's memory in KiB: all of it, and what is its own.
pub fn memory(cluster: &Cluster) -> io::Result<(u64, u64)> {
    let script = "for p in /proc/[0-9]*; do if tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/[^ ]*zerocap node watch --node zerocap-node .*:9464'; then \
        awk '/^Pss:|^Pss_Anon:/{print $2}' $p/smaps_rollup; fi; done";
    let said = cluster.exec(&["bash", "-c", script], "")?;
    let text = String::from_utf8_lossy(&said.stdout);
    match text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>()[..] {
        [all, own] => Ok((all, own)),
        _ => Err(io::Error::other(format!("the daemon's process is not found: {said:?}"))),
    }
}

/// Memory in the worst of moments, after the other tests. A debug build is five times as large as what is installed.
fn small(cluster: &Cluster) -> TestResult {
    Daemon::shared(cluster)?;
    let (all, own) = memory(cluster)?;
    ensure!(own <= 8 * 1024, "{own} KiB of memory of its own");
    ensure!(all <= 15 * 1024 || node::release_folder().ends_with("debug"), "{all} KiB of memory");
    Ok(())
}
