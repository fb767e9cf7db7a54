//! An inference server as a pod under `model-backend`: it gives the results of the unconfined one, and no way leads out of it.

use std::io::ErrorKind;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use zerocap_e2e::pod::Profile;
use zerocap_e2e::verdict::skip;
use zerocap_e2e::{Node, Outcome, Pod, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("inference::identical_results", &ENGINES, identical_results);
    suite.each("inference::without_platform_mode", &["zerocap-crun"], without_platform_mode);
    suite.with("inference::in_bubblewrap".to_owned(), "zerocap", in_bubblewrap);
}

/// Every way that `hack/images/inference.py attack` tries, and how it ends under the preset.
const WAYS: [(&str, &[&str]); 10] = [
    ("shell", &["EPERM"]),
    ("fork", &["EPERM"]),
    ("inet", &["EACCES"]),
    ("inet6", &["EACCES"]),
    // A filter cannot read paths: these four are refused by Landlock, or by the root that is mounted read-only.
    ("open", &["EACCES", "EROFS"]),
    ("openat", &["EACCES", "EROFS"]),
    ("openat2", &["EACCES", "EROFS"]),
    ("creat", &["EACCES", "EROFS"]),
    ("io_uring", &["ENOSYS"]),
    ("memfd", &["EPERM"]),
];

fn ran(pod: &Pod<'_>, verb: &str) -> Result<String, Outcome> {
    let command = ["/usr/bin/python3", "/app/inference.py", verb, "/tmp"];
    let container = pod.container(verb).image("inference").command(&command).start()?;
    let code = container.wait(Duration::from_secs(120))?;
    let log = container.log()?;
    ensure!(code == 0, "{verb} ended with {code}: {log}");
    Ok(log)
}

/// What the server prints itself. The runtime warns, as it is loaded, where it cannot keep a number for telemetry on disk.
fn results(pod: &Pod<'_>) -> Result<String, Outcome> {
    Ok(of_the_server(&ran(pod, "serve")?))
}

fn of_the_server(said: &str) -> String {
    const OURS: [&str; 4] = ["initialise ", "infer ", "threads ", "clean-up "];
    let ours = said.lines().filter(|line| OURS.iter().any(|word| line.starts_with(word)));
    ours.map(|line| format!("{line}\n")).collect()
}

/// The image, or why it cannot be had; then what an unconfined pod shows: the results, and that every way is open.
fn plain(node: &Node) -> Result<String, Outcome> {
    static ONCE: Mutex<Option<String>> = Mutex::new(None);
    let mut once = ONCE.lock().map_err(|_| Outcome::Failed("the control panicked".to_owned()))?;
    if let Some(results) = &*once {
        return Ok(results.clone());
    }
    match crate::import_once(node, "inference") {
        Err(error) if error.kind() == ErrorKind::Unsupported => return skip(error.to_string()),
        other => other?,
    }
    let pod = node.pod("runc").profile(Profile::Unconfined).start()?;
    let open: Vec<String> = WAYS.iter().map(|(way, _)| format!("{way} open")).collect();
    ensure_eq!(ran(&pod, "attack")?, open.join("\n"), "the control");
    let results = results(&pod)?;
    for phase in ["initialise ['CPUExecutionProvider']", "infer 7 ", "threads True", "clean-up True"] {
        ensure!(results.contains(phase), "the unconfined server does not get to {phase}: {results}");
    }
    *once = Some(results.clone());
    Ok(results)
}

fn confined(node: &Node, pod: &Pod<'_>) -> TestResult {
    ensure_eq!(results(pod)?, plain(node)?, "the results");
    refused(&ran(pod, "attack")?)
}

fn refused(attacks: &str) -> TestResult {
    ensure_eq!(attacks.lines().count(), WAYS.len(), "ways tried");
    for ((way, expected), line) in WAYS.iter().zip(attacks.lines()) {
        let refused = line.strip_prefix(way).is_some_and(|errno| expected.contains(&errno.trim()));
        ensure!(refused, "{way} should be refused with {}: {line}", expected.join(" or "));
    }
    Ok(())
}

fn identical_results(node: &Node, handler: &str) -> TestResult {
    plain(node)?;
    let pod = node
        .pod(handler)
        .platform()
        .annotate("zerocap.io/seccomp", "model-backend")
        .annotate("zerocap.io/filesystem", "read-only");
    confined(node, &pod.start()?)
}

fn without_platform_mode(node: &Node, handler: &str) -> TestResult {
    plain(node)?;
    let pod = node
        .pod(handler)
        .annotate("network-enforcement", "cluster")
        .annotate("zerocap.io/seccomp", "model-backend")
        .annotate("zerocap.io/fs-write", "/dev/null");
    confined(node, &pod.start()?)
}

/// The same files in a sandbox of bubblewrap's, without a container and a node: `zerocap seccomp bwrap`. The control is a bwrap
/// without a filter, whose /tmp can be written to.
fn in_bubblewrap(node: &Node) -> TestResult {
    let expected = plain(node)?;
    let Some(zerocap) = node.program("zerocap") else { return skip("zerocap is not built: run `make build`") };
    let rootfs = node.images("inference")?.join("rootfs");
    let run = |command: &mut Command, more: &[&str], verb: &str| -> Result<String, Outcome> {
        command.arg("--ro-bind").arg(&rootfs).args(["/", "--proc", "/proc", "--dev", "/dev"]).args(more);
        let output = match command.args(["--", "/usr/bin/python3", "/app/inference.py", verb]).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return skip("bwrap is not installed"),
            output => output?,
        };
        ensure!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let confined = |verb| run(Command::new(&zerocap).args(["seccomp", "bwrap", "model-backend", "--"]), &[], verb);
    let open: String = WAYS.iter().map(|(way, _)| format!("{way} open\n")).collect();
    ensure_eq!(run(&mut Command::new("bwrap"), &["--tmpfs", "/tmp"], "attack")?, open, "the control");
    ensure_eq!(of_the_server(&confined("serve")?), expected, "the results");
    refused(&confined("attack")?)
}
