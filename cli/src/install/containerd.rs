//! Talking to containerd: does it accept a configuration, restart it, does it answer.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use zerocap_annotations::{ZcError, code};

use super::args::Place;
use super::block::Wanted;
use super::file::SCRATCH;
use super::{block, failed};

/// How much of a program's words an error repeats.
const WORDS: usize = 400;

/// Asks containerd for its reading of a configuration, which must show our handlers.
///
/// # Errors
/// ZC1104.
pub fn accepts(place: &Place, text: &str, wanted: Wanted<'_>) -> Result<(), ZcError> {
    let folder = place.config.parent().unwrap_or(Path::new("/"));
    let mut candidate =
        tempfile::Builder::new().prefix(SCRATCH).tempfile_in(folder).map_err(|error| failed(folder, &error))?;
    candidate.write_all(text.as_bytes()).map_err(|error| failed(candidate.path(), &error))?;
    let output =
        Command::new(&place.containerd).arg("--config").arg(candidate.path()).args(["config", "dump"]).output();
    let rejected =
        |what: String| ZcError::new(code::install::REJECTED, what, "nothing was changed; look at these words");
    match output {
        Err(error) => Err(rejected(format!("{} cannot be run: {error}", place.containerd))),
        Ok(output) if !output.status.success() => Err(rejected(format!("containerd config dump: {}", words(&output)))),
        Ok(output) if block::is_in(&String::from_utf8_lossy(&output.stdout), wanted) => Ok(()),
        Ok(_) => {
            let what =
                "containerd config dump does not show the handlers zerocap and zerocap-platform as they were written";
            Err(rejected(what.to_owned()))
        }
    }
}

/// Restarts it and waits until it answers; what went wrong otherwise.
pub fn restart(place: &Place) -> Result<(), String> {
    let output = shell(&place.restart)?;
    let healthy = place.healthy();
    if !output.status.success() {
        return Err(format!("`{}`: {}: {}", place.restart, output.status, words(&output)));
    }
    let deadline = Instant::now() + Duration::from_secs(place.patience);
    loop {
        let output = shell(&healthy)?;
        if output.status.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("`{healthy}` after {} s: {}", place.patience, words(&output)));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Runs a shell line.
pub fn shell(line: &str) -> Result<Output, String> {
    Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("sh cannot be run: {error}"))
}

/// The last words of a program, on one line.
pub fn words(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let text = text.trim().replace('\n', "; ");
    let start = text.char_indices().rev().nth(WORDS).map_or(0, |(at, _)| at);
    text[start..].to_owned()
}
