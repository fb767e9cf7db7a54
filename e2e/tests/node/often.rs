//! Short programs, many times: `true` is gone before anybody looks, and must not fail verification for it.
//! 100 rounds; 1000 with ZEROCAP_SOAK set (`make soak`, which runs what has `soak` in its name).

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use zerocap_e2e::attack::PROGRAM;
use zerocap_e2e::{Container, Node, TestResult, ensure};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("often::soak_exec", &ENGINES, exec);
    suite.each("often::soak_init", &ENGINES, init);
    suite.each("often::soak_pods", &ENGINES, pods);
    suite.each("often::many_at_once", &ENGINES, many_at_once);
    suite.each("often::containerd_restarts", &["runc", ENGINES[0], ENGINES[1]], containerd_restarts);
    suite.each("often::stacked_filters", &ENGINES, stacked);
}

fn rounds(usual: u32) -> u32 {
    if std::env::var_os("ZEROCAP_SOAK").is_some() { usual * 10 } else { usual }
}

fn exec(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    for round in 0..rounds(100) {
        let output = main.exec(&["true"]).map_err(|e| format!("round {round}: {}", e.message()))?;
        ensure!(output.code == 0, "round {round}: exit code {}: {}", output.code, output.stderr);
    }
    Ok(())
}

fn init(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    for round in 0..rounds(100) {
        let container =
            pod.container("short").command(&["true"]).start().map_err(|e| format!("round {round}: {}", e.message()))?;
        let code = container.wait(Duration::from_secs(20))?;
        ensure!(code == 0, "round {round}: exit code {code}");
    }
    Ok(())
}

fn pods(node: &Node, handler: &str) -> TestResult {
    for round in 0..rounds(5) {
        let pod = node.pod(handler).platform().start().map_err(|e| format!("round {round}: {}", e.message()))?;
        pod.sleeper("main").map_err(|e| format!("round {round}: {}", e.message()))?;
        pod.remove()?;
    }
    Ok(())
}

/// A workload may confine itself further, at once and as often as it likes.
fn stacked(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, &format!("attacks={PROGRAM}"))?;
    let pod = node.pod(handler).platform().start()?;
    let main = pod.container("main").image("attacks").command(&["/attacks", "stack", "3"]).start()?;
    for round in 0..10 {
        let output = main.exec(&["/attacks", "stack", "0"]).map_err(|e| format!("round {round}: {}", e.message()))?;
        ensure!(output.code == 0, "round {round}: exit code {}: {}", output.code, output.stdout);
    }
    let code = main.wait(Duration::from_secs(20))?;
    ensure!(code == 0, "init ended with {code}: {}", main.log()?);
    Ok(())
}

fn many_at_once(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    let outputs: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..16)
            .map(|i| {
                let main = &main;
                scope.spawn(move || main.exec_apart(&["sh", "-c", &format!("sleep 0.2; echo {i}")]))
            })
            .collect();
        running.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    for (i, output) in outputs.into_iter().enumerate() {
        let output =
            output.map_err(|_| "an exec thread panicked")?.map_err(|e| format!("exec {i}: {}", e.message()))?;
        ensure!(output.stdout == format!("{i}\n"), "exec {i}: {output:?}");
    }
    Ok(())
}

fn wait_for_lines(talks: &Container<'_>, count: usize) -> TestResult {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let lines = talks.log()?.lines().count();
        if lines >= count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the log ends after {lines} lines");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Lets a program go on as soon as the running containerd is dead: what it says then waits for the next one.
fn open_when_containerd_is_gone(node: &Node, gate: &Path) -> io::Result<()> {
    let pid = fs::read_to_string(node.path("/run/node/containerd.pid"))?;
    let process = node.path(&format!("/proc/{}", pid.trim()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    fs::remove_file(gate)
}

/// Pods outlive containerd, and stay confined; what they say meanwhile is not lost. On a node of its own, since all pods of a node lose their
/// connection.
fn containerd_restarts(_: &Node, handler: &str) -> TestResult {
    let mut node = Node::start()?;
    let held = {
        let pod = node.pod(handler).platform().start()?;
        let main = pod.sleeper("main")?;
        let pid = main.pid()?;
        let folder = pod.volume("gate")?;
        let gate = node.path(&folder).join("shut");
        let script = "i=0; while :; do [ -e /gate/shut ] || { echo line $i; i=$((i+1)); }; sleep 0.005; done";
        let talks = pod.container("talks").command(&["sh", "-c", script]).mount(&folder, "/gate", true).start()?;
        wait_for_lines(&talks, 20)?;
        // A line that a killed containerd holds in its hands is lost with any shim: nothing is said at that moment.
        fs::write(&gate, "")?;
        thread::sleep(Duration::from_millis(200));
        let before = talks.log()?.lines().count();
        thread::scope(|scope| {
            let opened = scope.spawn(|| open_when_containerd_is_gone(&node, &gate));
            node.restart_containerd()?;
            opened.join().map_err(|_| io::Error::other("the gate's thread panicked"))?
        })?;
        // The old connection notices at its first use that it is closed, and the next makes a new one.
        let _ = main.status();
        ensure!(main.pid()? == pid, "init is another process after the restart");
        wait_for_lines(&talks, before + 100)?;
        let log = talks.log()?;
        for (number, line) in log.lines().enumerate() {
            ensure!(line == format!("line {number}"), "the log has {line:?} in place of line {number}");
        }
        let output = main.exec_apart(&["cat", "/proc/self/status"])?;
        zerocap_e2e::process::Status::parse(&output.stdout).unconfined()
    };
    node.down()?;
    ensure!(held.is_empty(), "an exec after the restart is not confined: {held:?}");
    Ok(())
}
