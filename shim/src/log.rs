//! Structured lines into containerd's `log` FIFO.
//!
//! containerd opens the FIFO for reading and copies what it reads into its own log, so the lines have
//! the format of its other shims: logfmt. The FIFO is opened for reading too: it then stays open
//! while containerd restarts, and a missing reader is neither an error nor a signal. Nobody waits
//! for the log: when the FIFO is full, lines are dropped.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Longest line written; a FIFO write up to PIPE_BUF (4096) is never torn.
const MAX_LINE: usize = 4096;

struct Log {
    file: File,
    level: Level,
    /// Fields that every line carries.
    context: String,
    spans: AtomicU64,
}

/// Sends this process's log lines to the FIFO at `path`.
///
/// # Errors
/// When `path` cannot be opened, or a log was set up before.
pub fn to_fifo(path: &Path, debug: bool, namespace: &str, id: &str) -> io::Result<()> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)?;
    let mut context = String::new();
    field(&mut context, "runtime", "io.containerd.zerocap.v2");
    field(&mut context, "namespace", namespace);
    field(&mut context, "id", id);
    let log = Log { file, level: if debug { Level::DEBUG } else { Level::INFO }, context, spans: AtomicU64::new(1) };
    tracing::subscriber::set_global_default(log).map_err(io::Error::other)
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let line = render(*event.metadata().level(), SystemTime::now(), &self.context, |line| event.record(line));
        // A full FIFO (nobody reads) loses the line rather than blocking the pod.
        let _ = (&self.file).write_all(line.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, key: &Field, value: &str) {
        field(&mut self.0, name(key), value);
    }

    fn record_debug(&mut self, key: &Field, value: &dyn fmt::Debug) {
        field(&mut self.0, name(key), &format!("{value:?}"));
    }
}

fn name(field: &Field) -> &str {
    match field.name() {
        "message" => "msg",
        other => other,
    }
}

fn render(level: Level, now: SystemTime, context: &str, fields: impl FnOnce(&mut Line)) -> String {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut line = Line(String::with_capacity(256));
    field(&mut line.0, "time", &rfc3339(now));
    field(&mut line.0, "level", level);
    fields(&mut line);
    line.0.push(' ');
    line.0.push_str(context);
    let mut text = line.0;
    if text.len() >= MAX_LINE {
        let end = (0..MAX_LINE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text.push('\n');
    text
}

fn field(line: &mut String, key: &str, value: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    // Debug quoting escapes quotes and every control character: one event stays one line.
    let _ = write!(line, "{key}={value:?}");
}

fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time).truncate_to_second().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_stays_one_bounded_line() {
        let hostile = format!("a\nlevel=error msg=\"forged\"\n{}", "x".repeat(2 * MAX_LINE));
        let line = render(Level::INFO, SystemTime::UNIX_EPOCH, "", |line| {
            field(&mut line.0, "msg", &hostile);
        });
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with("time=\"1970-01-01T00:00:00Z\" level=\"info\" "));
        assert!(line.ends_with('\n') && line.len() <= MAX_LINE);
    }
}
