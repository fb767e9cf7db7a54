//! Path rules are opened anew for every process that is executed into a container. A symbolic link on the way must not
//! choose what such a process may touch: neither one that the image brings nor one that the workload puts there.

use zerocap_e2e::pod::PodBuilder;
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{Container, Node, TestResult, ensure};

use crate::{ENGINES, Suite};

const CODE: &str = "ZC0624";
const READS: &str = "/bin,/proc,/etc,/data/in";
/// `/data/in` becomes a link to the root: a change of `/data` alone.
const SWAP: &str = "rmdir /data/in && ln -s / /data/in && [ -L /data/in ]";

pub fn add(suite: &mut Suite) {
    suite.each("lists::swapped_for_reading", &ENGINES, swapped_for_reading);
    suite.each("lists::swapped_for_writing", &ENGINES, swapped_for_writing);
    suite.each("lists::swapped_below_a_volume", &ENGINES, swapped_below_a_volume);
    suite.each("lists::terminals", &ENGINES, terminals);
    for (name, knob, paths) in [
        ("read", "zerocap.io/fs-read", "/bin,/etc,/listed"),
        ("write", "zerocap.io/fs-write", "/listed"),
        ("execute", "zerocap.io/fs-execute", "/bin,/listed/bin"),
    ] {
        for handler in ENGINES {
            suite.with(format!("lists::link_in_the_image::{name}::{handler}"), handler, move |node| {
                link_in_the_image(node, node.pod(handler).platform().annotate(knob, paths))
            });
        }
    }
    suite.each("lists::volume_behind_a_link", &ENGINES, volume_behind_a_link);
}

/// The line must fail, and for the reason that Landlock gives.
fn denied(container: &Container<'_>, line: &str) -> TestResult {
    let output = container.sh(line)?;
    ensure!(output.code != 0 && output.stderr.contains("Permission denied"), "`{line}` was not refused: {output:?}");
    Ok(())
}

fn works(container: &Container<'_>, line: &str) -> TestResult {
    let output = container.sh(line)?;
    ensure!(output.code == 0, "`{line}` does not work: {output:?}");
    Ok(())
}

fn swapped_for_reading(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform();
    let pod =
        pod.annotate("zerocap.io/fs-read", READS).annotate("zerocap.io/fs-write", "/data,/other,/dev/null").start()?;
    let (data, other) = (pod.volume("data")?, pod.volume("other")?);
    let main = pod
        .container("main")
        .mount(&data, "/data", false)
        .mount(&other, "/other", false)
        .command(&["sh", "-c", "mkdir /data/in; echo secret > /other/file; sleep 100000"])
        .start()?;
    works(&main, "until [ -s /other/file ]; do usleep 20000; done; echo x > /data/in/file")?;
    works(&main, "cat /data/in/file && rm /data/in/file")?;
    denied(&main, "cat /other/file")?;
    works(&main, SWAP)?;
    denied(&main, "cat /other/file")?;
    denied(&main, "cat /data/in/other/file")
}

fn swapped_for_writing(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/fs-write", "/data,/data/in,/dev/null").start()?;
    let (data, other) = (pod.volume("data")?, pod.volume("other")?);
    let main = pod
        .container("main")
        .mount(&data, "/data", false)
        .mount(&other, "/other", false)
        .command(&["sh", "-c", "mkdir /data/in; sleep 100000"])
        .start()?;
    works(&main, "until [ -d /data/in ]; do usleep 20000; done; echo x > /data/in/file; rm /data/in/file")?;
    denied(&main, "echo x > /other/file")?;
    works(&main, SWAP)?;
    denied(&main, "echo x > /other/file")?;
    denied(&main, "echo x > /tmp/file")?;
    denied(&main, "echo x > /data/in/tmp/file")
}

/// A volume that is mounted below another: its mount point stays, what lies above it can be renamed.
/// The root is mounted read-only, too; /dev/shm is a place that Landlock alone protects.
fn swapped_below_a_volume(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/filesystem", "read-only").start()?;
    let (data, inner) = (pod.volume("data")?, pod.volume("inner")?);
    for folder in ["sub", "sub/in"] {
        let path = node.path(&format!("{data}/{folder}"));
        std::fs::create_dir(&path)?;
        std::os::unix::fs::chown(&path, Some(65532), Some(65532))?;
    }
    let main = pod
        .container("main")
        .mount(&data, "/data", false)
        .mount(&inner, "/data/sub/in", false)
        .command(&["sleep", "100000"])
        .start()?;
    works(&main, "echo x > /data/sub/in/file")?;
    denied(&main, "echo x > /dev/shm/file")?;
    works(&main, "mv /data/sub /data/old && mkdir /data/sub && ln -s / /data/sub/in && [ -L /data/sub/in ]")?;
    denied(&main, "echo x > /dev/shm/file")?;
    denied(&main, "echo x > /data/sub/in/dev/shm/file")?;
    works(&main, "echo x > /data/file")
}

/// `/dev/ptmx` is a link, and no rule names it: the one for `/dev/pts` is enough.
fn terminals(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let script = "import os; a, b = os.openpty(); os.write(a, b'through\\n'); assert os.read(b, 9) == b'through\\n'";
    let pods = [
        node.pod(handler).platform().annotate("zerocap.io/filesystem", "read-only"),
        node.pod(handler)
            .platform()
            .annotate("zerocap.io/fs-read", "/usr,/etc,/proc")
            .annotate("zerocap.io/fs-write", "/tmp"),
    ];
    for pod in pods {
        let pod = pod.start()?;
        let main = pod.python("main")?;
        let output = main.exec(&["/usr/bin/python3", "-c", script])?;
        ensure!(output.code == 0, "a new terminal: {output:?}");
    }
    Ok(())
}

/// `/listed` is a link to the root, so the list would mean everything.
fn link_in_the_image(node: &Node, pod: PodBuilder<'_>) -> TestResult {
    crate::import_once(node, "fight")?;
    let pod = pod.start()?;
    match pod.container("main").image("fight-listed").command(&["/bin/sleep", "100000"]).start() {
        Ok(_) => fail("a link of the image was followed"),
        Err(refusal) => named(refusal.message(), "/listed"),
    }
}

/// The same for a volume's place, under `filesystem: read-only`.
fn volume_behind_a_link(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "fight")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/filesystem", "read-only").start()?;
    let volume = pod.volume("data")?;
    let image = pod.container("main").image("fight-listed");
    match image.mount(&volume, "/listed/home", false).command(&["/bin/sleep", "100000"]).start() {
        Ok(_) => fail("a link of the image was followed"),
        Err(refusal) => named(refusal.message(), "/listed/home"),
    }
}

fn named(message: &str, path: &str) -> TestResult {
    ensure!(message.contains(CODE) && message.contains(path), "refused without {CODE} and {path}: {message}");
    Ok(())
}
