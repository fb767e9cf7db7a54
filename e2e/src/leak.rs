//! What lies around on a node: compared before and after, nothing may be new.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::node::Node;

/// Folders in which runtimes keep their things.
const FOLDERS: [&str; 7] = [
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/containerd/s",
    "/run/containerd/runc",
    "/run/containerd/io.containerd.grpc.v1.cri/sandboxes",
    "/run/zerocap",
    "/run/runc",
    "/run/netns",
];

/// How long the tests' containers sleep: the node's own scripts do not.
const WORKLOAD: &str = " 100000";

/// What a runtime makes once and shares among all pods.
const SHARED: [&str; 9] = [
    "/k8s.io",
    "/zerocap-self-test",
    "/kubepods.slice",
    "/kubepods-besteffort.slice",
    "/.cache",
    "/.empty-directory",
    "/run/zerocap/.console",
    "/run/zerocap/host.json",
    "/run/zerocap/.launcher",
];

/// Everything on the node that a pod could leave: processes, mounts, cgroups, folders, network links.
/// With `about`, only what carries that text (an id) in its name, its command line or its cgroup.
pub fn inventory(node: &Node, about: Option<&str>) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    processes(node, &mut found)?;
    for line in fs::read_to_string(node.path("/proc/1/mountinfo"))?.lines() {
        if let Some(at) = line.split(' ').nth(4) {
            found.insert(format!("mount {at}"));
        }
    }
    walk(&node.path("/sys/fs/cgroup"), "cgroup ", 6, &mut found);
    for folder in FOLDERS {
        walk(&node.path(folder), folder, 3, &mut found);
    }
    found.retain(|item| {
        !SHARED.iter().any(|shared| item.ends_with(shared) || item.contains("/.cache/") || item.contains("/.launcher/"))
    });
    if let Some(about) = about {
        found.retain(|item| item.contains(about));
    }
    Ok(found)
}

/// What is there now and was not before; waits a little, since the kernel and containerd clean up in the background.
pub fn appeared(node: &Node, before: &BTreeSet<String>, about: Option<&str>) -> io::Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let new: Vec<String> = inventory(node, about)?.difference(before).cloned().collect();
        if new.is_empty() || Instant::now() > deadline {
            return Ok(new);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn processes(node: &Node, found: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(node.path("/proc"))? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|n| n.to_str()).filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        let read = |name: &str| {
            fs::read(path.join(name)).map(|b| String::from_utf8_lossy(&b).replace('\0', " ")).unwrap_or_default()
        };
        let (comm, line, group) = (read("comm"), read("cmdline"), read("cgroup"));
        // The node's own: the supervising script with its helpers, containerd, and its calls of `ctr`, `runc` and CNI plugins.
        let of_node = ["init", "systemd", "bash", "containerd", "ctr", "grep", "sleep"].contains(&comm.trim());
        if comm.is_empty() || line.is_empty() || (of_node && !line.contains(WORKLOAD)) {
            continue;
        }
        found.insert(format!("process {pid} {} {line} {}", comm.trim(), group.lines().last().unwrap_or_default()));
    }
    Ok(())
}

fn walk(folder: &Path, shown: &str, depth: u32, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = format!("{shown}/{}", entry.file_name().to_string_lossy());
        let is_cgroup_file = shown.starts_with("cgroup") && !kind.is_dir();
        if is_cgroup_file {
            continue;
        }
        found.insert(name.clone());
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), &name, depth - 1, found);
        }
    }
}
