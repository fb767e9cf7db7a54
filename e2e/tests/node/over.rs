//! Mounts over the launcher: where links lead a volume, somebody else's `/.zerocap` must not be what starts.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use zerocap_e2e::pod::ContainerBuilder;
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{Node, Outcome, Pod, TestResult, ensure};

use crate::{ENGINES, Suite};

/// What runs if it is taken for the launcher: it has no more than the engine's layer of seccomp.
const FAKE: &str = "#!/bin/sh\necho ran > /ran\nexec sleep 100000\n";
/// What engines look for in a root.
const FOLDERS: [&str; 19] = [
    "etc",
    "tmp",
    "bin",
    ".zerocap",
    "dev",
    "dev/pts",
    "dev/shm",
    "dev/mqueue",
    "sys",
    "sys/fs",
    "sys/fs/cgroup",
    "proc",
    "proc/self",
    "proc/sys",
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/acpi",
    "proc/self/fd",
];

pub fn add(suite: &mut Suite) {
    suite.each("over::the_root_by_a_link_of_the_image", &ENGINES, by_image);
    suite.each("over::the_root_by_a_link_of_a_volume", &ENGINES, by_volume);
    suite.each("over::the_launcher_before_an_exec", &ENGINES, before_exec);
}

/// A volume that an earlier container has furnished as a root, with a launcher of its own.
fn root_of_its_own(node: &Node, pod: &Pod<'_>) -> Result<String, Outcome> {
    let volume = pod.volume("root")?;
    let path = node.path(&volume);
    for folder in FOLDERS {
        std::fs::create_dir(path.join(folder))?;
    }
    chown(path.join("bin"), Some(65532), Some(65532))?;
    std::fs::write(path.join("dev/null"), "")?;
    let fake = path.join(".zerocap/launcher");
    std::fs::write(&fake, FAKE)?;
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755))?;
    let first = pod.container("first").mount(&volume, "/volume", false).command(&["sleep", "100000"]).start()?;
    let copied = first.sh("cd /volume/bin && cp /bin/busybox busybox && ln -s busybox sh && ln -s busybox sleep")?;
    ensure!(copied.code == 0, "the volume cannot be furnished: {copied:?}");
    Ok(volume)
}

fn refused(container: ContainerBuilder<'_, '_>, root: &Path, handler: &str) -> TestResult {
    let Err(refusal) = container.command(&["/bin/sleep", "100000"]).start() else {
        return fail("a container with a foreign root was started");
    };
    ensure!(!root.join("ran").exists(), "a foreign launcher ran before the start was refused: {}", refusal.message());
    // Other engines refuse such a mount themselves.
    let ours = handler != "zerocap-crun" || refusal.message().contains("ZC0308");
    ensure!(ours, "refused without ZC0308: {}", refusal.message());
    Ok(())
}

fn by_image(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "fight")?;
    let pod = node.pod(handler).platform().start()?;
    let root = root_of_its_own(node, &pod)?;
    let container = pod.container("main").image("fight-listed").mount(&root, "/listed", false);
    refused(container, &node.path(&root), handler)
}

fn by_volume(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let root = root_of_its_own(node, &pod)?;
    let data = pod.volume("data")?;
    symlink("/", node.path(&data).join("sub"))?;
    let container = pod.container("main").mount(&data, "/data", false).mount(&root, "/data/sub", false);
    refused(container, &node.path(&root), handler)
}

/// Whatever came over it since the start.
fn before_exec(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().start()?;
    let main = pod.sleeper("main")?;
    ensure!(main.exec(&["true"])?.code == 0, "an exec does not work");
    let pid = main.pid()?.to_string();
    let mounted = node.exec(&["nsenter", "-t", &pid, "-m", "mount", "-t", "tmpfs", "none", "/.zerocap"])?;
    ensure!(mounted.status.success(), "nothing can be mounted: {}", String::from_utf8_lossy(&mounted.stderr));
    let Err(refusal) = main.exec(&["true"]) else { return fail("an exec was started without the launcher") };
    ensure!(refusal.message().contains("ZC0308"), "refused without ZC0308: {}", refusal.message());
    Ok(())
}
