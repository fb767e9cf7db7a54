//! A container in platform mode, started through containerd by our shim and engine as a pod's would be. It looks at itself.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::args::Place;
use super::containerd::{shell, words};
use super::driver::Driver;
use super::programs::{SHIM, ZEROCAP};

/// Its folder below the prefix, containerd's namespace for it, and its name there.
const FOLDER: &str = ".self-test";
const NAMESPACE: &str = "zerocap-self-test";
const NAME: &str = "self-test";

/// Starts it with the programs of a version; what went wrong otherwise.
pub fn run(place: &Place, version: &Path, engine: &str, driver: Driver) -> Result<(), String> {
    let folder = place.prefix.join(FOLDER);
    clear(place)?;
    let (root, options) =
        prepare(&folder, version, engine, driver).map_err(|e| format!("{}: {e}", folder.display()))?;
    // As the kubelet names a pod's: a template is not filled in yet, and the engine's own folder does as well.
    let cgroup =
        if driver == Driver::Systemd { format!("--cgroup system.slice:{NAMESPACE}:{NAME} ") } else { String::new() };
    let line = format!(
        "{} --namespace {NAMESPACE} run --rm --rootfs --read-only --user 65532:65532 {cgroup}--runtime '{}' \
         --runtime-config-path '{}' '{}' {NAME} /{ZEROCAP} self-test",
        // It may hang where a shim does; coreutils and busybox both have this.
        format_args!("timeout {} {}", place.patience, place.ctr),
        version.join(SHIM).display(),
        options.display(),
        root.display(),
    );
    let output = shell(&line)?;
    let said = if output.status.success() { Ok(()) } else { Err(format!("{}: {}", output.status, words(&output))) };
    clear(place)?;
    said
}

/// A root with one program, and the options of the handler zerocap-platform.
fn prepare(folder: &Path, version: &Path, engine: &str, driver: Driver) -> io::Result<(PathBuf, PathBuf)> {
    let (root, options) = (folder.join("root"), folder.join("options.toml"));
    fs::create_dir_all(&root)?;
    fs::set_permissions(&root, PermissionsExt::from_mode(0o755))?;
    fs::copy(version.join(ZEROCAP), root.join(ZEROCAP))?;
    let engine = toml::Value::from(engine);
    let systemd = driver == Driver::Systemd;
    fs::write(&options, format!("floor = \"platform\"\nengine = {engine}\nSystemdCgroup = {systemd}\n"))?;
    Ok((root, options))
}

/// Removes what a killed run left: its shim would stop an uninstallation.
pub fn clear(place: &Place) -> Result<(), String> {
    let folder = &place.prefix.join(FOLDER);
    if !folder.exists() {
        return Ok(());
    }
    for words in
        [&format!("tasks rm --force {NAME}"), &format!("containers rm {NAME}"), &format!("namespaces rm {NAMESPACE}")]
    {
        // What is not there cannot be removed.
        shell(&format!("timeout {} {} --namespace {NAMESPACE} {words}", place.patience, place.ctr))?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
