//! The bundle as libcontainer gets it, where it must not get the original: without the seccomp profile that the workload
//! loads itself, and with other mounts for version 1 cgroups (see `cgroup_mount`).
//!
//! libcontainer loads a profile before the start gate and then accepts a connection there, so every profile would have
//! to allow accept4. Ours is loaded right before the program is executed and needs to allow nothing but that.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use libcontainer::seccomp::is_notify;
use oci_spec::runtime::{LinuxSeccomp, Spec};
use serde_json::Value;

use crate::cgroup_mount::{self, View};

/// Below the state root; no container is called so, since an id begins with no dot.
const COPIES: &str = ".bundles";

/// The bundle for libcontainer, and what was taken out of it.
pub struct Prepared {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The profile that the workload has to load.
    pub profile: Option<LinuxSeccomp>,
}

/// Prepares the bundle of a container.
pub fn prepare(original: &Path, spec: &Spec, root: &Path, id: &str) -> anyhow::Result<Prepared> {
    let profile = late_profile(spec);
    let cgroups = cgroup_mount::view(spec, id)?;
    if profile.is_none() && cgroups.is_none() {
        return Ok(Prepared { bundle: original.to_owned(), profile: None });
    }
    let copy = copy_of(root, id);
    write_copy(original, &copy, profile.is_some(), cgroups)
        .with_context(|| format!("cannot prepare {}", copy.display()))?;
    Ok(Prepared { bundle: copy, profile })
}

/// The profile, if it can be loaded after the gate.
///
/// Not without no_new_privs: loading then takes a capability that is gone by that time. Not with a listener: its
/// descriptor has to be sent while libcontainer still waits for it. Not with hooks at the gate: they run under it.
fn late_profile(spec: &Spec) -> Option<LinuxSeccomp> {
    let profile = spec.linux().as_ref()?.seccomp().as_ref()?;
    let no_new_privs = spec.process().as_ref()?.no_new_privileges() == Some(true);
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
    let has_hooks = hooks.is_some_and(|hooks| !hooks.is_empty());
    (no_new_privs && !is_notify(profile) && !has_hooks).then(|| profile.clone())
}

fn write_copy(original: &Path, copy: &Path, late: bool, cgroups: Option<View>) -> anyhow::Result<()> {
    let mut config: Value = serde_json::from_slice(&fs::read(original.join("config.json"))?)?;
    if late && let Some(linux) = config.pointer_mut("/linux").and_then(Value::as_object_mut) {
        linux.remove("seccomp");
    }
    if let (Some(cgroups), Some(mounts)) = (cgroups, config.get_mut("mounts").and_then(Value::as_array_mut)) {
        cgroups.replace(mounts)?;
    }
    let path = config.pointer("/root/path").and_then(Value::as_str).context("root.path is missing")?;
    let rootfs = fs::canonicalize(original.join(path))?;
    let rootfs = rootfs.to_str().context("root.path is not UTF-8")?.to_owned();
    if let Some(path) = config.pointer_mut("/root/path") {
        *path = Value::String(rootfs);
    }
    // Left by a create that was killed.
    drop(fs::remove_dir_all(copy));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(copy)?;
    fs::write(copy.join("config.json"), serde_json::to_vec(&config)?)?;
    Ok(())
}

/// Removes a container's copy, and the directory of all copies when it was the last.
pub fn remove(root: &Path, id: &str) {
    // Absent for most containers; not empty while others have theirs.
    drop(fs::remove_dir_all(copy_of(root, id)));
    drop(fs::remove_dir(root.join(COPIES)));
}

fn copy_of(root: &Path, id: &str) -> PathBuf {
    root.join(COPIES).join(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(change: impl FnOnce(&mut Value)) -> Spec {
        let mut spec = json!({
            "ociVersion": "1.2.1",
            "process": { "user": { "uid": 1, "gid": 1 }, "args": ["x"], "cwd": "/", "noNewPrivileges": true },
            "root": { "path": "rootfs" },
            "linux": { "seccomp": { "defaultAction": "SCMP_ACT_ERRNO" } },
        });
        change(&mut spec);
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn only_what_can_be_loaded_late_is_kept_from_libcontainer() {
        assert!(late_profile(&spec(|_| {})).is_some());
        assert!(late_profile(&spec(|s| s["process"]["noNewPrivileges"] = json!(false))).is_none());
        let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
        assert!(late_profile(&spec(|s| s["linux"]["seccomp"]["syscalls"] = notify)).is_none());
        let hooks = json!({ "startContainer": [{ "path": "/bin/true" }] });
        assert!(late_profile(&spec(|s| s["hooks"] = hooks)).is_none());
    }

    #[test]
    fn the_copy_lacks_the_profile_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("bundle");
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        let config = json!({
            "ociVersion": "1.2.1", "root": { "path": "rootfs", "readonly": true }, "unknown": [1, 2],
            "linux": { "seccomp": {}, "cgroupsPath": "/x" }
        });
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let copy = copy_of(dir.path(), "c1");
        write_copy(&bundle, &copy, true, None).unwrap();
        let copied: Value = serde_json::from_slice(&fs::read(copy.join("config.json")).unwrap()).unwrap();
        let mut expected = config;
        expected["linux"].as_object_mut().unwrap().remove("seccomp");
        expected["root"]["path"] = json!(bundle.join("rootfs"));
        assert_eq!(copied, expected);
        remove(dir.path(), "c1");
        assert!(!dir.path().join(COPIES).exists());
    }
}
