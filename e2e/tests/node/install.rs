//! `zerocap install node` with a real containerd: a node whose configuration knows no handler of ours gets them, runs a
//! confined pod, and is byte for byte what it was after `uninstall`.

use std::time::{Duration, Instant};

use zerocap_e2e::layout::{Laid, Layout};
use zerocap_e2e::{Node, TestResult, ensure, ensure_eq};

use crate::Suite;

pub fn add(suite: &mut Suite) {
    for layout in Layout::ALL {
        suite.with(format!("install::there_and_back::{}", layout.name()), "zerocap", move |_| there_and_back(layout));
    }
}

const PREFIX: &str = "/var/lib/zerocap-programs";

fn run(node: &Node, laid: &Laid, verb: &str) -> Result<String, std::io::Error> {
    run_with(node, laid, verb, &[])
}

fn run_with(node: &Node, laid: &Laid, verb: &str, more: &[&str]) -> Result<String, std::io::Error> {
    let config = laid.config.display().to_string();
    let mut command =
        vec!["zerocap", verb, "node", "--config", &config, "--prefix", PREFIX, "--restart", &laid.restart];
    let from = node.program("zerocap").and_then(|program| program.parent().map(|folder| folder.display().to_string()));
    let from = from.unwrap_or_default();
    if verb == "install" && !more.contains(&"--from") {
        command.extend(["--from", &from]);
    }
    command.extend(more);
    let output = node.exec(&command)?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(std::io::Error::other(text)) }
}

/// A floor comes and goes with the installation that it was given to, and one that does not work leaves the former one.
fn the_floor(node: &Node, laid: &Laid) -> TestResult {
    let file = node.path("/etc/zerocap/floor.toml");
    let floor = |name: &str| -> std::io::Result<String> {
        let path = format!("/var/lib/floor-{name}.toml");
        std::fs::write(node.path(&path), format!("version = 1\n# {name}\n"))?;
        Ok(path)
    };
    let (first, second) = (floor("first")?, floor("second")?);
    run_with(node, laid, "install", &["--floor", &first])?;
    let before = std::fs::read_to_string(&file)?;
    ensure!(before.contains("# first"), "the floor: {before:?}");
    let refused = run_with(node, laid, "install", &["--floor", &second, "--ctr", "false"]).err();
    let refused = refused.map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("ZC1111"), "a self-test that fails: {refused:?}");
    ensure_eq!(std::fs::read_to_string(&file)?, before, "the floor after it");
    run_with(node, laid, "install", &["--floor", &second])?;
    ensure!(std::fs::read_to_string(&file)?.contains("# second"), "the next one");
    run(node, laid, "install")?;
    ensure!(!file.exists(), "an installation without a floor leaves one");
    Ok(())
}

/// Another version takes the place of the one that is installed, whose block containerd reads last where it is a drop-in.
fn the_next_version(node: &Node, laid: &Laid) -> TestResult {
    const NEXT: &str = "/var/lib/zerocap-next";
    let to = node.path(NEXT);
    std::fs::create_dir_all(&to)?;
    for name in ["containerd-shim-zerocap-v2", "zerocap-engine", "zerocap"] {
        std::fs::copy(node.program(name).unwrap_or_default(), to.join(name))?;
    }
    // Bytes that no program loader looks at.
    std::io::Write::write_all(&mut std::fs::File::options().append(true).open(to.join("zerocap-engine"))?, b"next")?;
    let said = run_with(node, laid, "install", &["--from", NEXT])?;
    ensure!(said.contains("programs: ") && said.contains("changed: "), "no other version: {said}");
    let said = run(node, laid, "install")?;
    ensure!(said.contains("changed: "), "not the former one again: {said}");
    Ok(())
}

fn there_and_back(layout: Layout) -> TestResult {
    // A node of its own: containerd is restarted here, under the feet of whoever else uses it.
    let mut node = Node::start()?;
    let laid = Laid::out(layout, node.dir())?;
    node.restart_containerd()?;
    ensure!(node.pod("zerocap").platform().start().is_err(), "the handler was there before it was installed");

    let said = run(&node, &laid, "install")?;
    ensure!(said.contains("a container was started, and is confined"), "no self-test: {said}");
    ensure!(node.path("/run/zerocap/installed.json").exists(), "the node has no note");
    ensure!(run(&node, &laid, "install")?.contains("is right already"), "the second run changes something");
    the_floor(&node, &laid)?;
    the_next_version(&node, &laid)?;
    let pod = node.pod("zerocap").platform().start()?;
    let main = pod.sleeper("main")?;
    let missing = main.kernel_status()?.unconfined();
    ensure!(missing.is_empty(), "not confined: {missing:?}");
    let by_class = node.pod("zerocap-platform").start()?;
    ensure!(by_class.sleeper("main")?.kernel_status()?.unconfined().is_empty(), "zerocap-platform does not confine");
    drop(by_class);

    // No pod is stranded: while one runs, nothing is removed.
    let refusal = run(&node, &laid, "uninstall").err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refusal.contains("ZC1110"), "not refused while a pod runs: {refusal:?}");
    ensure_eq!(main.exec_apart(&["true"])?.code, 0, "an exec in the pod");
    ensure!(!laid.is_as_before()?, "the configuration was changed all the same");
    drop(main);
    drop(pod);
    // A shim ends a moment after the last container it had.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(refusal) = run(&node, &laid, "uninstall") {
        ensure!(Instant::now() < deadline && refusal.to_string().contains("ZC1110"), "uninstall: {refusal}");
    }
    ensure!(laid.is_as_before()?, "the configuration is not what it was");
    ensure!(!node.path("/run/zerocap").exists(), "/run/zerocap is left");
    ensure!(!node.path(PREFIX).exists(), "programs are left");
    Ok(node.down()?)
}
