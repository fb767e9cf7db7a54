//! The runtime options of a containerd handler.
//!
//! They arrive in one of two encodings, whatever the runtime is called: runc's own message
//! (`containerd.runc.v1.Options`), or `runtimeoptions.v1.Options`, whose body is the TOML table that
//! the administrator wrote. Both end up in [`Options`].

use std::fs;
use std::path::{Path, PathBuf};

use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message as _, UnknownValueRef};
use containerd_shim::protos::shim::oci;
use prost::Message as _;
use serde::{Deserialize, Serialize};

/// Largest accepted option body or file.
const MAX_BODY: usize = 64 * 1024;

/// The number of `criu_path` in containerd 1's message.
const CRIU_PATH: u32 = 8;

/// What a handler asks of the shim. The default is a handler without options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Engine by name: `runc`, `crun`, `youki`, `embedded` or `auto`. Empty: `auto`.
    #[serde(alias = "Engine")]
    pub engine: String,
    /// Engine binary by name or path; wins over `engine`.
    #[serde(alias = "BinaryName")]
    pub binary_name: String,
    /// The engine's state root. The containerd namespace is appended.
    #[serde(alias = "Root")]
    pub root: String,
    /// Let systemd manage the container's cgroup.
    #[serde(alias = "SystemdCgroup")]
    pub systemd_cgroup: bool,
    /// Use a plain mount instead of pivot_root.
    #[serde(alias = "NoPivotRoot")]
    pub no_pivot_root: bool,
    /// Leave the session keyring as it is.
    #[serde(alias = "NoNewKeyring")]
    pub no_new_keyring: bool,
    /// Cgroup that the shim itself is moved to.
    #[serde(alias = "ShimCgroup")]
    pub shim_cgroup: String,
    /// Owner of the stdio pipes.
    #[serde(alias = "IoUid")]
    pub io_uid: u32,
    /// Group of the stdio pipes.
    #[serde(alias = "IoGid")]
    pub io_gid: u32,
    /// The criu program, named `criu`: its folder is the first in which engines look. Empty: the one in `PATH`.
    #[serde(alias = "CriuPath")]
    pub criu_path: String,
    /// Where checkpoint images are. containerd itself reads this, and names the folder in its request.
    #[serde(alias = "CriuImagePath")]
    pub criu_image_path: String,
    /// Where criu works at a restore. Empty: `work` in the bundle.
    #[serde(alias = "CriuWorkPath")]
    pub criu_work_path: String,
    /// Where a task service runs already. containerd itself reads this, and asks no shim then.
    #[serde(alias = "TaskApiAddress")]
    pub task_api_address: String,
    /// The version that it speaks.
    #[serde(alias = "TaskApiVersion")]
    pub task_api_version: u32,
    /// Name of the built-in floor: `none` or `platform`. Empty: the floor file decides.
    pub floor: String,
    /// The floor file, instead of `/etc/zerocap/floor.toml`.
    pub floor_file: String,
}

/// Why options were refused.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The type is neither of the two known ones.
    #[error(
        "runtime options of type {0:?} are not supported: use \"containerd.runc.v1.Options\" or \"runtimeoptions.v1.Options\""
    )]
    Type(String),
    /// The bytes do not decode.
    #[error("runtime options do not decode as {kind}: {reason}")]
    Encoding {
        /// The message type that was announced.
        kind: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// The TOML table has an unknown key or a bad value.
    #[error("runtime options: {0}")]
    Toml(String),
    /// The options point to a file that cannot be read.
    #[error("runtime options: cannot read {path:?}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The body is absurdly long.
    #[error("runtime options are longer than {MAX_BODY} bytes")]
    TooLong,
}

/// `runtimeoptions.v1.Options`, which no crate offers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RuntimeOptions {
    /// Name of the type that the body has, for runtimes with several.
    #[prost(string, tag = "1")]
    type_url: String,
    /// A file to read instead of the body.
    #[prost(string, tag = "2")]
    config_path: String,
    /// The TOML table.
    #[prost(bytes = "vec", tag = "3")]
    config_body: Vec<u8>,
}

impl Options {
    /// Reads options as containerd sends them. Absent options are the defaults.
    ///
    /// # Errors
    /// [`OptionsError`] for unknown types, bytes that do not decode, unknown keys.
    pub fn from_any(any: Option<&Any>) -> Result<Self, OptionsError> {
        let Some(any) = any else {
            return Ok(Self::default());
        };
        if any.value.len() > MAX_BODY {
            return Err(OptionsError::TooLong);
        }
        match any.type_url.rsplit('/').next().unwrap_or_default() {
            "" if any.value.is_empty() => Ok(Self::default()),
            "containerd.runc.v1.Options" => Self::from_runc(&any.value),
            "runtimeoptions.v1.Options" => Self::from_runtime_options(&any.value),
            other => Err(OptionsError::Type(other.to_owned())),
        }
    }

    fn from_runc(bytes: &[u8]) -> Result<Self, OptionsError> {
        let runc = oci::Options::parse_from_bytes(bytes).map_err(|error| OptionsError::Encoding {
            kind: "containerd.runc.v1.Options",
            reason: error.to_string(),
        })?;
        let criu_path = removed_string(&runc, CRIU_PATH);
        Ok(Self {
            binary_name: runc.binary_name,
            root: runc.root,
            systemd_cgroup: runc.systemd_cgroup,
            no_pivot_root: runc.no_pivot_root,
            no_new_keyring: runc.no_new_keyring,
            shim_cgroup: runc.shim_cgroup,
            io_uid: runc.io_uid,
            io_gid: runc.io_gid,
            criu_path,
            criu_image_path: runc.criu_image_path,
            criu_work_path: runc.criu_work_path,
            task_api_address: runc.task_api_address,
            task_api_version: runc.task_api_version,
            ..Self::default()
        })
    }

    fn from_runtime_options(bytes: &[u8]) -> Result<Self, OptionsError> {
        let options = RuntimeOptions::decode(bytes)
            .map_err(|error| OptionsError::Encoding { kind: "runtimeoptions.v1.Options", reason: error.to_string() })?;
        if !options.config_body.is_empty() || options.config_path.is_empty() {
            let text = std::str::from_utf8(&options.config_body).map_err(|_| OptionsError::Encoding {
                kind: "runtimeoptions.v1.Options",
                reason: "the body is not UTF-8".to_owned(),
            })?;
            return Self::from_toml(text);
        }
        let path = Path::new(&options.config_path);
        let text = fs::read_to_string(path).map_err(|source| OptionsError::File { path: path.to_owned(), source })?;
        Self::from_toml(&text)
    }

    fn from_toml(text: &str) -> Result<Self, OptionsError> {
        if text.len() > MAX_BODY {
            return Err(OptionsError::TooLong);
        }
        toml::from_str(text).map_err(|error| OptionsError::Toml(error.message().replace('\n', " ")))
    }
}

/// A string field that newer versions of the message do not have any more.
fn removed_string(message: &oci::Options, field: u32) -> String {
    match message.special_fields.unknown_fields().get(field) {
        Some(UnknownValueRef::LengthDelimited(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(kind: &str, value: Vec<u8>) -> Any {
        Any { type_url: kind.to_owned(), value, ..Any::default() }
    }

    fn body(text: &str) -> Any {
        let message = RuntimeOptions { config_body: text.as_bytes().to_vec(), ..RuntimeOptions::default() };
        any("runtimeoptions.v1.Options", message.encode_to_vec())
    }

    #[test]
    fn both_encodings_mean_the_same() {
        let runc = oci::Options {
            binary_name: "/usr/bin/crun".into(),
            root: "/r".into(),
            systemd_cgroup: true,
            io_uid: 7,
            ..oci::Options::default()
        };
        let runc = any("containerd.runc.v1.Options", runc.write_to_bytes().unwrap());
        let toml = body("BinaryName = '/usr/bin/crun'\nroot = '/r'\nsystemd_cgroup = true\nio_uid = 7");
        let read = Options::from_any(Some(&runc)).unwrap();
        assert_eq!(read, Options::from_any(Some(&toml)).unwrap());
        assert_eq!(read.binary_name, "/usr/bin/crun");
        assert_eq!(read.io_uid, 7);
    }

    #[test]
    fn the_criu_of_containerd_1_is_read_though_the_message_has_lost_it() {
        let mut bytes =
            oci::Options { criu_work_path: "/w".into(), ..oci::Options::default() }.write_to_bytes().unwrap();
        bytes.extend(b"\x42\x0e/opt/criu/criu");
        let read = Options::from_any(Some(&any("containerd.runc.v1.Options", bytes))).unwrap();
        assert_eq!((read.criu_path.as_str(), read.criu_work_path.as_str()), ("/opt/criu/criu", "/w"));
        assert_eq!(Options::from_any(Some(&body("CriuPath = '/opt/criu/criu'"))).unwrap().criu_path, read.criu_path);
    }

    #[test]
    fn nothing_and_empty_are_the_defaults() {
        for none in [
            None,
            Some(&Any::default()),
            Some(&any("containerd.runc.v1.Options", vec![])),
            Some(&any("type.googleapis.com/runtimeoptions.v1.Options", vec![])),
            Some(&body("")),
        ] {
            assert_eq!(Options::from_any(none).unwrap(), Options::default());
        }
    }

    #[test]
    fn unknown_keys_types_and_garbage_are_refused() {
        let unknown = Options::from_any(Some(&body("enginee = 'runc'"))).unwrap_err();
        assert!(unknown.to_string().contains("enginee"), "{unknown}");
        assert!(!unknown.to_string().contains('\n'));
        let kind = Options::from_any(Some(&any("some.Options", vec![1]))).unwrap_err();
        assert!(matches!(kind, OptionsError::Type(_)));
        for kind in ["containerd.runc.v1.Options", "runtimeoptions.v1.Options"] {
            let garbage = Options::from_any(Some(&any(kind, vec![0xff; 9]))).unwrap_err();
            assert!(matches!(garbage, OptionsError::Encoding { .. }));
        }
        let long = body(&"#".repeat(MAX_BODY));
        assert!(matches!(Options::from_any(Some(&long)), Err(OptionsError::TooLong)));
    }

    #[test]
    fn a_config_path_is_read_when_there_is_no_body() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "engine = 'youki'\nfloor = 'platform'").unwrap();
        let message =
            RuntimeOptions { config_path: file.path().to_str().unwrap().to_owned(), ..RuntimeOptions::default() };
        let options = any("runtimeoptions.v1.Options", message.encode_to_vec());
        let read = Options::from_any(Some(&options)).unwrap();
        assert_eq!((read.engine.as_str(), read.floor.as_str()), ("youki", "platform"));
    }
}
