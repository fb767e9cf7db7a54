//! Every preset as a pod's, with every engine: containers start and end, exec works, and what only this preset refuses is
//! refused.

use std::time::Duration;

use zerocap_e2e::pod::Profile;
use zerocap_e2e::{Container, Node, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("presets::strict", &ENGINES, strict);
    suite.each("presets::minimal", &ENGINES, minimal);
    suite.each("presets::two_at_once", &ENGINES, two_at_once);
    suite.each("presets::sandbox_blocklist", &ENGINES, sandbox_blocklist);
}

fn works(container: &Container<'_>, command: &[&str]) -> TestResult {
    let output = container.exec(command)?;
    ensure!(output.code == 0, "{command:?} ended with {}: {}", output.code, output.stderr);
    Ok(())
}

fn fails(container: &Container<'_>, command: &[&str], says: &str) -> TestResult {
    let output = container.exec(command)?;
    ensure!(output.code != 0 && output.stderr.contains(says), "{command:?}: {} {}", output.code, output.stderr);
    Ok(())
}

fn stacked(container: &Container<'_>, least: usize) -> TestResult {
    let status = container.kernel_status()?;
    let filters: usize = status.get("Seccomp_filters").parse()?;
    ensure!(filters >= least, "init has {filters} filters, not {least}");
    Ok(())
}

fn strict(node: &Node, handler: &str) -> TestResult {
    const FIFO: [&str; 2] = ["mkfifo", "/tmp/fifo"];
    works(&node.pod(handler).platform().start()?.sleeper("general")?, &FIFO)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp", "strict").start()?;
    let main = pod.sleeper("main")?;
    works(&main, &["sh", "-c", "seq 3 | sort -r | head -n 1 > /tmp/x && grep 3 /tmp/x"])?;
    fails(&main, &FIFO, "Operation not permitted")
}

/// A static program: busybox. It sleeps, prints and ends, and opens nothing.
fn minimal(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp", "minimal").start()?;
    let main = pod.sleeper("main")?;
    stacked(&main, 2)?;
    ensure_eq!(main.exec(&["echo", "out"])?.stdout, "out\n", "standard output");
    let mut stream = main.stream(&["head", "-n", "1"], false)?;
    stream.input("through\n")?;
    ensure_eq!(stream.finish()?.stdout, "through\n", "input to output");
    fails(&main, &["cat", "/etc/passwd"], "Operation not permitted")?;
    let short = pod.container("short").command(&["false"]).start()?;
    ensure_eq!(short.wait(Duration::from_secs(20))?, 1, "the exit code of init");
    Ok(())
}

/// Neither stands for the other, so both are loaded: `strict` refuses the FIFO, `model-backend` the child.
fn two_at_once(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp", "strict, model-backend").start()?;
    let main = pod.sleeper("main")?;
    stacked(&main, 3)?;
    works(&main, &["cat", "/etc/passwd"])?;
    fails(&main, &["mkfifo", "/tmp/fifo"], "Operation not permitted")?;
    fails(&main, &["sh", "-c", "sleep 0; true"], "")
}

/// Where nothing else refuses it: no profile of the pod's own, no platform mode.
fn sandbox_blocklist(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let script = ["python3", "-c", "import os; os.unshare(os.CLONE_NEWUSER); print('new')"];
    let pod = node.pod(handler).profile(Profile::Unconfined).start()?;
    works(&pod.python("plain")?, &script)?;
    let pod = node
        .pod(handler)
        .profile(Profile::Unconfined)
        .annotate("network-enforcement", "cluster")
        .annotate("zerocap.io/seccomp", "sandbox-blocklist");
    let pod = pod.start()?;
    let main = pod.python("listed")?;
    stacked(&main, 1)?;
    works(&main, &["python3", "-c", "import os, socket; os.fork() or os._exit(0); socket.socket().listen()"])?;
    fails(&main, &script, "Operation not permitted")
}
