//! A hostile process of the same container can neither read nor forge the hand-over of a later exec, nor delay it for ever.

use std::time::{Duration, Instant};

use zerocap_e2e::attack::PROGRAM;
use zerocap_e2e::{Container, Node, Outcome, TestResult, ensure};

use crate::{ENGINES, Suite};

const SECONDS: u32 = 4;
/// An exec that is held up must end by itself, well before the kubelet gives up (two minutes).
const BOUND: Duration = Duration::from_secs(45);

pub fn add(suite: &mut Suite) {
    suite.each("handover::hostile_init_is_blind", &ENGINES, hostile_init);
    suite.each("handover::control_hostile_init_sees", &["runc"], control);
    suite.each("handover::hostile_exec_delays_no_longer_than_the_bound", &ENGINES, hostile_exec);
}

/// Hits by kind, as the forger counted them.
fn hits(log: &str) -> Vec<(String, u64, u64)> {
    let numbers = |line: &str| -> Option<(String, u64, u64)> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["tries", tries, "hits", hits] = words.get(1..5)? else { return None };
        Some(((*words.first()?).to_owned(), tries.parse().ok()?, hits.parse().ok()?))
    };
    log.lines().filter_map(numbers).collect()
}

fn wait_for(container: &Container<'_>, text: &str) -> Result<String, Outcome> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(SECONDS) + 20);
    loop {
        let log = container.log()?;
        if log.contains(text) {
            return Ok(log);
        }
        ensure!(Instant::now() < deadline, "the forger does not say `{text}`: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Execs while the container's init looks at every process that appears. `stop`: and stops it.
fn under_attack(node: &Node, handler: &str, stop: bool) -> Result<Vec<(String, u64, u64)>, Outcome> {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = node.pod(handler).platform().start()?;
    let mut builder = pod.container("main").image("attacks").command(&["/attacks", "forge", &SECONDS.to_string()]);
    if stop {
        builder = builder.env("FORGE_STOP", "1");
    }
    let main = builder.start()?;
    wait_for(&main, "forging")?;
    for round in 0..30 {
        let output = main.exec(&["true"]).map_err(|e| format!("exec {round}: {}", e.message()))?;
        ensure!(output.code == 0, "exec {round}: exit code {}", output.code);
    }
    Ok(hits(&wait_for(&main, "forged")?))
}

fn hostile_init(node: &Node, handler: &str) -> TestResult {
    let found = under_attack(node, handler, true)?;
    let tries: u64 = found.iter().map(|f| f.1).sum();
    ensure!(tries > 1000, "the forger saw no process to look at ({tries} tries), so nothing is shown");
    let successes: Vec<_> = found.iter().filter(|f| f.2 > 0).collect();
    ensure!(successes.is_empty(), "the hand-over is within reach: {successes:?}");
    Ok(())
}

fn control(node: &Node, handler: &str) -> TestResult {
    let found = under_attack(node, handler, false)?;
    for kind in ["mem", "maps", "syscall", "environ", "process_vm_readv", "ptrace"] {
        ensure!(
            found.iter().any(|f| f.0 == kind && f.2 > 0),
            "{kind} does not succeed under plain runc, so its refusal means nothing: {found:?}"
        );
    }
    Ok(())
}

/// The attacker is an exec itself: its signals reach the container's other processes (a preStop hook needs that), so it
/// can stop a launcher. That start fails cleanly, or survives; it does not hang, and the next one works.
fn hostile_exec(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = node.pod(handler).platform().start()?;
    let main = pod.container("main").image("attacks").command(&["sleep", "100000"]).start()?;
    let forger = main.stream(&["env", "FORGE_STOP=1", "/attacks", "forge", "2"], false)?;
    let begin = Instant::now();
    let mut failures = Vec::new();
    while begin.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        // The workload itself may be stopped after its start: that is its own affair, so it ends by itself or is ended.
        if let Err(error) = main.exec_for(&["true"], 5) {
            failures.push(error.message().to_owned());
        }
        ensure!(one.elapsed() < BOUND, "an exec took {:?}", one.elapsed());
    }
    drop(forger);
    std::thread::sleep(Duration::from_millis(200));
    let output = main
        .exec(&["/bin/busybox", "killall", "-KILL", "attacks"])
        .map_err(|e| format!("after the attack: {}", e.message()))?;
    ensure!(output.code <= 1 || output.code == 127, "killall: {output:?}");
    let output = main.exec(&["echo", "alive"]).map_err(|e| format!("after the attack: {}", e.message()))?;
    ensure!(output.stdout == "alive\n", "the container is harmed: {output:?}; refused meanwhile: {failures:?}");
    Ok(())
}
