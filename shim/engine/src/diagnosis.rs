//! What libcontainer says about its failures, which its errors leave out: "failed to prepare rootfs", but not why.
//!
//! It tells the cause to `tracing` only, in whatever process it happens. So errors are written into an anonymous file
//! that all of them share, and the first one there is told with the error that reaches us: it is the innermost.

use std::fmt::{Debug, Write as _};
use std::fs::File;
use std::io::{Read, Seek, Write};

use rustix::fs::{MemfdFlags, memfd_create};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Longer than any cause worth reading.
const LIMIT: u64 = 1000;

/// The shared file.
pub struct Diagnosis {
    file: File,
}

impl Diagnosis {
    /// Begins to collect. Once per process; close-on-exec, so no workload sees it.
    pub fn begin() -> anyhow::Result<Self> {
        let file = File::from(memfd_create("zerocap-engine-errors", MemfdFlags::CLOEXEC)?);
        tracing::subscriber::set_global_default(Collector { file: file.try_clone()? })?;
        Ok(Self { file })
    }

    /// Adds the cause to an error, if one was told.
    pub fn explain(mut self, error: anyhow::Error) -> anyhow::Error {
        let mut text = String::new();
        let read = self.file.rewind().and_then(|()| (&mut self.file).take(LIMIT).read_to_string(&mut text));
        match text.lines().next() {
            Some(cause) if read.is_ok() && !cause.is_empty() => error.context(Cause(cause.to_owned())),
            _ => error,
        }
    }
}

/// The innermost cause. As a context it would come first, so the log puts it last.
#[derive(Debug)]
pub struct Cause(pub String);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes error events, one per line.
struct Collector {
    file: File,
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{}{}", line.message, line.fields).replace('\n', " ");
        // One write each: several processes share the file's position.
        drop((&self.file).write_all(format!("{text}\n").as_bytes()));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event's message and fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}: {value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_with_its_fields() {
        let file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
        let collector = Collector { file: file.try_clone().unwrap() };
        tracing::subscriber::with_default(collector, || {
            tracing::warn!("not this");
            tracing::error!(errno = 13, "failed to\nmount");
            tracing::error!("failed to prepare rootfs");
        });
        let error = Diagnosis { file }.explain(anyhow::anyhow!("create"));
        assert_eq!(error.downcast_ref::<Cause>().unwrap().0, "failed to mount, errno: 13");
    }
}
