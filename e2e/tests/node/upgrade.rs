//! An upgrade while containers run: the shim that serves them is an older program, which is gone from the disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use zerocap_e2e::node::image;
use zerocap_e2e::verdict::{Outcome, fail};
use zerocap_e2e::{Node, TestResult, ensure};

use super::Suite;

const SHIM: &str = "containerd-shim-zerocap-v2";
const PATIENCE: Duration = Duration::from_secs(20);

pub fn add(suite: &mut Suite) {
    suite.with("upgrade::while_containers_run".to_owned(), "zerocap", while_containers_run);
}

/// Programs by version, and the link that says which is the current one.
struct Versions(PathBuf);

impl Versions {
    fn install(&self, node: &Node, version: &str) -> Result<(), Outcome> {
        let folder = self.0.join(version);
        fs::create_dir_all(&folder)?;
        for name in [SHIM, "zerocap-engine"] {
            let Some(program) = node.program(name) else { return fail(format!("{name} is not built")) };
            fs::copy(program, folder.join(name))?;
        }
        let (next, current) = (self.0.join("next"), self.0.join("current"));
        symlink(version, &next)?;
        Ok(fs::rename(next, current)?)
    }

    fn shim(&self) -> String {
        self.0.join("current").join(SHIM).display().to_string()
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ctr(node: &Node, arguments: &[&str]) -> Result<String, Outcome> {
    let Output { status, stdout, stderr } = node.exec(&[&["ctr", "-n", "k8s.io"], arguments].concat())?;
    let words = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "ctr {arguments:?}: {words}");
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn run(node: &Node, shim: &str, id: &str) -> TestResult {
    let image = image("busybox");
    let platform = "network-enforcement=platform";
    let options = ["run", "-d", "--null-io", "--runtime", shim, "--user", "65532:65532", "--annotation", platform];
    ctr(node, &[&options[..], &[&image, id, "sleep", "100000"]].concat()).map(drop)
}

/// What an exec's process has, as the kernel says.
fn exec(node: &Node, id: &str) -> TestResult {
    let status = ctr(node, &["task", "exec", "--exec-id", "e", id, "cat", "/proc/self/status"])?;
    for line in ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(line), "an exec in {id} lacks {line:?}: {status}");
    }
    Ok(())
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> TestResult {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The processes of the node that serve the container `id`.
fn shims(node: &Node, id: &str) -> Vec<String> {
    let served = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).collect::<Vec<_>>();
        let ours = words.first()?.ends_with(SHIM.as_bytes()) && words.contains(&id.as_bytes());
        ours.then(|| entry.file_name().to_string_lossy().into_owned())
    };
    fs::read_dir(node.path("/proc")).into_iter().flatten().flatten().filter_map(served).collect()
}

fn while_containers_run(node: &Node) -> TestResult {
    let versions = Versions(node.dir().join("versions"));
    versions.install(node, "old")?;
    for id in ["upgrade-stays", "upgrade-dies"] {
        run(node, &versions.shim(), id)?;
        exec(node, id)?;
    }
    versions.install(node, "new")?;
    fs::remove_dir_all(versions.0.join("old"))?;
    for id in ["upgrade-stays", "upgrade-dies"] {
        exec(node, id)?;
    }
    // The new version takes new containers beside them.
    run(node, &versions.shim(), "upgrade-new")?;
    exec(node, "upgrade-new")?;
    // A shim of the old version that dies is cleaned up after by the new one.
    let dying = shims(node, "upgrade-dies");
    ensure!(dying.len() == 1, "one shim serves a container: {dying:?}");
    node.exec(&["kill", "-9", &dying[0]])?;
    until("the end of the shim", || shims(node, "upgrade-dies").is_empty())?;
    let state = |id: &str| node.path("/run/zerocap/k8s.io").join(id);
    until("the state to go", || !state("upgrade-dies").exists())?;
    for id in ["upgrade-stays", "upgrade-new"] {
        ctr(node, &["task", "rm", "--force", id])?;
        ensure!(!Path::exists(&state(id)), "the state of {id} stays");
    }
    for id in ["upgrade-stays", "upgrade-dies", "upgrade-new"] {
        ctr(node, &["container", "rm", id])?;
    }
    Ok(())
}
