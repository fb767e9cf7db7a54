//! OCI specs for the scenarios: as small as engines accept, for an ordinary user without capabilities, so that the same
//! spec can be run confined.

use std::fs;
use std::io;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use serde_json::{Value, json};

/// Who runs in the containers.
pub const USER: u32 = 65532;

/// Programs of busybox that the scenarios use.
const APPLETS: [&str; 15] =
    ["sh", "sleep", "cat", "echo", "true", "false", "head", "stty", "dd", "tail", "id", "wc", "env", "seq", "stat"];

/// The spec of a container that runs `args`.
pub fn container(args: &[&str], cgroup: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(args),
        "root": { "path": "rootfs" },
        "hostname": "c",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": { "memory": { "limit": 64 << 20 }, "pids": { "limit": 64 } },
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "network" },
            ],
        },
    })
}

/// A process that runs `args`.
pub fn process(args: &[&str]) -> Value {
    let none: [&str; 0] = [];
    json!({
        "user": { "uid": USER, "gid": USER },
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
        "noNewPrivileges": true,
        "capabilities": { "bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none },
    })
}

/// Makes a root file system of busybox at `rootfs`. `busybox` must be on the same file system.
pub fn rootfs(rootfs: &Path, busybox: &Path) -> io::Result<()> {
    for name in ["bin", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(name))?;
    }
    chown(rootfs.join("tmp"), Some(USER), Some(USER))?;
    fs::hard_link(busybox, rootfs.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    Ok(())
}
