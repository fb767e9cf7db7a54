//! Where systemd has the containers' cgroups, as scopes in slices (`hack/matrix systemd`): the fence is on the right one, stays there
//! whatever systemd does, and goes with it; containerd is a service.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use zerocap_e2e::layout::without_handlers;
use zerocap_e2e::verdict::{Outcome, skip};
use zerocap_e2e::{Container, Node, TestResult, ensure, ensure_eq};

use crate::fence::{HOST, echo, group_of, report, state};
use crate::{ENGINES, Suite};

const PATIENCE: Duration = Duration::from_secs(30);
/// crun makes a group of its own in the scope that systemd made for it.
const SUBGROUP: &str = "/container";

/// containerd's shim, and ours with each engine.
const BESIDE: [&str; 4] = ["runc", ENGINES[0], ENGINES[1], ENGINES[2]];

pub fn add(suite: &mut Suite) {
    if !suite.node.as_ref().is_some_and(|node| node.has_systemd()) {
        // Counted once, not once for each.
        suite.with("systemd".to_owned(), "", |_| {
            skip("containerd is no service of systemd here: run `hack/matrix systemd`")
        });
        return;
    }
    suite.each("systemd::fence_on_the_scope", &BESIDE[1..], fence_on_the_scope);
    suite.each("systemd::limits_of_the_scope", &BESIDE, limits_of_the_scope);
    suite.each("systemd::ordinary_pods", &BESIDE, ordinary_pods);
    suite.each("systemd::containerd_restarts", &ENGINES[..1], containerd_restarts);
    suite.with("systemd::install::restarts_once".to_owned(), "zerocap", install_restarts_once);
    suite.with("systemd::install::rolls_back".to_owned(), "zerocap", install_rolls_back);
}

fn systemctl(node: &Node, arguments: &[&str]) -> Result<String, Outcome> {
    let output = node.exec(&[&["systemctl"], arguments].concat())?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "systemctl {arguments:?}: {words}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The units of a container or pod, dead ones too.
fn units(node: &Node, about: &str) -> Result<String, Outcome> {
    systemctl(node, &["list-units", "--all", "--plain", "--no-legend", &format!("*{about}*")])
}

/// Another address than the proxy's cannot be reached from a new process of the container.
fn refuses(container: &Container<'_>, port: u16) -> TestResult {
    let output = container.sh(&format!("nc -w 3 {HOST} {port} </dev/null"))?;
    ensure!(output.code != 0 && output.stderr.contains("Permission denied"), "a foreign address: {output:?}");
    Ok(())
}

fn egress_is_kept(node: &Node, container: &Container<'_>) -> TestResult {
    let text = report(node, &container.id)?;
    let promises = text.pointer("/report/promises").or_else(|| text.get("promises")).cloned().unwrap_or_default();
    let kept =
        promises.as_array().is_some_and(|all| all.iter().any(|p| p["promise"] == "egress" && p["state"] == "kept"));
    ensure!(kept, "zerocap status: {text}");
    Ok(())
}

fn fence_on_the_scope(node: &Node, handler: &str) -> TestResult {
    let open = node.pod("runc").start()?;
    let port = echo(node)?;
    let control = open.sleeper("main")?.sh(&format!("echo x | nc -w 3 {HOST} {port}"))?;
    ensure_eq!(control.stdout.trim(), "x", "the address without a fence");
    let pod = node.pod(handler).platform().start()?;
    let line = format!("nc -w 3 {HOST} {port} </dev/null; echo $?; exec sleep 100000");
    let main = pod.container("main").command(&["sh", "-c", &line]).start()?;

    let group = group_of(node, main.pid()?)?;
    let scope = is_in_its_scope(&group, &main.id)?;
    let unit = format!("cri-containerd-{}.scope", main.id);
    ensure_eq!(systemctl(node, &["is-active", &unit])?, "active", "the scope");
    let fence = state(node, &main)?;
    ensure_eq!(fence["group"], group.as_str(), "the fence's group");
    ensure_eq!(fence["made"], false, "whether the group is one of our own");
    let exec = main.sh("grep ^0:: /proc/self/cgroup; grep ^0:: /proc/1/cgroup")?.stdout;
    let places: Vec<&str> = exec.lines().collect();
    ensure!(places.len() == 2 && places[0] == places[1], "an exec is elsewhere than init: {exec}");

    let deadline = Instant::now() + PATIENCE;
    while main.log()?.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    ensure!(main.log()?.contains("Permission denied"), "a foreign address from init: {}", main.log()?);
    refuses(&main, port)?;
    egress_is_kept(node, &main)?;

    // What systemd does to its units takes nothing off them.
    systemctl(node, &["daemon-reload"])?;
    systemctl(node, &["set-property", "--runtime", &unit, "MemoryMax=64M", "IPAccounting=yes"])?;
    systemctl(node, &["daemon-reexec"])?;
    refuses(&main, port)?;
    egress_is_kept(node, &main)?;

    let (id, sandbox) = (main.id.clone(), pod.id.clone());
    drop(main);
    drop(pod);
    gone(node, &[&id, &sandbox], scope)
}

/// The path of the scope that a container's group is, or lies in.
fn is_in_its_scope<'g>(group: &'g str, id: &str) -> Result<&'g str, Outcome> {
    let scope = group.strip_suffix(SUBGROUP).unwrap_or(group);
    let right = scope.starts_with("/kubepods.slice/") && scope.ends_with(&format!("/cri-containerd-{id}.scope"));
    ensure!(right, "{id} is in {group}");
    Ok(scope)
}

/// No unit and no cgroup of these ids.
fn gone(node: &Node, ids: &[&str], group: &str) -> TestResult {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut left = String::new();
        for id in ids {
            left += &units(node, id)?;
        }
        let folder = node.path("/sys/fs/cgroup").join(group.trim_start_matches('/'));
        if left.is_empty() && !folder.exists() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "left: {left:?}, the cgroup: {}", folder.exists());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Limits reach the kernel, and the scope with which systemd would write them again.
fn limits_of_the_scope(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.container("main").command(&["sleep", "100000"]).memory(48 << 20).start()?;
    let group = group_of(node, main.pid()?)?;
    let scope = is_in_its_scope(&group, &main.id)?;
    let folder = node.path("/sys/fs/cgroup").join(scope.trim_start_matches('/'));
    let limit = fs::read_to_string(folder.join("memory.max"))?;
    ensure_eq!(limit.trim(), (48 << 20).to_string(), "memory.max");
    let unit = format!("cri-containerd-{}.scope", main.id);
    let known = systemctl(node, &["show", "--value", "--property", "MemoryMax", &unit])?;
    ensure_eq!(known, (48 << 20).to_string(), "MemoryMax of the scope");

    // It outlives the kill: with its last process a scope goes at once, and what the kernel says of it too, whoever's shim it is.
    let line = "tail -c 200000000 /dev/zero; sleep 4; exit 1";
    let hungry = pod.container("hungry").command(&["sh", "-c", line]).memory(16 << 20).start()?;
    // The event of the kill and that of the end are two.
    let deadline = Instant::now() + PATIENCE;
    while hungry.status()?.reason != "OOMKilled" {
        ensure!(Instant::now() < deadline, "it ends otherwise: {:?}", hungry.status()?);
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Pods without an annotation have the same scopes as under containerd's own shim.
fn ordinary_pods(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).start()?;
    let main = pod.sleeper("main")?;
    let group = group_of(node, main.pid()?)?;
    let scope = is_in_its_scope(&group, &main.id)?;
    let (id, sandbox) = (main.id.clone(), pod.id.clone());
    drop(main);
    drop(pod);
    gone(node, &[&id, &sandbox], scope)
}

fn containerd_restarts(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let port = echo(node)?;
    let main = pod.sleeper("main")?;
    node.restart_containerd()?;
    // The old connection notices at its first use that it is closed, and the next makes a new one.
    let _ = main.status();
    refuses(&main, port)?;
    egress_is_kept(node, &main)?;
    ensure!(main.kernel_status()?.unconfined().is_empty(), "it is confined no more");
    let id = main.id.clone();
    let group = group_of(node, main.pid()?)?;
    let scope = is_in_its_scope(&group, &id)?;
    drop(main);
    drop(pod);
    gone(node, &[&id], scope)
}

const CONFIG: &str = "/etc/containerd/config.toml";
const PREFIX: &str = "/opt/zerocap";

/// The node's configuration without our handlers, until this value goes.
struct Bare<'n> {
    node: &'n Node,
    before: String,
    bare: String,
}

impl<'n> Bare<'n> {
    fn of(node: &'n Node) -> Result<Self, Outcome> {
        let before = fs::read_to_string(CONFIG)?;
        let this = Self { node, bare: without_handlers(&before), before };
        fs::write(CONFIG, &this.bare)?;
        node.restart_containerd()?;
        Ok(this)
    }

    fn is_untouched(&self) -> TestResult {
        ensure_eq!(fs::read_to_string(CONFIG)?, self.bare, "the configuration");
        Ok(())
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        let _ = fs::write(CONFIG, &self.before);
        let _ = self.node.restart_containerd();
    }
}

fn main_pid(node: &Node) -> Result<String, Outcome> {
    systemctl(node, &["show", "--value", "--property", "MainPID", "containerd"])
}

/// `zerocap VERB node` with nothing said about systemd: exit code, and what it printed.
fn zerocap(node: &Node, verb: &str) -> Result<(Option<i32>, String), Outcome> {
    let from = node.program("zerocap").and_then(|program| program.parent().map(|folder| folder.display().to_string()));
    let from = from.unwrap_or_default();
    let mut command = vec!["zerocap", verb, "node"];
    if verb == "install" {
        command.extend(["--from", &from]);
    }
    let output = node.exec(&command)?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), text))
}

fn install_restarts_once(node: &Node) -> TestResult {
    let bare = Bare::of(node)?;
    let first = main_pid(node)?;
    let (code, said) = zerocap(node, "install")?;
    ensure!(code == Some(0) && said.contains("a container was started, and is confined"), "install: {said}");
    let second = main_pid(node)?;
    ensure!(first != second, "containerd was not restarted");
    ensure!(
        fs::read_to_string(CONFIG)?.contains("SystemdCgroup = true\n# <<< zerocap"),
        "the handlers lack the driver"
    );
    let (code, said) = zerocap(node, "install")?;
    ensure!(code == Some(0) && said.contains("is right already"), "again: {said}");
    ensure_eq!(main_pid(node)?, second, "containerd's process after a run that changes nothing");
    for handler in ["zerocap", "zerocap-platform"] {
        let pod = node.pod(handler).platform().start()?;
        let main = pod.sleeper("main")?;
        ensure!(main.kernel_status()?.unconfined().is_empty(), "{handler} does not confine");
        is_in_its_scope(&group_of(node, main.pid()?)?, &main.id)?;
    }
    let deadline = Instant::now() + PATIENCE;
    let said = loop {
        let (code, said) = zerocap(node, "uninstall")?;
        // A shim ends a moment after the last container it had.
        if code == Some(0) || Instant::now() > deadline {
            break said;
        }
        thread::sleep(Duration::from_millis(200));
    };
    ensure!(said.contains("containerd was restarted"), "uninstall: {said}");
    bare.is_untouched()?;
    ensure!(
        !Path::new(PREFIX).exists() && !Path::new("/run/zerocap/installed.json").exists(),
        "programs or the note are left"
    );
    Ok(())
}

/// A service that does not start with our handlers: whatever the cause is, the node has its containerd.
fn install_rolls_back(node: &Node) -> TestResult {
    let bare = Bare::of(node)?;
    let folder = Path::new("/run/systemd/system/containerd.service.d");
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("refuse.conf"),
        format!("[Service]\nExecStartPre=sh -c '! grep -q \">>> zerocap\" {CONFIG}'\n"),
    )?;
    systemctl(node, &["daemon-reload"])?;
    let result = zerocap(node, "install");
    fs::remove_file(folder.join("refuse.conf"))?;
    systemctl(node, &["daemon-reload"])?;
    let (code, said) = result?;
    ensure!(code == Some(1) && said.contains("ZC1105"), "install: {code:?} {said}");
    bare.is_untouched()?;
    ensure_eq!(systemctl(node, &["is-active", "containerd"])?, "active", "containerd");
    let pod = node.pod("runc").start()?;
    ensure_eq!(pod.sleeper("main")?.exec(&["true"])?.code, 0, "an exec under the former configuration");
    Ok(())
}
