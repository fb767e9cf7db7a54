//! What a container sees at /sys/fs/cgroup: its own groups, once, and as read-only as it was asked for.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Container, skip};

const SCRIPT: &str = "grep ' /sys/fs/cgroup' /proc/self/mountinfo | sed 's/^/mount: /'; \
    find /sys/fs/cgroup -mindepth 2 -type d | sed 's/^/below: /'; \
    cat /sys/fs/cgroup/*/cgroup.procs | sed 's/^/process: /'; \
    touch /sys/fs/cgroup/x; mkdir /sys/fs/cgroup/pids/x && rmdir /sys/fs/cgroup/pids/x; echo done; sleep 1000";

/// A mount in a container: where, of what, with which options.
struct Mounted {
    root: String,
    point: String,
    options: String,
    kind: String,
}

#[test]
fn read_only_is_read_only() {
    if !has_version_1() {
        skip("version 1 cgroups are not at /sys/fs/cgroup");
        return;
    }
    for namespace in [false, true] {
        let text = look("ro", namespace);
        let found = mounts(&text);
        let points: BTreeSet<_> = found.iter().map(|mount| &mount.point).collect();
        assert_eq!(points.len(), found.len(), "two mounts at one place: {text}");
        for mount in &found {
            assert!(mount.options.split(',').any(|option| option == "ro"), "{text}");
        }
        assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
        assert_own_groups_only(&text, &found, namespace);
    }
}

/// The control: what refuses above is the option.
#[test]
fn without_the_option_it_can_be_written_to() {
    if !has_version_1() {
        skip("version 1 cgroups are not at /sys/fs/cgroup");
        return;
    }
    let text = look("nosuid", false);
    assert!(!text.contains("Read-only file system"), "{text}");
    // What was written is the container's own, not the node's.
    assert!(!Path::new("/sys/fs/cgroup/x").exists());
    let found = mounts(&text);
    assert!(found.iter().any(|mount| mount.kind == "tmpfs" && mount.point == "/sys/fs/cgroup"), "{text}");
    assert_own_groups_only(&text, &found, false);
}

#[track_caller]
fn assert_own_groups_only(text: &str, found: &[Mounted], namespace: bool) {
    let hierarchies: Vec<_> = found.iter().filter(|mount| mount.kind.starts_with("cgroup")).collect();
    assert!(hierarchies.iter().any(|mount| mount.point == "/sys/fs/cgroup/pids"), "{text}");
    for mount in &hierarchies {
        // In a namespace of its own the container's group is called the root.
        assert!(if namespace { mount.root == "/" } else { mount.root.ends_with("/c1") }, "{text}");
        assert_ne!(mount.point, "/sys/fs/cgroup/systemd", "{text}");
    }
    // Other containers' groups would be below; processes outside of the PID namespace are called 0.
    assert!(!text.contains("below: "), "{text}");
    assert!(!text.lines().any(|line| line == "process: 0"), "{text}");
    assert!(text.lines().any(|line| line == "process: 1"), "{text}");
}

/// A user namespace may not look under the node's mounts: only the directory of mount points is another.
#[test]
fn in_a_user_namespace_the_hierarchies_are_read_only() {
    if !has_version_1() {
        skip("version 1 cgroups are not at /sys/fs/cgroup");
        return;
    }
    let c = Container::new("");
    // Its root is an ordinary user outside, and has to reach and fill its root file system.
    for path in [c.dir.path(), &c.bundle(), &c.bundle().join("rootfs")] {
        fs::set_permissions(path, Permissions::from_mode(0o711)).unwrap();
    }
    let text = look_into(c, "ro", |spec| {
        push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
        for map in ["uidMappings", "gidMappings"] {
            spec["linux"][map] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        }
    });
    let found = mounts(&text);
    assert!(found.iter().any(|mount| mount.kind == "tmpfs" && mount.point == "/sys/fs/cgroup"), "{text}");
    for mount in found.iter().filter(|mount| mount.kind == "cgroup") {
        assert!(mount.options.split(',').any(|option| option == "ro"), "{text}");
    }
    assert_eq!(text.matches("Read-only file system").count(), 1, "{text}");
    assert_own_groups_only(&text, &found, false);
}

/// What the script finds as root, without capabilities.
fn look(option: &str, namespace: bool) -> String {
    look_into(Container::new(""), option, |spec| {
        if namespace {
            push(&mut spec["linux"]["namespaces"], json!({ "type": "cgroup" }));
        }
    })
}

fn look_into(c: Container, option: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut spec = c.spec(SCRIPT);
    spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    push(
        &mut spec["mounts"],
        json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", option]
        }),
    );
    change(&mut spec);
    c.write_spec(&spec);
    c.running().wait_for("done")
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

fn mounts(text: &str) -> Vec<Mounted> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("mount: "));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let end = fields.iter().position(|field| *field == "-").unwrap();
            Mounted {
                root: fields[3].into(),
                point: fields[4].into(),
                options: fields[5].into(),
                kind: fields[end + 1].into(),
            }
        })
        .collect()
}

fn has_version_1() -> bool {
    Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists()
}
