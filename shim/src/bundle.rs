//! The bundle directory: the files that containerd and the shims agree on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::options::Options;

/// The OCI spec.
pub const CONFIG: &str = "config.json";
/// Process id of the container's first process.
pub const INIT_PID: &str = "init.pid";
/// Address of the shim that serves the bundle, for containerd 1.7.
pub const ADDRESS: &str = "address";
/// What a `delete` without a living shim must know.
const OPTIONS: &str = "options.json";
/// How the first process ended, once it has.
const END: &str = "end.json";
/// Where the root file system is mounted.
pub const ROOTFS: &str = "rootfs";
/// containerd's log FIFO.
pub const LOG: &str = "log";

/// Largest OCI spec that is read. The kernel's limits on arguments and environments are smaller than this
/// by far; hostile annotations are not.
const MAX_CONFIG: u64 = 16 * 1024 * 1024;

/// Annotations that name the group a container belongs to, in this order.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/// What survives the shim, in the bundle: how a `delete` without a living shim reaches the engine.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leftover {
    /// Format version. A reader accepts any and ignores fields that it does not know, so that an
    /// older program can clean up after a newer one.
    version: u32,
    engine: String,
    binary_name: String,
    root: String,
    systemd_cgroup: bool,
}

impl Leftover {
    /// The format written by this version.
    const VERSION: u32 = 1;

    /// Writes the file that [`Leftover::read`] reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(bundle: &Path, options: &Options) -> io::Result<()> {
        let leftover = Self {
            version: Self::VERSION,
            engine: options.engine.clone(),
            binary_name: options.binary_name.clone(),
            root: options.root.clone(),
            systemd_cgroup: options.systemd_cgroup,
        };
        fs::write(bundle.join(OPTIONS), serde_json::to_vec(&leftover)?)
    }

    /// The engine options of the container in `bundle`; the defaults where nothing readable is.
    #[must_use]
    pub fn read(bundle: &Path) -> Options {
        let leftover = fs::read(bundle.join(OPTIONS)).ok().and_then(|bytes| Self::parse(&bytes)).unwrap_or_default();
        Options {
            engine: leftover.engine,
            binary_name: leftover.binary_name,
            root: leftover.root,
            systemd_cgroup: leftover.systemd_cgroup,
            ..Options::default()
        }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// How a container's first process ended, for a `delete` after a shim that was killed later than its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The process id it had.
    pub pid: u32,
    /// Exit status, or 128 plus the signal.
    pub status: u32,
    /// When, since 1970.
    pub at: Duration,
}

impl End {
    /// Writes what [`End::read`] reads: all of it or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, bundle: &Path) -> io::Result<()> {
        let whole = bundle.join(END);
        let part = whole.with_extension("part");
        fs::write(&part, serde_json::to_vec(self)?).and_then(|()| fs::rename(&part, whole))
    }

    /// The end of the container in `bundle`, if it is known.
    #[must_use]
    pub fn read(bundle: &Path) -> Option<Self> {
        let end: Self = serde_json::from_slice(&fs::read(bundle.join(END)).ok()?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(end.at).map(|_| end)
    }

    /// Forgets the end of a container that had the same bundle.
    pub fn forget(bundle: &Path) {
        // There is none, as a rule.
        let _ = fs::remove_file(bundle.join(END));
    }
}

/// Reads the OCI spec of `bundle`, bounded.
///
/// # Errors
/// When it cannot be read or is absurdly long.
pub fn read_config(bundle: &Path) -> io::Result<Vec<u8>> {
    let path = bundle.join(CONFIG);
    let with_path = |error: io::Error| io::Error::new(error.kind(), format!("read {}: {error}", path.display()));
    let file = fs::File::open(&path).map_err(with_path)?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(with_path)?;
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is longer than {MAX_CONFIG} bytes", path.display()),
        ));
    }
    Ok(bytes)
}

/// The group of the container in `bundle`: the id of its pod's sandbox, or its own id.
///
/// # Errors
/// When the OCI spec cannot be read or is not JSON.
pub fn group(bundle: &Path, id: &str) -> io::Result<String> {
    group_of(&read_config(bundle)?, id)
}

/// The group of the container `id` whose spec is `config`.
pub(crate) fn group_of(config: &[u8], id: &str) -> io::Result<String> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        annotations: Option<BTreeMap<String, String>>,
    }
    let spec: Spec = serde_json::from_slice(config)?;
    let annotations = spec.annotations.unwrap_or_default();
    let group = GROUPS.iter().find_map(|key| annotations.get(*key));
    Ok(group.map_or(id, String::as_str).to_owned())
}

/// Whether `id` is an identifier as containerd defines it: safe as a file name, an argument and a line.
#[must_use]
pub fn is_identifier(id: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    id.len() <= 128
        && alphanumeric(id.as_bytes().first())
        && alphanumeric(id.as_bytes().last())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The pid that an engine wrote to `path`.
///
/// # Errors
/// When the file is missing or holds no pid.
pub fn read_pid(path: &Path) -> io::Result<i32> {
    let text = fs::read_to_string(path)?;
    text.trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the pid file holds no pid"))
}

/// Where an exec's pid file is.
#[must_use]
pub fn exec_pid_file(bundle: &Path, exec_id: &str) -> PathBuf {
    bundle.join(format!("{exec_id}.pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_safe_names() {
        for good in ["a", "a.b-c_d", "0123456789abcdef"] {
            assert!(is_identifier(good), "{good}");
        }
        let long = "x".repeat(129);
        for bad in ["", ".", "..", "a/b", "-a", "a-", "a\n", "a b", "é", &long] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_group_is_the_explicit_one_then_the_sandbox_then_itself() {
        let bundle = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(bundle.path().join(CONFIG), text).unwrap();
        write(r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"s"}}"#);
        assert_eq!(group(bundle.path(), "me").unwrap(), "s");
        write(r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"s","io.containerd.runc.v2.group":"g"}}"#);
        assert_eq!(group(bundle.path(), "me").unwrap(), "g");
        write(r#"{"annotations":null}"#);
        assert_eq!(group(bundle.path(), "me").unwrap(), "me");
        write("{");
        assert!(group(bundle.path(), "me").is_err());
    }

    #[test]
    fn what_is_left_is_read_also_from_a_newer_version() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(Leftover::read(bundle.path()), Options::default());
        let options = Options { binary_name: "crun".into(), systemd_cgroup: true, ..Options::default() };
        Leftover::write(bundle.path(), &options).unwrap();
        assert_eq!(Leftover::read(bundle.path()), options);
        fs::write(bundle.path().join(OPTIONS), r#"{"version":9,"binary_name":"crun","systemd_cgroup":true,"new":[1]}"#)
            .unwrap();
        assert_eq!(Leftover::read(bundle.path()), options);
    }

    #[test]
    fn an_end_is_read_whole_or_not_at_all() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(End::read(bundle.path()), None);
        let end = End { pid: 7, status: 3, at: Duration::new(5, 6) };
        end.write(bundle.path()).unwrap();
        assert_eq!(End::read(bundle.path()), Some(end));
        for bad in ["{\"pid\":7", r#"{"pid":7,"status":3,"at":{"secs":18446744073709551615,"nanos":0}}"#] {
            fs::write(bundle.path().join(END), bad).unwrap();
            assert_eq!(End::read(bundle.path()), None, "{bad}");
        }
        End::forget(bundle.path());
        assert_eq!(fs::read_dir(bundle.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_pid_file_must_hold_a_pid() {
        let directory = tempfile::tempdir().unwrap();
        let path = exec_pid_file(directory.path(), "e");
        for (text, pid) in [("12", Some(12)), ("12\n", Some(12)), ("0", None), ("-1", None), ("x", None)] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_pid(&path).ok(), pid, "{text:?}");
        }
    }
}
