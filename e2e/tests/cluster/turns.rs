//! No more nodes than the chart says restart containerd at once. Several installers, each with a configuration and a token of a node of its own,
//! compete before the real API server for the chart's Leases. What they restart is a line that notes when it begins and ends, and
//! sleeps in between: shown is who is let to it when, and not what a restart does to a node, which other tests show.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::json;
use zerocap_e2e::cluster::Cluster;
use zerocap_e2e::{Outcome, TestResult, ensure, ensure_eq, node};

use crate::daemon::{SERVER, denied, other, token_of, with_token};
use crate::{Suite, chart};

pub fn add(suite: &mut Suite) {
    suite.add_alone("turns::one_node_after_the_other", one_after_the_other);
    suite.add_alone("turns::two_at_once_where_two_may", two_at_once);
    suite.add_alone("turns::a_node_that_dies_loses_its_turn", died);
    suite.add_alone("turns::a_node_that_fails_holds_the_others_up", failed);
    suite.add_alone("turns::token_may_take_its_own_turn_only", token);
}

const ACCOUNT: &str = "zerocap-installer";
const LEASES: [&str; 2] = ["zerocap-installer-0", "zerocap-installer-1"];

/// The chart's Leases, account, rights and policy.
fn rights(cluster: &Cluster) -> io::Result<()> {
    let folder = chart::folder();
    let mut arguments = vec!["template", "zerocap", &folder, "-n", "zerocap", "--kube-version", "1.36.0"];
    for setting in ["installer.enabled=true", "image.repository=unused", "installer.maxUnavailable=2"] {
        arguments.extend(["--set", setting]);
    }
    let objects = cluster.helm(&[&arguments[..], &["--show-only", "templates/installer/turns.yaml"]].concat())?;
    // Made anew: a Lease of an earlier test may be held.
    cluster.kubectl(&["delete", "--ignore-not-found", "-f", "-"], &objects)?;
    cluster.apply(&objects)?;
    // A policy takes a moment to bite.
    thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// A node that has nothing but a configuration, and its installer.
struct Installer<'c> {
    cluster: &'c Cluster,
    node: String,
    folder: PathBuf,
}

impl<'c> Installer<'c> {
    fn new(cluster: &'c Cluster, name: &str) -> io::Result<Self> {
        let node = format!("turn-{name}");
        let folder = cluster.dir().join(&node);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.toml"), "version = 3\n")?;
        other(cluster, &node)?;
        fs::write(folder.join("token"), token_of(cluster, ACCOUNT, Some(&node))?)?;
        Ok(Self { cluster, node, folder })
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Begins to install, with this line as the restart.
    fn start(&self, restart: &str, more: &[&str]) -> io::Result<Child> {
        let restart = format!(
            "echo $PPID >{pid}; date +%s%N >{began}; {restart}; date +%s%N >{ended}",
            pid = self.file("pid"),
            began = self.file("began"),
            ended = self.file("ended")
        );
        let containerd = self.cluster.exec(&["sh", "-c", "command -v containerd"], "")?;
        Command::new(node::repository().join("hack/cluster"))
            .args(["exec", "--dir"])
            .arg(self.cluster.dir())
            .arg(node::release_folder().join("zerocap"))
            .args(["install", "node", "--from"])
            .arg(node::release_folder())
            .args(["--config", &self.file("config.toml"), "--prefix", &self.file("programs"), "--no-self-test"])
            .args(["--containerd", String::from_utf8_lossy(&containerd.stdout).trim(), "--healthy", "true"])
            .args(["--restart", &restart, "--holder", &self.node, "--server", SERVER, "--certificate-authority"])
            .arg(self.cluster.dir().join("keys/ca.crt"))
            .args(["--token-file", &self.file("token")])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// When its restart began, or ended, in nanoseconds.
    fn time(&self, what: &str) -> io::Result<u128> {
        fs::read_to_string(self.folder.join(what))?.trim().parse().map_err(io::Error::other)
    }

    fn has(&self, what: &str) -> bool {
        self.time(what).is_ok()
    }

    fn until(&self, what: &str, limit: Duration) -> TestResult {
        let begun = Instant::now();
        while !self.has(what) {
            ensure!(begun.elapsed() < limit, "{} has not {what} within {limit:?}", self.node);
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn ended(installers: &[Installer<'_>], children: Vec<Child>) -> TestResult {
    for (installer, child) in installers.iter().zip(children) {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}: {}", installer.node, said(&output));
        let text = fs::read_to_string(installer.folder.join("config.toml"))?;
        ensure!(text.contains("runtimes.zerocap]"), "{} is not installed: {text}", installer.node);
    }
    Ok(())
}

fn said(output: &Output) -> String {
    format!("{} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The largest number of restarts under way at one time.
fn most_at_once(installers: &[Installer<'_>]) -> io::Result<i32> {
    let mut steps = Vec::new();
    for installer in installers {
        steps.extend([(installer.time("began")?, 1), (installer.time("ended")?, -1)]);
    }
    steps.sort_unstable();
    let sums = steps.iter().scan(0, |sum, (_, step)| {
        *sum += step;
        Some(*sum)
    });
    Ok(sums.max().unwrap_or_default())
}

/// The arguments that name these Leases.
fn leases(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("--lease=zerocap/{name}")).collect()
}

/// Three nodes at once, with these Leases: how many restarts were under way together.
fn three(cluster: &Cluster, names: &[&str]) -> Result<i32, Outcome> {
    rights(cluster)?;
    let leases = leases(names);
    let leases: Vec<&str> = leases.iter().map(String::as_str).collect();
    let installers = ["a", "b", "c"].map(|name| Installer::new(cluster, name));
    let installers = installers.into_iter().collect::<io::Result<Vec<_>>>()?;
    let children = installers.iter().map(|installer| installer.start("sleep 4", &leases)).collect::<io::Result<_>>()?;
    ended(&installers, children)?;
    for name in names {
        let holder = ["-n", "zerocap", "get", "lease", name, "-ojsonpath={.spec.holderIdentity}"];
        ensure_eq!(cluster.kubectl(&holder, "")?, "", "who holds the Lease afterwards");
    }
    Ok(most_at_once(&installers)?)
}

fn one_after_the_other(cluster: &Cluster) -> TestResult {
    ensure_eq!(three(cluster, &LEASES[..1])?, 1, "restarts at once");
    // The control: without Leases they do it together.
    ensure!(three(cluster, &[])? > 1, "without Leases they do not meet: the test shows nothing");
    Ok(())
}

fn two_at_once(cluster: &Cluster) -> TestResult {
    ensure_eq!(three(cluster, &LEASES)?, 2, "restarts at once");
    Ok(())
}

fn died(cluster: &Cluster) -> TestResult {
    rights(cluster)?;
    let (first, second) = (Installer::new(cluster, "first")?, Installer::new(cluster, "second")?);
    let lease = leases(&LEASES[..1]);
    let mut dead = first.start("sleep 300", &[&lease[0]])?;
    first.until("began", Duration::from_secs(60))?;
    // Who waits is told for whom, and does not wait for ever.
    let impatient = second.start("true", &[&lease[0], "--lease-patience=3"])?.wait_with_output()?;
    let words = said(&impatient);
    ensure!(impatient.status.code() == Some(1) && words.contains("ZC1114"), "the impatient one: {words}");
    ensure!(words.contains("waiting until turn-first is done"), "whom it waits for: {words}");
    ensure_eq!(fs::read_to_string(second.folder.join("config.toml"))?, "version = 3\n", "its configuration");
    // It is renewed: who holds it for longer than a minute has it still.
    let waiting = second.start("true", &[&lease[0]])?;
    thread::sleep(Duration::from_secs(70));
    ensure!(!second.has("began"), "the second one began while the first one lived");
    let pid = fs::read_to_string(first.folder.join("pid"))?;
    cluster.exec(&["sh", "-c", &format!("kill -KILL {}", pid.trim())], "")?;
    let killed = Instant::now();
    second.until("began", Duration::from_secs(100))?;
    let waited = killed.elapsed().as_secs();
    ensure!((45..=75).contains(&waited), "it was free after {waited} s, not after a minute");
    dead.wait()?;
    ended(&[second], vec![waiting])
}

/// A restart that fails is undone, and the next node is let on only when the Lease has lapsed; the same node is at once.
fn failed(cluster: &Cluster) -> TestResult {
    rights(cluster)?;
    let (first, second) = (Installer::new(cluster, "first")?, Installer::new(cluster, "second")?);
    let lease = leases(&LEASES[..1]);
    let output = first.start("exit 1", &[&lease[0]])?.wait_with_output()?;
    ensure!(output.status.code() == Some(1), "it did not fail: {}", said(&output));
    ensure_eq!(fs::read_to_string(first.folder.join("config.toml"))?, "version = 3\n", "its configuration");
    let output = second.start("true", &[&lease[0], "--lease-patience=3"])?.wait_with_output()?;
    ensure!(said(&output).contains("turn-first still held it"), "the second one: {}", said(&output));
    let again = first.start("true", &[&lease[0], "--lease-patience=3"])?;
    ended(&[first], vec![again])
}

fn token(cluster: &Cluster) -> TestResult {
    rights(cluster)?;
    let (mine, others) = (Installer::new(cluster, "mine")?, Installer::new(cluster, "others")?);
    let token = fs::read_to_string(mine.folder.join("token"))?;
    let patch = |lease: &str, patch: serde_json::Value| {
        let patch = patch.to_string();
        with_token(cluster, &token, &["-n", "zerocap", "patch", "lease", lease, "--type=merge", "-p", &patch])
    };
    let hold = |holder: &str| json!({ "spec": { "holderIdentity": holder } });
    // The control.
    patch(LEASES[0], hold(&mine.node))?;
    patch(LEASES[0], json!({ "spec": { "holderIdentity": null } }))?;
    let words = "it may hold a Lease for that node";
    denied("for another node", patch(LEASES[0], hold(&others.node)), words)?;
    let held = hold(&others.node).to_string();
    cluster.kubectl(&["-n", "zerocap", "patch", "lease", LEASES[0], "--type=merge", "-p", &held], "")?;
    denied("given back for another", patch(LEASES[0], json!({ "spec": { "holderIdentity": null } })), words)?;
    let long = json!({ "spec": { "holderIdentity": mine.node, "leaseDurationSeconds": 3600 } });
    denied("for an hour", patch(LEASES[0], long), "for a minute at a time")?;
    let labelled = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "holderIdentity": mine.node } });
    denied("labels", patch(LEASES[1], labelled), "may not change labels")?;
    let elsewhere = format!("kube-node-lease/{}", crate::daemon::NODE);
    let (namespace, lease) = elsewhere.split_once('/').unwrap_or_default();
    for arguments in [
        &["-n", namespace, "get", "lease", lease][..],
        &["-n", "zerocap", "get", "leases"],
        &["-n", "zerocap", "delete", "lease", LEASES[0]],
        &["-n", "zerocap", "create", "token", ACCOUNT],
        &["get", "nodes"],
        &["get", "pods", "-A"],
        &["get", "secrets", "-A"],
    ] {
        denied(&arguments.join(" "), with_token(cluster, &token, arguments), "orbidden")?;
    }
    // With no node's token nobody's turn can be taken.
    let nobody = token_of(cluster, ACCOUNT, None)?;
    let hold = hold(&mine.node).to_string();
    let taken =
        with_token(cluster, &nobody, &["-n", "zerocap", "patch", "lease", LEASES[1], "--type=merge", "-p", &hold]);
    denied("of no node", taken, words)
}
