//! The ways in: what containerd runs this program for.
//!
//! containerd reads stdout and stderr of `start`, `delete` and `-info` together, so nothing but the
//! answer is ever written there, unless the call fails: then one line says why.

mod delete;
mod info;
mod params;
mod serve;
mod socket;
mod start;

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use containerd_shim::Flags;

use crate::bundle::is_identifier;
use crate::mounts;

/// The runtime's name.
pub const RUNTIME: &str = "io.containerd.zerocap.v2";

/// Runs the program: reads the command line, does what it says.
#[must_use]
pub fn run() -> ExitCode {
    match dispatch() {
        Ok(answer) => {
            let mut stdout = std::io::stdout();
            match stdout.write_all(&answer).and_then(|()| stdout.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // One line, with all causes: containerd puts it into the pod's events.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<Vec<u8>> {
    let args = env::args_os().collect::<Vec<_>>();
    let args = args.get(1..).unwrap_or_default();
    if let [serve, rest @ ..] = args
        && serve == serve::VERB
    {
        serve::run(rest)?;
        return Ok(Vec::new());
    }
    if let [hold] = args
        && hold == mounts::HOLD_VERB
    {
        mounts::hold().context("cannot hold a user namespace")?;
        return Ok(Vec::new());
    }
    let flags = containerd_shim::parse(args).context("bad command line")?;
    if flags.version {
        return Ok(version());
    }
    if flags.info {
        return info::run();
    }
    check(&flags)?;
    match flags.action.as_str() {
        "start" => start::run(&flags),
        "delete" => delete::run(&flags),
        "" => bail!("this program is run by containerd: it wants \"start\" or \"delete\""),
        other => bail!("unknown action {other:?}: \"start\" and \"delete\" exist"),
    }
}

/// Whether `start` would take these bytes on stdin.
pub(crate) fn is_start(input: &[u8], flags: &Flags) -> bool {
    params::Params::parse(input, flags, Some("/t".to_owned())).is_ok()
}

fn version() -> Vec<u8> {
    let program = env::args().next().unwrap_or_default();
    format!("{program}:\n  Version:  {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
}

fn check(flags: &Flags) -> Result<()> {
    if flags.namespace.is_empty() {
        bail!("shim namespace cannot be empty");
    }
    if !is_identifier(&flags.namespace) {
        bail!("bad namespace {:?}", flags.namespace);
    }
    if !is_identifier(&flags.id) {
        bail!("bad container id {:?}", flags.id);
    }
    Ok(())
}

/// The bundle: named by a flag, or the working directory.
fn bundle(flags: &Flags) -> Result<PathBuf> {
    if flags.bundle.is_empty() {
        env::current_dir().context("cannot tell the working directory")
    } else {
        Ok(flags.bundle.clone().into())
    }
}
