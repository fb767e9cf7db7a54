//! The chart as a whole on a node whose containerd knows nothing of zerocap: installer, node daemon, labels, scheduling, the startup taint;
//! install, upgrade, rollback, uninstall, by Helm and the image that `make image` writes. A cluster of its own, since containerd is
//! changed under everybody's feet.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};
use zerocap_e2e::cluster::{Cluster, Helm};
use zerocap_e2e::layout::{Laid, Layout};
use zerocap_e2e::verdict::skip;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::Suite;
use crate::daemon::{ACCOUNT, NODE, denied, other, token_of, with_gate, with_token};
use crate::manifest::{Namespace, annotated, restricted};

pub fn add(suite: &mut Suite) {
    for (helm, layout) in [(Helm::Four, Layout::Version3), (Helm::Three, Layout::Template)] {
        let name = format!("installer::{}::there_and_back_on_{}", helm.name(), layout.name());
        suite.add_alone(&name, move |_| there_and_back(helm, layout));
    }
}

/// What nodes are registered with, where an autoscaler adds them.
const TAINT: &str = "zerocap.io/not-ready";
const PREFIX: &str = "/var/lib/zerocap-programs";
const IMAGE: &str = "zerocap.test/zerocap";
const FLOOR: &str = "version = 1\n\n[ceilings]\nunix = \"container\"\n";
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster, the release in it, and what its node was before.
pub struct Rig {
    pub cluster: Cluster,
    laid: Laid,
    helm: Helm,
}

impl Rig {
    pub fn start(helm: Helm, layout: Layout) -> io::Result<Self> {
        let cluster = Cluster::start()?;
        let laid = Laid::out(layout, cluster.dir())?;
        cluster.restart("containerd")?;
        Ok(Self { cluster, laid, helm })
    }

    /// What a person puts into a file of values. This node's programs do not lie where a machine's do.
    pub fn values(&self) -> io::Result<Value> {
        let program = |name: &str| Ok::<_, io::Error>(self.node(&format!("command -v {name}"))?.trim().to_owned());
        Ok(json!({
            "image": { "repository": IMAGE, "tag": "1", "pullPolicy": "Never" },
            "installer": {
                "enabled": true, "prefix": PREFIX, "floor": FLOOR, "startupTaint": TAINT,
                "containerd": {
                    "config": self.laid.config, "restart": self.laid.restart,
                    "program": program("containerd")?, "ctr": program("ctr")?,
                },
            },
            "daemon": { "enabled": true },
            "test": { "image": node::image("busybox"), "imagePullPolicy": "Never" },
        }))
    }

    /// `helm upgrade --install`. Whoever calls it waits for what they want.
    pub fn apply(&self, values: &Value) -> io::Result<()> {
        let chart = node::repository().join("charts/zerocap").display().to_string();
        let command = ["upgrade", "--install", "zerocap", &chart, "-n", "zerocap", "--create-namespace", "-f", "-"];
        self.cluster.helm_of(self.helm, &command, &values.to_string()).map(drop)
    }

    fn helm(&self, arguments: &[&str]) -> io::Result<String> {
        self.cluster.helm_of(self.helm, arguments, "")
    }

    pub fn kubectl(&self, arguments: &[&str]) -> io::Result<String> {
        self.cluster.kubectl(&[&["-n", "zerocap"], arguments].concat(), "")
    }

    /// Until the installer has done its work on every node.
    pub fn done(&self) -> io::Result<()> {
        let rollout = ["rollout", "status", "daemonset/zerocap-installer", "--timeout=120s"];
        self.kubectl(&rollout).map(drop).map_err(|error| io::Error::other(format!("{error}\n{}", self.said())))
    }

    /// What the installer said last, and what the kubelet says of it.
    pub fn said(&self) -> String {
        self.kubectl(&["describe", "pods", "-l", "app.kubernetes.io/component=installer"])
            .unwrap_or_else(|e| e.to_string())
    }

    /// A shell line on the node.
    pub fn node(&self, line: &str) -> io::Result<String> {
        let output = self.cluster.exec(&["sh", "-c", line], "")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Labels of zerocap, and all taints, of the node.
    fn marks(&self) -> io::Result<(Vec<String>, Value)> {
        let node: Value = serde_json::from_str(&self.kubectl(&["get", "node", NODE, "-ojson"])?)?;
        let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
        let ours =
            labels.filter(|(key, _)| key.starts_with("zerocap.io/")).map(|(key, value)| format!("{key}={value}"));
        Ok((ours.collect(), node["spec"]["taints"].clone()))
    }

    /// Whether the node has a label with this value.
    pub fn is_labelled(&self, label: &str) -> io::Result<bool> {
        Ok(!self.kubectl(&["get", "nodes", "-l", label, "-oname"])?.is_empty())
    }

    fn configuration(&self) -> io::Result<String> {
        fs::read_to_string(&self.laid.config)
    }

    /// The folders of programs that shims run from.
    fn running(&self) -> io::Result<Vec<String>> {
        let line = "readlink /proc/[0-9]*/exe | grep containerd-shim-zerocap-v2 | sort -u";
        Ok(self.node(line)?.lines().map(str::to_owned).collect())
    }

    /// The program that new pods get.
    fn shim(&self) -> io::Result<String> {
        let text = self.configuration()?;
        let table = text.lines().skip_while(|line| !line.contains(".runtimes.zerocap]"));
        let line = table.map(str::trim).find_map(|line| line.strip_prefix("runtime_path = "));
        Ok(line.unwrap_or_default().trim_matches('"').to_owned())
    }

    pub fn until(&self, what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !holds()? {
            if std::time::Instant::now() > deadline {
                return Err(io::Error::other(format!("{what}: not within {PATIENCE:?}\n{}", self.said())));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

/// Writes the image of some programs and imports it. None: they cannot be in an image.
pub fn import(cluster: &Cluster, programs: &Path, tag: &str) -> io::Result<Option<String>> {
    let out = cluster.dir().join(format!("image-{tag}"));
    let name = format!("{IMAGE}:{tag}");
    let mut script = Command::new(node::repository().join("hack/image"));
    let output = script.args(["--name", &name, "--out"]).arg(&out).arg(programs).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("is linked dynamically") {
        return Ok(None);
    }
    if !output.status.success() {
        return Err(io::Error::other(said));
    }
    let digest = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let tar = out.join("image.tar").display().to_string();
    let output = cluster.exec(&["ctr", "-n", "k8s.io", "images", "import", &tar], "")?;
    if output.status.success() {
        Ok(Some(digest))
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr)))
    }
}

/// The same programs as another version: a byte more, which nobody reads.
fn another_version(cluster: &Cluster) -> io::Result<PathBuf> {
    let (from, to) = (node::release_folder(), cluster.dir().join("second"));
    fs::create_dir_all(&to)?;
    for name in ["containerd-shim-zerocap-v2", "zerocap-engine", "zerocap", "linked"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    fs::OpenOptions::new().append(true).open(to.join("zerocap"))?.write_all(b"\n")?;
    Ok(to)
}

fn there_and_back(helm: Helm, layout: Layout) -> TestResult {
    let mut rig = Rig::start(helm, layout)?;
    let Some(digest) = import(&rig.cluster, &node::release_folder(), "1")? else {
        return skip("these programs are linked dynamically: `make build` makes static ones");
    };
    ensure_eq!(import(&rig.cluster, &node::release_folder(), "1")?, Some(digest), "the image made again");
    import(&rig.cluster, &another_version(&rig.cluster)?, "2")?;
    let before = rig.marks()?;
    through_its_life(&rig)?;
    ensure!(rig.laid.is_as_before()?, "the configuration is not what it was: {}", rig.configuration()?);
    let left = rig.node(&format!("ls -d {PREFIX} /run/zerocap /etc/zerocap/* 2>/dev/null"))?;
    ensure!(left.is_empty(), "left on the node: {left}");
    ensure_eq!(rig.marks()?, before, "labels and taints of the node");
    Ok(rig.cluster.down()?)
}

/// A node that was registered with the startup taint: nothing is scheduled there before confined containers start, and then the
/// pods that wait are.
fn install_on_a_tainted_node(rig: &Rig, values: &Value, space: &Namespace<'_>) -> TestResult {
    rig.kubectl(&["taint", "node", NODE, &format!("{TAINT}=:NoSchedule")])?;
    let mut early = annotated(restricted("early"), &[]);
    early["spec"]["runtimeClassName"] = Value::Null;
    space.create(&early)?;
    let reason = |pod: &str| -> io::Result<String> {
        space.kubectl(&["get", "pod", pod, "-ojsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"])
    };
    rig.until("the pod that waits for the taint to go", || Ok(reason("early")?.contains("untolerated taint")))?;
    rig.apply(values)?;
    space.create(&with_gate(restricted("platform")))?;
    // Read from Events, which stay: it may be scheduled at any time from now on.
    rig.until("the pod that waits for the node to be ready", || {
        let story = space.story("platform");
        Ok(story.contains("FailedScheduling")
            && (story.contains("node affinity/selector") || story.contains("untolerated taint")))
    })?;
    rig.done()?;
    rig.until("the label", || rig.is_labelled("zerocap.io/ready=true"))?;
    for pod in ["early", "platform"] {
        let ready = ["wait", "--for=condition=Ready", "--timeout=90s", &format!("pod/{pod}")];
        space.kubectl(&ready).map_err(|error| io::Error::other(format!("{error}\n{}", space.story(pod))))?;
    }
    // The gate was passed: the daemon, from the image, saw that the pod is confined.
    space.kubectl(&["wait", "--for=condition=zerocap.io/Enforced", "--timeout=5s", "pod/platform"])?;
    ensure!(rig.marks()?.1.is_null(), "taints are left: {}", rig.marks()?.1);
    ensure!(rig.is_labelled("zerocap.io/seccomp=true")?, "no labels of fences: {:?}", rig.marks()?.0);
    space.kubectl(&["delete", "pods", "--all", "--now"])?;
    taint_only(rig)
}

/// What the daemon's token may do to the spec of its node: take this taint off.
fn taint_only(rig: &Rig) -> TestResult {
    let cluster = &rig.cluster;
    // kubectl reads before it patches, which the daemon does not.
    rig.kubectl(&["create", "clusterrole", "test-reader", "--verb=get", "--resource=nodes"])?;
    let account = format!("--serviceaccount=zerocap:{ACCOUNT}");
    rig.kubectl(&["create", "clusterrolebinding", "test-reader", "--clusterrole=test-reader", &account])?;
    // A node behind which there is nothing, so that nobody else changes it in a moment but the controller that finds it dead.
    other(cluster, "elsewhere")?;
    let token = token_of(cluster, ACCOUNT, Some("elsewhere"))?;
    for taint in [&format!("{TAINT}=:NoSchedule"), "example.com/gpu=:NoSchedule"] {
        rig.kubectl(&["taint", "node", "elsewhere", taint])?;
    }
    let taints = || -> io::Result<Vec<Value>> {
        let node: Value = serde_json::from_str(&rig.kubectl(&["get", "node", "elsewhere", "-ojson"])?)?;
        Ok(node["spec"]["taints"].as_array().cloned().unwrap_or_default())
    };
    let is = |taint: &Value, key: &str| taint["key"] == key;
    let patch = |spec: Value| {
        let patch = json!({ "spec": spec }).to_string();
        with_token(cluster, &token, &["patch", "node", "elsewhere", "--type=merge", "-p", &patch])
    };
    let words = "and change no other";
    let mut kept = taints()?;
    kept.retain(|taint| !is(taint, "example.com/gpu"));
    denied("another taint taken off", patch(json!({ "taints": kept })), words)?;
    denied("all taints taken off", patch(json!({ "taints": null })), words)?;
    let mut more = taints()?;
    more.push(json!({ "key": "example.com/mine", "effect": "NoExecute" }));
    denied("a taint put on", patch(json!({ "taints": more })), words)?;
    let mut changed = taints()?;
    changed.iter_mut().filter(|taint| is(taint, TAINT)).for_each(|taint| taint["effect"] = json!("NoExecute"));
    denied("its own taint changed", patch(json!({ "taints": changed })), words)?;
    denied("cordoned", patch(json!({ "unschedulable": true })), "but for its startup taint")?;
    denied("its provider", patch(json!({ "providerID": "mine://1" })), "but for its startup taint")?;
    // The control.
    rig.until("its own taint taken off", || {
        let mut kept = taints()?;
        kept.retain(|taint| !is(taint, TAINT));
        Ok(patch(json!({ "taints": kept })).is_ok())
    })?;
    let left = taints()?;
    ensure!(left.iter().any(|taint| is(taint, "example.com/gpu")), "the other taint is gone: {left:?}");
    ensure!(!left.iter().any(|taint| is(taint, TAINT)), "the taint is there: {left:?}");
    rig.kubectl(&["delete", "node", "elsewhere"])?;
    // CEL cannot say "all but": a field that Kubernetes adds to a node's spec has to be added to the policy.
    let schema: Value = serde_json::from_str(&rig.kubectl(&["get", "--raw", "/openapi/v3/api/v1"])?)?;
    let fields = &schema["components"]["schemas"]["io.k8s.api.core.v1.NodeSpec"]["properties"];
    let policy =
        rig.kubectl(&["get", "validatingadmissionpolicy", "zerocap-node-daemon-nodes.zerocap.io", "-ojson"])?;
    let fields: Vec<&String> = fields.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    ensure!(fields.len() > 5, "no schema of NodeSpec");
    for field in fields {
        ensure!(policy.contains(&format!("oldObject.spec.?{field}")), "the policy does not compare {field}");
    }
    rig.kubectl(&["delete", "clusterrolebinding,clusterrole", "test-reader"])?;
    Ok(())
}

fn through_its_life(rig: &Rig) -> TestResult {
    // Install. The node counts only after a confined container has run there.
    let mut values = rig.values()?;
    let space = Namespace::new(&rig.cluster)?;
    install_on_a_tainted_node(rig, &values, &space)?;
    let first = rig.shim()?;
    ensure!(first.starts_with(PREFIX), "the handlers name {first:?}: {}", rig.said());
    ensure!(rig.node("cat /run/zerocap/installed.json")?.contains("passed"), "no note: {}", rig.said());
    ensure!(rig.node("cat /etc/zerocap/floor.toml")?.contains("[ceilings]"), "no floor on the node");
    rig.helm(&["test", "zerocap", "-n", "zerocap", "--timeout", "90s"])?;
    let confined = |pod: &str| -> io::Result<()> {
        space.kubectl(&["exec", pod, "--", "grep", "CapBnd:.*0000000000000000", "/proc/self/status"]).map(drop)
    };
    space.run(&with_gate(restricted("old")))?;
    confined("old")?;

    privileges_end_with_the_work(rig)?;
    removed_pod_changes_nothing(rig)?;

    // Upgrade: a running pod keeps its programs, a new one gets the new ones.
    values["image"]["tag"] = json!("2");
    rig.apply(&values)?;
    rig.until("the second version", || Ok(rig.shim()? != first))?;
    rig.done()?;
    let second = rig.shim()?;
    space.run(&restricted("new"))?;
    ensure!(rig.running()?.contains(&first) && rig.running()?.contains(&second), "they run {:?}", rig.running()?);
    let both_confined = || confined("old").and_then(|()| confined("new"));
    both_confined()?;

    // Rollback, with Helm's own.
    rig.helm(&["rollback", "zerocap", "1", "-n", "zerocap"])?;
    rig.until("the first version again", || Ok(rig.shim()? == first))?;
    rig.done()?;
    both_confined()?;

    killed_in_the_middle(rig, &mut values, &second)?;
    both_confined()?;

    // Uninstall: no pod is stranded. While one runs, everything stays but the note, and the reason can be read. A node that an autoscaler
    // still registers with the taint is not left with it.
    rig.kubectl(&["taint", "node", NODE, &format!("{TAINT}=:NoSchedule")])?;
    values["installer"]["action"] = json!("uninstall");
    rig.apply(&values)?;
    rig.until("the refusal", || Ok(rig.said().contains("ZC1110")))?;
    both_confined()?;
    rig.until("the end of labels and taints", || {
        let (labels, taints) = rig.marks()?;
        Ok(labels.is_empty() && taints.is_null())
    })?;
    space.create(&restricted("late"))?;
    rig.until("the pod that comes too late", || Ok(space.story("late").contains("FailedScheduling")))?;
    both_confined()?;
    ensure!(rig.shim()? == second, "the handlers are gone though pods run");
    ensure!(rig.node("ls /run/zerocap/installed.json")?.is_empty(), "the node still counts as installed");
    space.kubectl(&["delete", "pods", "--all", "--wait"])?;
    rig.until("the end of the programs", || Ok(rig.node(&format!("ls -d {PREFIX}"))?.is_empty()))?;
    rig.done()?;
    rig.helm(&["uninstall", "zerocap", "-n", "zerocap", "--wait"])?;
    let objects = "daemonsets,configmaps,runtimeclasses,validatingadmissionpolicies,validatingadmissionpolicybindings,leases,\
                   serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
    let left = rig.kubectl(&["get", objects, "-l", "app.kubernetes.io/instance=zerocap", "-oname"])?;
    ensure!(left.is_empty(), "left in the cluster: {left}");
    Ok(())
}

/// Killed while containerd restarts: what was begun is known to the next one, which ends it.
fn killed_in_the_middle(rig: &Rig, values: &mut Value, wanted: &str) -> TestResult {
    let pending = format!("ls {PREFIX}/pending.json");
    values["installer"]["containerd"]["restart"] = json!("sleep 600");
    rig.apply(values)?;
    rig.until("a change under way", || Ok(!rig.node(&pending)?.is_empty()))?;
    rig.kubectl(&["delete", "pods", "-l", "app.kubernetes.io/component=installer", "--force", "--grace-period=0"])?;
    values["installer"]["containerd"]["restart"] = json!(rig.laid.restart);
    rig.apply(values)?;
    rig.until("the end of the change", || Ok(rig.node(&pending)?.is_empty() && rig.shim()? == wanted))?;
    Ok(rig.done()?)
}

/// The container that is left has no privilege, and no token.
fn privileges_end_with_the_work(rig: &Rig) -> TestResult {
    let line = "for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\" = '/zerocap install stay ' ] && cat $p/status; done";
    let status = rig.node(line)?;
    ensure!(status.contains("CapBnd:\t0000000000000000") && status.contains("Uid:\t65532"), "what stays: {status:?}");
    let volumes = "-ojsonpath={.items[*].spec.volumes[*]}";
    let volumes = rig.kubectl(&["get", "pods", "-l", "app.kubernetes.io/component=installer", volumes])?;
    ensure!(volumes.contains("floor") && !volumes.contains("kube-api-access"), "the pod's volumes: {volumes}");
    let mounts = "-ojsonpath={.items[*].spec.containers[*].volumeMounts}";
    let mounts = rig.kubectl(&["get", "pods", "-l", "app.kubernetes.io/component=installer", mounts])?;
    ensure!(mounts.trim().is_empty(), "what stays has the token: {mounts}");
    ensure!(!volumes.contains("hostPath"), "the pod has a folder of the node: {volumes}");
    Ok(())
}

/// SIGTERM of its pod changes nothing, and the next one finds nothing to do.
fn removed_pod_changes_nothing(rig: &Rig) -> TestResult {
    let (before, containerd) = (rig.configuration()?, rig.node("cat /run/node/containerd.pid")?);
    rig.kubectl(&["delete", "pods", "-l", "app.kubernetes.io/component=installer", "--wait"])?;
    rig.done()?;
    ensure_eq!(rig.configuration()?, before, "the configuration after the pod was removed");
    ensure_eq!(rig.node("cat /run/node/containerd.pid")?, containerd, "containerd was restarted");
    Ok(())
}
