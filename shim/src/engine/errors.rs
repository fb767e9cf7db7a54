//! What an engine says when it fails.
//!
//! With the container's own streams on 0–2 an engine can only speak through its log file. The file is
//! shared by all calls on a bundle, so a call reads only what was added since it began.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Name of the engine's log in the bundle.
pub(super) const LOG_FILE: &str = "log.json";
/// How much of the log is read at most.
const MAX_READ: u64 = 64 * 1024;
/// Longest message handed on.
const MAX_MESSAGE: usize = 4096;

/// Why an engine call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The program does not exist or is not executable.
    #[error("exec: {0:?}: executable file not found in $PATH")]
    Missing(String),
    /// The program cannot be run.
    #[error("cannot run {program:?}: {reason}")]
    CannotRun {
        /// The engine's program.
        program: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The engine ended with an error; its own words.
    #[error("{0}")]
    Failed(String),
    /// The engine was killed by somebody else.
    #[error("the engine was killed by signal {signal} during {verb:?}")]
    Killed {
        /// What it was asked to do.
        verb: String,
        /// The signal's number.
        signal: u32,
    },
    /// The engine hung and was killed.
    #[error("the engine did not answer within {seconds} s to {verb:?} and was killed")]
    TimedOut {
        /// What it was asked to do.
        verb: String,
        /// How long it had.
        seconds: u64,
    },
}

impl EngineError {
    /// Whether the engine was cut off, so that it could not clean up what it had begun.
    #[must_use]
    pub fn may_leave_something(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Killed { .. })
    }

    /// Whether the engine says that it has no such container.
    #[must_use]
    pub fn is_no_such_container(&self) -> bool {
        let Self::Failed(text) = self else {
            return false;
        };
        let text = text.to_lowercase();
        text.contains("does not exist")
            || text.contains("no such process")
            || text.contains("process already finished")
            || text.contains("container not running")
            || (text.contains("no such file or directory") && text.contains("status"))
    }
}

/// A place in a log file: what is written after it belongs to the call that took it.
pub(super) struct LogMark {
    path: PathBuf,
    length: u64,
}

impl LogMark {
    pub(super) fn now(bundle: &Path) -> Self {
        let path = bundle.join(LOG_FILE);
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path, length }
    }

    /// The last error that was logged since the mark.
    pub(super) fn last_error(&self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.length)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_READ).read_to_end(&mut bytes).ok()?;
        last_error_in(&String::from_utf8_lossy(&bytes))
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
    /// youki's word for it.
    #[serde(default)]
    message: String,
}

/// The last error in the text of a log.
pub(crate) fn last_error_in(log: &str) -> Option<String> {
    entries(log)
        .filter(|entry| matches!(entry.level.to_lowercase().as_str(), "error" | "fatal" | "panic"))
        .map(|entry| if entry.msg.is_empty() { entry.message } else { entry.msg })
        .filter(|message| !message.trim().is_empty())
        .last()
        .map(|message| shorten(message.split("\n\nStack backtrace:").next().unwrap_or_default().trim()))
}

/// The entries of a log: one after the other, on one line each or on several, with garbage between them.
fn entries(log: &str) -> impl Iterator<Item = Entry> {
    let mut rest = log;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('{')?..];
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Entry>();
            match stream.next() {
                Some(Ok(entry)) => {
                    rest = &rest[stream.byte_offset()..];
                    return Some(entry);
                }
                // Not an entry: the next one may begin on the next line.
                _ => rest = &rest[rest.find('\n')?..],
            }
        }
    })
}

/// `text` within the bound of a message.
pub(super) fn shorten(text: &str) -> String {
    let end = (0..=text.len().min(MAX_MESSAGE)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_counts_in_every_dialect() {
        let runc = r#"{"level":"warning","msg":"w","time":"t"}
{"level":"error","msg":"first","time":"t"}
{"level":"error","msg":"runc create failed: x","time":"t"}"#;
        assert_eq!(last_error_in(runc).as_deref(), Some("runc create failed: x"));
        let youki = r#"{"timestamp":"t","level":"ERROR","message":"failed to mount","target":"libcontainer"}
{"timestamp":"t","level":"ERROR","message":"failed\n\nStack backtrace:\n   0: <unknown>","target":"youki"}"#;
        assert_eq!(last_error_in(youki).as_deref(), Some("failed"));
        let crun = r#"{"msg":"exec failed","level":"error","time":"t"}"#;
        assert_eq!(last_error_in(crun).as_deref(), Some("exec failed"));
        let crun = "{\n  \"msg\": \"load `config.json`\",\n  \"level\": \"error\",\n  \"time\": \"t\"\n}\n";
        assert_eq!(last_error_in(crun).as_deref(), Some("load `config.json`"));
        let mixed = format!("garbage {{\n{crun}{{\"level\":\"warning\",\"msg\":\"w\"}}\nmore");
        assert_eq!(last_error_in(&mixed).as_deref(), Some("load `config.json`"));
    }

    #[test]
    fn garbage_is_no_error_and_long_messages_are_cut() {
        assert_eq!(last_error_in("garbage\n{}\n[1]\n{\"level\":3}"), None);
        let long = format!(r#"{{"level":"error","msg":"{}"}}"#, "é".repeat(MAX_MESSAGE));
        let cut = last_error_in(&long).unwrap();
        assert!(cut.len() <= MAX_MESSAGE && cut.len() > MAX_MESSAGE - 4);
    }

    #[test]
    fn only_what_follows_the_mark_is_read() {
        let bundle = tempfile::tempdir().unwrap();
        let log = bundle.path().join(LOG_FILE);
        std::fs::write(&log, "{\"level\":\"error\",\"msg\":\"old\"}\n").unwrap();
        let mark = LogMark::now(bundle.path());
        assert_eq!(mark.last_error(), None);
        let mut text = std::fs::read_to_string(&log).unwrap();
        text.push_str("{\"level\":\"error\",\"msg\":\"new\"}\n");
        std::fs::write(&log, text).unwrap();
        assert_eq!(mark.last_error().as_deref(), Some("new"));
    }

    #[test]
    fn a_vanished_container_is_recognised() {
        for text in [
            "container does not exist",
            "error opening file `/run/x/status`: No such file or directory",
            "container not running",
        ] {
            assert!(EngineError::Failed(text.into()).is_no_such_container());
        }
        assert!(!EngineError::Failed("permission denied".into()).is_no_such_container());
    }
}
