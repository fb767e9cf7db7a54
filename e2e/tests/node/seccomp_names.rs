//! `seccomp-deny` and `seccomp-allow`: the first process and what is executed beside it, with every engine.

use std::time::Duration;

use zerocap_e2e::pod::Profile;
use zerocap_e2e::{Container, Node, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

const MKDIR: [&str; 2] = ["mkdir", "/tmp/made"];
const MKFIFO: [&str; 2] = ["mkfifo", "/tmp/fifo"];
const NOT_PERMITTED: &str = "Operation not permitted";
const SLEEP: [&str; 3] = ["/usr/bin/python3", "-c", "import time; time.sleep(100000)"];

pub fn add(suite: &mut Suite) {
    suite.each("seccomp_names::denied", &ENGINES, denied);
    suite.each("seccomp_names::denied_without_a_mode", &ENGINES, denied_without_a_mode);
    suite.each("seccomp_names::execve_denied", &ENGINES, execve_denied);
    suite.each("seccomp_names::allowed", &ENGINES, allowed);
    suite.each("seccomp_names::allowed_within_the_own_profile", &ENGINES, allowed_within_the_own_profile);
}

fn works(container: &Container<'_>, command: &[&str]) -> TestResult {
    let output = container.exec(command)?;
    ensure!(output.code == 0, "{command:?} ended with {}: {}", output.code, output.stderr);
    Ok(())
}

fn fails(container: &Container<'_>, command: &[&str]) -> TestResult {
    let output = container.exec(command)?;
    let refused = output.code != 0 && output.stderr.contains(NOT_PERMITTED);
    ensure!(refused, "{command:?} was not refused: {} {}", output.code, output.stderr);
    Ok(())
}

fn denied(node: &Node, handler: &str) -> TestResult {
    works(&node.pod(handler).platform().start()?.sleeper("control")?, &MKDIR)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp-deny", "mkdir,mkdirat").start()?;
    let line = "mkdir /tmp/made && echo made; touch /tmp/file && echo touched; sleep 100000";
    let main = pod.container("main").command(&["sh", "-c", line]).start()?;
    fails(&main, &MKDIR)?;
    works(&main, &["touch", "/tmp/other"])?;
    works(&main, &["sh", "-c", "until [ -e /tmp/file ]; do usleep 20000; done; [ ! -e /tmp/made ]"])
}

/// Neither a preset nor platform mode: the denied names alone, also where the pod has no profile.
fn denied_without_a_mode(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).profile(Profile::Unconfined).annotate("zerocap.io/seccomp-deny", "mkdir,mkdirat");
    let pod = pod.start()?;
    let main = pod.container("main").profile(Profile::Unconfined).command(&["sleep", "100000"]).start()?;
    fails(&main, &MKDIR)?;
    works(&main, &MKFIFO)
}

/// The launcher's own execve passes by its cookie; the workload's do not.
fn execve_denied(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp-deny", "execve,execveat").start()?;
    let main = pod.sleeper("main")?;
    ensure_eq!(main.exec(&["echo", "out"])?.stdout, "out\n", "an exec still starts");
    fails(&main, &["env", "/bin/echo", "out"])?;
    let short = pod.container("short").command(&["false"]).start()?;
    ensure_eq!(short.wait(Duration::from_secs(20))?, 1, "the exit code of init");
    Ok(())
}

fn allowed(node: &Node, handler: &str) -> TestResult {
    let strict = || node.pod(handler).platform().annotate("zerocap.io/seccomp", "strict");
    fails(&strict().start()?.sleeper("control")?, &MKFIFO)?;
    let pod = strict().annotate("zerocap.io/seccomp-allow", "mknod,mknodat").start()?;
    works(&pod.sleeper("main")?, &MKFIFO)
}

/// `general` refuses both calls. The pod's own profile, RuntimeDefault, allows ptrace to everybody and keyctl to nobody.
fn allowed_within_the_own_profile(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let call = |line: &str| {
        format!(
            "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); \
             result = libc.{line}; result < 0 and exit(os.strerror(ctypes.get_errno()))"
        )
    };
    let trace = call("ptrace(0, 0, 0, 0)");
    let keyring = call(if cfg!(target_arch = "x86_64") { "syscall(250, 0, -3, 1)" } else { "syscall(219, 0, -3, 1)" });
    let (trace, keyring) = (["python3", "-c", &trace], ["python3", "-c", &keyring]);

    let control = node.pod(handler).platform().start()?;
    let control = control.python("control")?;
    fails(&control, &trace)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/seccomp-allow", "ptrace,keyctl").start()?;
    let main = pod.python("main")?;
    works(&main, &trace)?;
    fails(&main, &keyring)?;
    // It was the pod's own profile that refused it.
    let pod = node.pod(handler).profile(Profile::Unconfined).platform();
    let pod = pod.annotate("zerocap.io/seccomp-allow", "ptrace,keyctl").start()?;
    let open = pod.container("open").image("python").profile(Profile::Unconfined).command(&SLEEP).start()?;
    works(&open, &keyring)
}
