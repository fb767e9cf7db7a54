//! Every process of an annotated pod is confined: five empty capability sets, no new privileges, seccomp filters.

use std::time::{Duration, Instant};

use zerocap_e2e::pod::PodBuilder;
use zerocap_e2e::process::Status;
use zerocap_e2e::{Container, Node, Outcome, Pod, TestResult, ensure, ensure_eq};

use crate::{ENGINES, Suite};

const SHOW: [&str; 2] = ["cat", "/proc/self/status"];

pub fn add(suite: &mut Suite) {
    suite.each("confined::init", &ENGINES, init);
    suite.each("confined::second_encoding", &["zerocap-runtimepath"], init);
    suite.each("confined::second_encoding_exec", &["zerocap-runtimepath"], exec);
    suite.each("confined::engine_chosen_by_itself", &["zerocap"], init);
    suite.each("confined::by_the_handler_alone", &["zerocap-platform"], by_the_handler_alone);
    suite.each("confined::exec", &ENGINES, exec);
    suite.each("confined::streaming_exec", &ENGINES, streaming_exec);
    suite.each("confined::terminal_exec", &ENGINES, terminal_exec);
    suite.each("confined::init_container", &ENGINES, init_container);
    suite.each("confined::pause", &ENGINES, pause);
    suite.each("confined::nothing_inherited", &ENGINES, nothing_inherited);
    suite.each("confined::launcher_is_out_of_reach", &ENGINES, launcher);
    suite.each("confined::without_annotation_nothing_is_claimed", &ENGINES, not_asked);
    suite.each("confined::root_in_the_image", &ENGINES, as_root);
    suite.each("confined::sysctls_of_the_pod", &ENGINES, |node, handler| sysctls(node.pod(handler)));
    suite.each("confined::sysctls_with_users_of_its_own", &["zerocap-runtimepath"], |node, handler| {
        sysctls(node.pod(handler).own_users())
    });
}

fn platform<'n>(node: &'n Node, handler: &str) -> Result<Pod<'n>, tonic::Status> {
    node.pod(handler).platform().start()
}

fn check(status: &Status, who: &str) -> TestResult {
    let missing = status.unconfined();
    ensure!(missing.is_empty(), "{who} is not confined: {}", missing.join(", "));
    Ok(())
}

fn init(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let (first, second) = (pod.sleeper("first")?, pod.sleeper("second")?);
    check(&first.kernel_status()?, "the first container")?;
    check(&second.kernel_status()?, "the second container")
}

/// A container has an IPC namespace of its own; the pod's sysctls hold there.
fn sysctls(pod: PodBuilder<'_>) -> TestResult {
    let pod =
        pod.platform().sysctl("kernel.shm_rmid_forced", "1").sysctl("net.ipv4.ping_group_range", "5 6").start()?;
    let container = pod.sleeper("main")?;
    let value = |name: &str| container.exec(&["cat", &format!("/proc/sys/{name}")]).map(|output| output.stdout);
    ensure_eq!(value("kernel/shm_rmid_forced")?.trim(), "1", "of the pod's IPC");
    ensure_eq!(value("net/ipv4/ping_group_range")?.trim(), "5\t6", "of the pod's network");
    Ok(())
}

fn by_the_handler_alone(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).start()?;
    let container = pod.sleeper("main")?;
    check(&container.kernel_status()?, "init")?;
    check(&Status::parse(&container.exec(&SHOW)?.stdout), "exec")
}

fn exec(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let status = Status::parse(&pod.sleeper("main")?.exec(&SHOW)?.stdout);
    check(&status, "exec")?;
    // Two layers: the pod's profile and ours.
    ensure!(
        status.get("Seccomp_filters") >= "2",
        "exec has {} seccomp filters, not two",
        status.get("Seccomp_filters")
    );
    Ok(())
}

fn streaming_exec(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let container = pod.sleeper("main")?;
    let output = container.stream(&SHOW, false)?.finish()?;
    check(&Status::parse(&output.stdout), "streaming exec")
}

fn terminal_exec(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let container = pod.sleeper("main")?;
    let output = container.stream(&SHOW, true)?.finish()?;
    check(&Status::parse(&output.stdout), "exec with a terminal")
}

fn init_container(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let container = pod.container("setup").command(&SHOW).start()?;
    let code = container.wait(Duration::from_secs(20))?;
    ensure!(code == 0, "the init container ended with {code}");
    check(&Status::parse(&container.log()?), "the init container")
}

fn pause(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let path = node.path(&format!("/proc/{}/status", pod.pause_pid()?));
    check(&Status::read(&path)?, "the pause process")
}

/// Without the annotation the pod is an ordinary one: our launcher is not in it.
fn not_asked(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).start()?;
    let container = pod.sleeper("main")?;
    let status = once_it_runs(&container, "sleep")?;
    ensure!(status.get("Seccomp_filters") == "1", "an ordinary pod has {} filters", status.get("Seccomp_filters"));
    let output = container.sh("ls -d /.zerocap")?;
    ensure!(output.code != 0, "an ordinary pod has our folder");
    Ok(())
}

/// The state of an ordinary container's init once it is this program. Engines call a container running when they have told
/// it to go on, and crun loads the profile after that; a confined start returns only when the program runs.
fn once_it_runs(container: &Container, program: &str) -> Result<Status, Outcome> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = container.kernel_status()?;
        if status.get("Name") == program {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "init is {:?} after half a minute, not {program}", status.get("Name"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A container that runs as uid 0 loses its capabilities too, or is refused with a reason.
fn as_root(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    match pod.container("root").profile(zerocap_e2e::Profile::Root).command(&["sleep", "100000"]).start() {
        Ok(container) => check(&container.kernel_status()?, "a container of uid 0"),
        Err(refusal) => {
            ensure!(refusal.message().contains("ZC"), "refused without a code: {}", refusal.message());
            Ok(())
        }
    }
}

/// Three descriptors, and an environment that says nothing of how the process was started.
fn nothing_inherited(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let main = pod.sleeper("main")?;
    let folder = node.path(&format!("/proc/{}/fd", main.pid()?));
    let mut open: Vec<String> =
        std::fs::read_dir(folder)?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    open.sort();
    ensure!(open == ["0", "1", "2"], "init has the descriptors {open:?}");
    // One more for the folder that is being listed.
    let output = main.sh("ls /proc/self/fd | tr '\\n' ' '; env | grep -iE 'zerocap|LISTEN_' ; true")?;
    ensure!(output.stdout.trim() == "0 1 2 3", "an exec has {:?}", output.stdout);
    Ok(())
}

/// Our folder holds one program that nobody in the container can change, replace, or read.
fn launcher(node: &Node, handler: &str) -> TestResult {
    let pod = platform(node, handler)?;
    let main = pod.sleeper("main")?;
    for line in [
        "cat /.zerocap/launcher",
        "cp /.zerocap/launcher /tmp/l",
        "echo x > /.zerocap/launcher",
        "touch /.zerocap/new",
        "rm /.zerocap/launcher",
        "mv /.zerocap /away",
        "ln -s /etc /.zerocap/link",
        "chmod 777 /.zerocap/launcher",
    ] {
        let output = main.sh(line)?;
        ensure!(output.code != 0, "`{line}` succeeded");
    }
    // Started by hand it has no plan, and runs nothing.
    let output = main.sh("/.zerocap/launcher /bin/echo ran; echo ended $?")?;
    ensure!(
        !output.stdout.contains("ran\n") && !output.stdout.contains("ended 0"),
        "the launcher ran a program without a plan: {output:?}"
    );
    Ok(())
}
