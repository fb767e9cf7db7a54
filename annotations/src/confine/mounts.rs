//! Mounts: the launcher's directory, a private /dev/shm, the files of the container's names, read-only files.

use serde_json::{Value, json};

use super::facts::{Facts, Mount};
use super::names::{HOSTS, Names, RESOLV_CONF};
use crate::host::Host;
use crate::report::Change;

/// The launcher's directory, after every mount of the pod.
pub(super) fn launcher(spec: &mut Value, host: &Host, changes: &mut Vec<Change>) {
    let mount = json!({
        "destination": zerocap_plan::MOUNT_POINT,
        "type": "bind",
        "source": host.launcher_dir.to_string_lossy(),
        "options": ["bind", "rprivate", "ro", "nosuid", "nodev", "exec"],
    });
    add(spec, mount);
    changes.push(Change::new("/mounts", "the launcher's directory at /.zerocap, read-only"));
}

/// Files that say whom to ask for names, over whatever the container would have had there: a later mount hides an earlier one, and
/// the files below stay as they are for everybody else.
pub(super) fn names(
    spec: &mut Value,
    facts: &Facts<'_>,
    names: &Names,
    changes: &mut Vec<Change>,
    notes: &mut Vec<String>,
) {
    let hosts = names.hosts.as_ref().map(|_| (HOSTS, "the pod's and the addresses of the names in egress"));
    for (place, what) in [(RESOLV_CONF, "the container's own responder")].into_iter().chain(hosts) {
        let file = place.rsplit('/').next().unwrap_or_default();
        add(
            spec,
            json!({
                "destination": place,
                "type": "bind",
                "source": names.directory.join(file).to_string_lossy(),
                "options": ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"],
            }),
        );
        changes.push(Change::new("/mounts", format!("a private {place}, read-only: {what}")));
    }
    if facts.volume_at(RESOLV_CONF) {
        notes.push(format!("the volume at {RESOLV_CONF} is hidden by a private file, since egress has names"));
    }
    if facts.volume_at(HOSTS) {
        notes.push(format!("the volume at {HOSTS} stays: addresses of names in egress are not written there"));
    }
}

/// One mount more, over all others.
fn add(spec: &mut Value, mount: Value) {
    let Some(root) = spec.as_object_mut() else { return };
    match root.get_mut("mounts") {
        Some(Value::Array(mounts)) => mounts.push(mount),
        _ => {
            root.insert("mounts".into(), Value::Array(vec![mount]));
        }
    }
}

/// A tmpfs of the container's own instead of the /dev/shm that the CRI shares among the pod's containers. A volume of
/// the user stays: it was asked for.
pub(super) fn private_shm(spec: &mut Value, facts: &Facts<'_>, changes: &mut Vec<Change>, notes: &mut Vec<String>) {
    each_mount(spec, facts, |index, fact, mount| {
        if !fact.is_sandbox_shm(facts.sandbox_id) {
            return;
        }
        let mut options = vec!["nosuid", "nodev", "noexec", "mode=1777", "size=65536k"];
        if fact.read_only {
            options.push("ro");
        }
        *mount = json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options });
        changes.push(Change::new(format!("/mounts/{index}"), "a private /dev/shm instead of the pod's"));
    });
    if facts.user_shm() {
        notes.push("/dev/shm is a volume of the pod and stays: what else mounts it shares it".to_owned());
    }
}

/// A root without write permission, and the kubelet's files as well: Landlock knows no chmod, chown and setxattr.
pub(super) fn read_only(spec: &mut Value, facts: &Facts<'_>, changes: &mut Vec<Change>) {
    if let Some(root) = spec.get_mut("root").and_then(Value::as_object_mut)
        && root.insert("readonly".into(), Value::Bool(true)) != Some(Value::Bool(true))
    {
        changes.push(Change::new("/root/readonly", "set, for filesystem: read-only"));
    }
    each_mount(spec, facts, |index, fact, mount| {
        if !fact.is_kubelet_file() || fact.read_only {
            return;
        }
        let options = fact.options.iter().filter(|option| **option != "rw").chain(std::iter::once(&"ro"));
        let options = options.map(|option| Value::String((*option).to_owned())).collect();
        if let Some(mount) = mount.as_object_mut() {
            mount.insert("options".into(), Value::Array(options));
            changes.push(Change::new(format!("/mounts/{index}/options"), "read-only, for filesystem: read-only"));
        }
    });
}

/// Every mount beside what is known of it. The facts were read from the same array.
fn each_mount(spec: &mut Value, facts: &Facts<'_>, mut with: impl FnMut(usize, &Mount<'_>, &mut Value)) {
    let mounts = spec.get_mut("mounts").and_then(Value::as_array_mut);
    for (index, (mount, fact)) in mounts.into_iter().flatten().zip(&facts.mounts).enumerate() {
        with(index, fact, mount);
    }
}
