//! `zerocap install node` and `zerocap uninstall node`: the only commands that change a node.

pub mod args;
mod block;
mod containerd;
mod file;
mod pending;
mod programs;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use zerocap_annotations::{ZcError, code};

use crate::failure::Failure;
use crate::out::{out, outln};
use args::{Install, Node, Output, Place, RemoveNode, Uninstall, What, WhatToRemove};
use file::{Change, Lock};
use pending::Pending;
use programs::Programs;

/// What was done, for `--output json`.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// The folder of the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<PathBuf>,
    /// The file that was changed; nothing if it was right already.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<PathBuf>,
    /// Whether containerd was restarted.
    restarted: bool,
    /// Versions that stay because pods run on them.
    kept: Vec<PathBuf>,
}

/// `zerocap install`.
pub fn install(arguments: &Install) -> Result<ExitCode, Failure> {
    let What::Node(node) = &arguments.what;
    install_node(node)
}

/// `zerocap uninstall`.
pub fn uninstall(arguments: &Uninstall) -> Result<ExitCode, Failure> {
    let WhatToRemove::Node(node) = &arguments.what;
    uninstall_node(node)
}

fn install_node(node: &Node) -> Result<ExitCode, Failure> {
    let place = &node.place;
    // 1. What is there, and what should be there. Nothing is touched.
    let from = match &node.from {
        Some(folder) => folder.clone(),
        None => own_folder().map_err(|error| Failure::bad_input(failed(Path::new("/proc/self/exe"), &error)))?,
    };
    let programs = Programs::of(&from).map_err(Failure::bad_input)?;
    let shim = programs.place(&place.prefix).join(programs::SHIM);
    let wanted = block::Wanted { shim: &shim, engine: &node.engine };
    let mut change = Change::to_install(&place.config, wanted).map_err(Failure::bad_input)?;
    if node.dry_run {
        out!("{}", change.diff());
        return Ok(ExitCode::SUCCESS);
    }

    // 2. One at a time; programs first, since the configuration names them.
    let _lock = Lock::take(&place.prefix).map_err(Failure::refused)?;
    let copied = programs.copy(&place.prefix).map_err(Failure::refused)?;

    // 3. containerd's opinion, 4. the change, the restart, or everything as it was.
    let restarted = apply(place, &mut change, Some(&shim)).map_err(Failure::refused)?;

    // 5. Versions that nothing uses any more.
    let folder = programs.place(&place.prefix);
    let kept = programs::sweep(&place.prefix, Some(&folder)).map_err(Failure::refused)?;
    tell(
        place,
        &Done {
            programs: copied.then_some(folder),
            changed: change.is_needed().then(|| change.path().to_owned()),
            restarted,
            kept,
        },
    );
    Ok(ExitCode::SUCCESS)
}

fn uninstall_node(node: &RemoveNode) -> Result<ExitCode, Failure> {
    let place = &node.place;
    if !place.prefix.is_dir() {
        let what = format!("{} is not there", place.prefix.display());
        return Err(Failure::refused(ZcError::new(
            code::install::NOT_INSTALLED,
            what,
            "name the folder with --prefix",
        )));
    }
    let lock = Lock::take(&place.prefix).map_err(Failure::refused)?;
    let shims = programs::shims(&place.prefix);
    if shims > 0 {
        let what = format!("{shims} shims run from {}", place.prefix.display());
        let instead = "delete or drain the pods with our RuntimeClasses, then uninstall again";
        return Err(Failure::refused(ZcError::new(code::install::PODS_RUN, what, instead)));
    }
    let mut change = Change::to_uninstall(&place.config).map_err(Failure::bad_input)?;
    let restarted = apply(place, &mut change, None).map_err(Failure::refused)?;
    let kept = programs::sweep(&place.prefix, None).map_err(Failure::refused)?;
    lock.remove(kept.is_empty());
    tell(
        place,
        &Done { programs: None, changed: change.is_needed().then(|| change.path().to_owned()), restarted, kept },
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes a change of the configuration, restarts containerd with it, and undoes it if containerd does not come back.
/// Whether there was something to do.
fn apply(place: &Place, change: &mut Change, shim: Option<&Path>) -> Result<bool, ZcError> {
    Pending::resume(&place.prefix, change)?;
    if !change.is_needed() {
        return Ok(false);
    }
    if let (Some(shim), Some(text)) = (shim, change.to_check()) {
        containerd::accepts(place, text, shim)?;
    }
    let pending = Pending::begin(&place.prefix, change)?;
    change.make()?;
    let Err(trouble) = containerd::restart(place) else {
        pending.end()?;
        return Ok(true);
    };
    change.undo()?;
    let (code, what) = match containerd::restart(place) {
        Ok(()) => {
            pending.end()?;
            (code::install::ROLLED_BACK, trouble)
        }
        Err(again) => (code::install::ROLLBACK_FAILED, format!("{trouble}; with the former configuration: {again}")),
    };
    Err(ZcError::new(code, what, "the configuration is what it was; look at containerd's log"))
}

fn tell(place: &Place, done: &Done) {
    if place.output == Output::Json {
        match serde_json::to_string_pretty(done) {
            Ok(text) => outln!("{text}"),
            Err(error) => eprintln!("error: {error}"),
        }
        return;
    }
    if let Some(folder) = &done.programs {
        outln!("programs: {}", folder.display());
    }
    match &done.changed {
        Some(file) => outln!("changed: {}", file.display()),
        None => outln!("{} is right already", place.config.display()),
    }
    if done.restarted {
        outln!("containerd was restarted and answers");
    }
    for folder in &done.kept {
        outln!("kept, since pods run on it: {}", folder.display());
    }
}

fn own_folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program.parent().map(Path::to_owned).ok_or_else(|| io::Error::other("this program lies in no folder"))
}

/// A file of the node that could not be written or read.
fn failed(file: &Path, error: &io::Error) -> ZcError {
    ZcError::new(
        code::install::NODE_WRITE,
        format!("{}: {error}", file.display()),
        "look at permissions, space and read-only mounts",
    )
}
