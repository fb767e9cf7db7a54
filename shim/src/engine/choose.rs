//! Which engine, and where its program is.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::EngineError;
use crate::options::Options;

/// File name of the embedded engine, which is looked for beside the shim and then in `PATH`.
const EMBEDDED: &str = "zerocap-engine";
/// What `auto` tries, in this order, before the embedded engine.
const AUTO: [&str; 3] = ["runc", "crun", "youki"];

/// The engines that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// runc, and every program that is not known to be another one.
    Runc,
    /// crun.
    Crun,
    /// youki.
    Youki,
    /// `zerocap-engine`, which embeds libcontainer.
    Embedded,
}

impl Kind {
    /// The name people use for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Youki => "youki",
            Self::Embedded => "embedded",
        }
    }

    fn of(program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("crun") {
            Self::Crun
        } else if name.contains("youki") {
            Self::Youki
        } else if name.contains(EMBEDDED) {
            Self::Embedded
        } else {
            Self::Runc
        }
    }
}

/// The engine that `options` name, with the path of its program.
pub(super) fn choose(options: &Options) -> Result<(Kind, PathBuf), EngineError> {
    if !options.binary_name.is_empty() {
        let program = find(&options.binary_name)?;
        return Ok((Kind::of(&program), program));
    }
    match options.engine.as_str() {
        "" | "auto" => AUTO
            .iter()
            .find_map(|name| find(name).ok())
            .map_or_else(embedded, |program| Ok((Kind::of(&program), program))),
        "embedded" | EMBEDDED => embedded(),
        name => {
            let program = find(name)?;
            Ok((Kind::of(&program), program))
        }
    }
}

fn embedded() -> Result<(Kind, PathBuf), EngineError> {
    let beside = env::current_exe().ok().map(|exe| exe.with_file_name(EMBEDDED)).filter(|path| executable(path));
    let program = match beside {
        Some(program) => program,
        None => find(EMBEDDED)?,
    };
    Ok((Kind::Embedded, program))
}

/// The path of the program `name`: as it stands if it contains a slash, else searched in `PATH`.
fn find(name: &str) -> Result<PathBuf, EngineError> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        // One that is there but cannot be run is told when it is run.
        return if path.is_file() { Ok(path) } else { Err(EngineError::Missing(name.to_owned())) };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| executable(path))
        .ok_or_else(|| EngineError::Missing(name.to_owned()))
}

fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_file_name() {
        for (program, kind) in [
            ("/usr/bin/runc", Kind::Runc),
            ("/opt/crun-1.28", Kind::Crun),
            ("/x/youki", Kind::Youki),
            ("/usr/lib/zerocap-engine", Kind::Embedded),
            ("/usr/bin/kata", Kind::Runc),
        ] {
            assert_eq!(Kind::of(Path::new(program)), kind);
        }
    }

    #[test]
    fn a_missing_engine_is_named_in_double_quotes() {
        let options = Options { binary_name: "no-such-engine".into(), ..Options::default() };
        let error = choose(&options).unwrap_err().to_string();
        assert!(error.contains("\"no-such-engine\""), "{error}");
    }
}
