//! The chart's installer on a node whose containerd knows nothing of zerocap: install, upgrade, rollback, uninstall, by Helm and
//! the image that `make image` writes. A cluster of its own, since containerd is changed under everybody's feet.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::layout::{Laid, Layout, RESTART};
use zerocap_e2e::verdict::skip;
use zerocap_e2e::{TestResult, ensure, ensure_eq, node};

use crate::Suite;
use crate::manifest::{Namespace, restricted};

pub fn add(suite: &mut Suite) {
    suite.add_alone("installer::there_and_back_by_the_chart", |_| there_and_back());
}

const PREFIX: &str = "/var/lib/zerocap-programs";
const IMAGE: &str = "zerocap.test/zerocap";
const FLOOR: &str = "version = 1\n\n[ceilings]\nunix = \"container\"\n";
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster, the release in it, and what its node was before.
struct Rig {
    cluster: Cluster,
    laid: Laid,
}

impl Rig {
    fn start() -> io::Result<Self> {
        let cluster = Cluster::start()?;
        let laid = Laid::out(Layout::Version3, cluster.dir())?;
        cluster.restart("containerd")?;
        Ok(Self { cluster, laid })
    }

    /// What a person puts into a file of values. This node's programs do not lie where a machine's do.
    fn values(&self) -> io::Result<Value> {
        let program = |name: &str| Ok::<_, io::Error>(self.node(&format!("command -v {name}"))?.trim().to_owned());
        Ok(json!({
            "image": { "repository": IMAGE, "tag": "1", "pullPolicy": "Never" },
            "installer": {
                "enabled": true, "prefix": PREFIX, "floor": FLOOR,
                "containerd": {
                    "config": self.laid.config, "restart": self.laid.restart,
                    "program": program("containerd")?, "ctr": program("ctr")?,
                },
            },
            "test": { "image": node::image("busybox"), "imagePullPolicy": "Never" },
        }))
    }

    /// `helm upgrade --install`. Whoever calls it waits for what they want.
    fn apply(&self, values: &Value) -> io::Result<()> {
        let chart = node::repository().join("charts/zerocap").display().to_string();
        let command =
            ["helm", "upgrade", "--install", "zerocap", &chart, "-n", "zerocap", "--create-namespace", "-f", "-"];
        let output = self.cluster.exec(&command, &values.to_string())?;
        if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
    }

    fn kubectl(&self, arguments: &[&str]) -> io::Result<String> {
        self.cluster.kubectl(&[&["-n", "zerocap"], arguments].concat(), "")
    }

    /// Until the installer has done its work on every node.
    fn done(&self) -> io::Result<()> {
        let rollout = ["rollout", "status", "daemonset/zerocap-installer", "--timeout=120s"];
        self.kubectl(&rollout).map(drop).map_err(|error| io::Error::other(format!("{error}\n{}", self.said())))
    }

    /// What the installer said last, and what the kubelet says of it.
    fn said(&self) -> String {
        self.kubectl(&["describe", "pods", "-l", "app.kubernetes.io/component=installer"])
            .unwrap_or_else(|e| e.to_string())
    }

    /// A shell line on the node.
    fn node(&self, line: &str) -> io::Result<String> {
        let output = self.cluster.exec(&["sh", "-c", line], "")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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

    fn until(&self, what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
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
fn import(cluster: &Cluster, programs: &Path, tag: &str) -> io::Result<Option<String>> {
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

fn there_and_back() -> TestResult {
    let mut rig = Rig::start()?;
    let Some(digest) = import(&rig.cluster, &node::release_folder(), "1")? else {
        return skip("these programs are linked dynamically: `make build` makes static ones");
    };
    ensure_eq!(import(&rig.cluster, &node::release_folder(), "1")?, Some(digest), "the image made again");
    import(&rig.cluster, &another_version(&rig.cluster)?, "2")?;
    through_its_life(&rig)?;
    ensure!(rig.laid.is_as_before()?, "the configuration is not what it was: {}", rig.configuration()?);
    let left = rig.node(&format!("ls -d {PREFIX} /run/zerocap /etc/zerocap/* 2>/dev/null"))?;
    ensure!(left.is_empty(), "left on the node: {left}");
    Ok(rig.cluster.down()?)
}

fn through_its_life(rig: &Rig) -> TestResult {
    // Install. The node counts only after a confined container has run there.
    let mut values = rig.values()?;
    rig.apply(&values)?;
    rig.done()?;
    let first = rig.shim()?;
    ensure!(first.starts_with(PREFIX), "the handlers name {first:?}: {}", rig.said());
    ensure!(rig.node("cat /run/zerocap/installed.json")?.contains("passed"), "no note: {}", rig.said());
    ensure!(rig.node("cat /etc/zerocap/floor.toml")?.contains("[ceilings]"), "no floor on the node");
    rig.cluster.helm(&["test", "zerocap", "-n", "zerocap", "--timeout", "90s"])?;
    let space = Namespace::new(&rig.cluster)?;
    let confined = |pod: &str| -> io::Result<()> {
        space.kubectl(&["exec", pod, "--", "grep", "CapBnd:.*0000000000000000", "/proc/self/status"]).map(drop)
    };
    space.run(&restricted("old"))?;
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
    rig.cluster.helm(&["rollback", "zerocap", "1", "-n", "zerocap"])?;
    rig.until("the first version again", || Ok(rig.shim()? == first))?;
    rig.done()?;
    both_confined()?;

    killed_in_the_middle(rig, &mut values, &second)?;
    both_confined()?;

    // Uninstall: no pod is stranded. While one runs, everything stays but the note, and the reason can be read.
    values["installer"]["action"] = json!("uninstall");
    rig.apply(&values)?;
    rig.until("the refusal", || Ok(rig.said().contains("ZC1110")))?;
    both_confined()?;
    ensure!(rig.shim()? == second, "the handlers are gone though pods run");
    ensure!(rig.node("ls /run/zerocap/installed.json")?.is_empty(), "the node still counts as installed");
    space.kubectl(&["delete", "pods", "--all", "--wait"])?;
    rig.until("the end of the programs", || Ok(rig.node(&format!("ls -d {PREFIX}"))?.is_empty()))?;
    rig.done()?;
    rig.cluster.helm(&["uninstall", "zerocap", "-n", "zerocap", "--wait"])?;
    let objects = "daemonsets,configmaps,runtimeclasses,validatingadmissionpolicies,validatingadmissionpolicybindings";
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
    values["installer"]["containerd"]["restart"] = json!(RESTART);
    rig.apply(values)?;
    rig.until("the end of the change", || Ok(rig.node(&pending)?.is_empty() && rig.shim()? == wanted))?;
    Ok(rig.done()?)
}

/// The container that is left has no privilege, and the pod no token.
fn privileges_end_with_the_work(rig: &Rig) -> TestResult {
    let line = "for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\" = '/zerocap install stay ' ] && cat $p/status; done";
    let status = rig.node(line)?;
    ensure!(status.contains("CapBnd:\t0000000000000000") && status.contains("Uid:\t65532"), "what stays: {status:?}");
    let volumes =
        ["get", "pods", "-l", "app.kubernetes.io/component=installer", "-ojsonpath={.items[*].spec.volumes[*]}"];
    let volumes = rig.kubectl(&volumes)?;
    ensure!(volumes.contains("floor") && !volumes.contains("kube-api-access"), "the pod's volumes: {volumes}");
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
