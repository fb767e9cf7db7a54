//! The daemon's log: one JSON object a line, on standard output.

use std::io::Write;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As planned.
    Info,
    /// Somebody should look.
    Warning,
}

/// Writes a line. `fields` is an object; keys `time`, `level` and `msg` are the line's own. A log that cannot be written does
/// not stop the daemon.
pub fn line(level: Level, message: &str, fields: &Value) {
    let mut line = Map::new();
    line.insert("time".into(), json!(now()));
    line.insert("level".into(), json!(if level == Level::Info { "info" } else { "warning" }));
    line.insert("msg".into(), json!(message));
    for (key, value) in fields.as_object().into_iter().flatten() {
        line.entry(key.clone()).or_insert_with(|| value.clone());
    }
    // JSON escapes every control character: one event stays one line.
    let _ = writeln!(std::io::stdout().lock(), "{}", Value::Object(line));
}

/// The time, as Kubernetes and the log write it.
pub fn now() -> String {
    OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339).unwrap_or_default()
}

/// The same, in microseconds, as an Event has it.
pub fn now_in_micros() -> String {
    let now = OffsetDateTime::now_utc();
    let seconds = now.truncate_to_second().format(&Rfc3339).unwrap_or_default();
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), now.microsecond())
}
