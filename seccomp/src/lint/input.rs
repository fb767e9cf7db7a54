//! A file as one of the forms that a profile can have.

use super::bad_input::BadInput;
use crate::Insn;
use crate::oci::docker::is_docker;
use crate::oci::source::{MAX_BYTES, Source};
use crate::walk::read_raw;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `linux.seccomp` by itself.
    Oci,
    /// A bundle's config.json.
    Config,
    /// The format of Docker and Podman.
    Docker,
    /// A list in TOML.
    Toml,
    /// A compiled filter: `struct sock_filter` after `struct sock_filter`.
    Compiled,
}

impl Form {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Config => "config.json",
            Self::Docker => "docker",
            Self::Toml => "toml",
            Self::Compiled => "compiled",
        }
    }
}

/// A file that was understood so far.
#[derive(Debug)]
pub(super) enum Input {
    Json { form: Form, source: Source },
    Toml(String),
    Compiled(Vec<Insn>),
}

impl Input {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadInput> {
        if bytes.len() > MAX_BYTES {
            let problem = format!("larger than {} MiB", MAX_BYTES >> 20);
            return Err(BadInput::new(problem, "give a seccomp profile: real ones have a few KiB"));
        }
        if bytes.is_empty() {
            return Err(BadInput::new("the file is empty", "give a seccomp profile"));
        }
        // Every instruction of a filter has a zero byte, no text has one.
        if bytes.contains(&0) {
            let hint = "a compiled filter is whole instructions of 8 bytes, little endian";
            return read_raw(bytes).map(Self::Compiled).map_err(|error| BadInput::new(error.to_string(), hint));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let problem = format!("neither text nor a compiled filter: byte {} is not UTF-8", error.valid_up_to());
            BadInput::new(problem, "give OCI or Docker JSON, a list in TOML, or a compiled filter")
        })?;
        if !text.trim_start().starts_with(['{', '[']) && !text.trim().is_empty() && text.contains('=') {
            return Ok(Self::Toml(text.to_owned()));
        }
        // `[answers]` begins a table of TOML.
        let table =
            text.trim_start().starts_with('[') && text.trim_start()[1..].starts_with(|c: char| c.is_ascii_lowercase());
        if table {
            return Ok(Self::Toml(text.to_owned()));
        }
        let source = Source::parse(text.to_owned()).map_err(BadInput::source)?;
        let value = source.value();
        let form = match value {
            _ if value.pointer("/linux/seccomp").is_some() => Form::Config,
            _ if value.get("ociVersion").is_some() => {
                return Err(BadInput::new("this config.json has no linux.seccomp", "give one that has, or a profile"));
            }
            _ if is_docker(value) => Form::Docker,
            _ => Form::Oci,
        };
        Ok(Self::Json { form, source })
    }

    pub(super) fn form(&self) -> Form {
        match self {
            Self::Json { form, .. } => *form,
            Self::Toml(_) => Form::Toml,
            Self::Compiled(_) => Form::Compiled,
        }
    }
}
