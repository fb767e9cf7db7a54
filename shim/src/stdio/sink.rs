//! Where output goes: what containerd's stdout and stderr names mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::ready;

/// A program that reads a process's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its path and its arguments.
    pub(super) command: Vec<String>,
    /// Whether it says that it is ready by a byte: what ends without one is no logger.
    pub(super) tells: bool,
}

/// A parsed output name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Thrown away.
    Nothing,
    /// A FIFO, or an existing file that is appended to.
    Path(PathBuf),
    /// `file://`: a file that is created if need be.
    File(PathBuf),
    /// `binary://` and `binary-v2://`: a program that reads the streams.
    Logger(Program),
}

impl Target {
    pub(super) fn parse(name: &str) -> io::Result<Self> {
        if name.is_empty() {
            return Ok(Self::Nothing);
        }
        if name.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            let message =
                format!("unable to parse stdout uri: parse {name:?}: net/url: invalid control character in URL");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let Some((scheme, rest)) = name.split_once("://") else {
            return Ok(Self::Path(name.into()));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme {
            "fifo" => Ok(Self::Path(percent_decode(path)?.into())),
            "file" => Ok(Self::File(percent_decode(path)?.into())),
            "binary" | "binary-v2" => {
                let mut command = vec![percent_decode(path)?];
                for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    // A key without a value is followed by an empty argument: loggers count on pairs.
                    command.push(percent_decode(&key.replace('+', " "))?);
                    command.push(percent_decode(&value.replace('+', " "))?);
                }
                Ok(Self::Logger(Program { command, tells: scheme == "binary-v2" }))
            }
            other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown STDIO scheme {other}"))),
        }
    }
}

/// An opened output.
pub(super) enum Sink {
    /// A FIFO or pipe.
    Fifo(AsyncFd<OwnedFd>),
    /// A regular file (or a device). Writing to it can wait for a disk.
    File(Arc<File>),
}

impl Sink {
    /// Opens `target`; `None` where output is thrown away.
    pub(super) fn open(target: &Target) -> io::Result<Option<Self>> {
        match target {
            Target::Nothing | Target::Logger(_) => Ok(None),
            Target::Path(path) => Self::existing(path).map(Some),
            // Opening one as a file would wait for its reader, and the whole pod with it.
            Target::File(path) if is_fifo_at(path) => Self::existing(path).map(Some),
            Target::File(path) => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
                Ok(Some(Self::File(file.into())))
            }
        }
    }

    /// Wraps the writing end of a pipe.
    pub(super) fn pipe(end: OwnedFd) -> io::Result<Self> {
        super::nonblocking(end, Interest::WRITABLE).map(Self::Fifo)
    }

    fn existing(path: &Path) -> io::Result<Self> {
        let context = |error: io::Error| io::Error::new(error.kind(), format!("open {}: {error}", path.display()));
        fs::metadata(path).map_err(context)?;
        if !is_fifo_at(path) {
            let file = OpenOptions::new().append(true).open(path).map_err(context)?;
            return Ok(Self::File(file.into()));
        }
        // Read and write: opening does not wait for a reader, and a reader that goes away is neither
        // an error nor a lost byte.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fifo = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| context(error.into()))?;
        Ok(Self::Fifo(ready::register(fifo, Interest::WRITABLE)?))
    }
}

fn is_fifo_at(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

pub(super) fn is_fifo(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Fifo)
}

fn percent_decode(text: &str) -> io::Result<String> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "bad escape in a stdio URI");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).ok_or_else(invalid)?;
        let digits = std::str::from_utf8(digits).map_err(|_| invalid())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_containerd_means() {
        assert_eq!(Target::parse("").unwrap(), Target::Nothing);
        assert_eq!(Target::parse("/a b").unwrap(), Target::Path("/a b".into()));
        assert_eq!(Target::parse("fifo:///a%20b").unwrap(), Target::Path("/a b".into()));
        assert_eq!(Target::parse("file:///var/log/x").unwrap(), Target::File("/var/log/x".into()));
        for (scheme, tells) in [("binary", false), ("binary-v2", true)] {
            let command = ["/bin/log", "id", "a&b", "flag", ""].map(str::to_owned).to_vec();
            let logger = Target::Logger(Program { command, tells });
            assert_eq!(Target::parse(&format!("{scheme}:///bin/log?id=a%26b&flag")).unwrap(), logger);
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["http://x", "file:///%", "file:///%4", "file:///%zz", "file:///%ff", "/a\nb"] {
            let error = Target::parse(bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_fifo_that_is_called_a_file_is_one_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(matches!(Sink::open(&Target::File(path)).unwrap(), Some(Sink::Fifo(_))));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_existing_file_is_appended_to_and_a_missing_path_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(Sink::open(&Target::Path(path.clone())).is_err());
        std::fs::write(&path, "old").unwrap();
        let Some(Sink::File(file)) = Sink::open(&Target::Path(path.clone())).unwrap() else {
            panic!("a regular file");
        };
        io::Write::write_all(&mut &*file, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"oldnew");
    }
}
