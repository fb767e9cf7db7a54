//! Standard streams of container processes.
//!
//! containerd names FIFOs (or files, or a logger program); the process gets pipes or a terminal, and
//! the shim copies between them. See [`copy`] for how output survives a restart of containerd, and
//! [`sink`] for what the names mean.

mod console;
mod copy;
mod logger;
mod sink;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::Winsize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine;
use crate::reaper::Reaper;
use crate::sys::ready;
pub use console::ConsoleSocket;
use logger::Logger;
use sink::{Sink, Target};

/// Whether `name` names a place to which output can go.
pub(crate) fn is_target(name: &str) -> bool {
    Target::parse(name).is_ok()
}

/// How long the engine may take to hand over a terminal.
const CONSOLE_LIMIT: Duration = Duration::from_secs(10);

/// What containerd asked for, for one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A terminal instead of pipes.
    pub terminal: bool,
    /// Path of the input FIFO, or empty.
    pub stdin: String,
    /// Where output goes: a path or URI, or empty.
    pub stdout: String,
    /// Where error output goes: a path or URI, or empty. Unused with a terminal.
    pub stderr: String,
}

/// Whose streams they are: what loggers are told, and who owns the pipes.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// What a logger is told as its container: the id of the container, or of the exec.
    pub container: String,
    /// containerd namespace.
    pub namespace: String,
    /// Owner of the pipes.
    pub uid: u32,
    /// Group of the pipes.
    pub gid: u32,
}

/// Streams that are opened but not connected: the process does not exist yet.
pub struct Prepared {
    /// The socket that the engine sends the terminal to.
    pub console: Option<ConsoleSocket>,
    ends: Option<engine::Stdio>,
    input: Option<Input>,
    outputs: Vec<(OwnedFd, Sink)>,
    terminal_output: Option<Sink>,
    logger: Option<Logger>,
}

struct Input {
    fifo: AsyncFd<OwnedFd>,
    /// The shim's own writing end: no end of file before CloseIO, whoever comes and goes.
    keep_open: OwnedFd,
    /// Writing end of the process's pipe; none with a terminal.
    pipe: Option<OwnedFd>,
}

/// Connected streams of a living process.
pub struct Live {
    keep_input_open: Mutex<Option<OwnedFd>>,
    console: Mutex<Option<Arc<AsyncFd<OwnedFd>>>>,
    input: Mutex<Option<JoinHandle<()>>>,
    outputs: Mutex<Vec<JoinHandle<()>>>,
    /// Set when nobody may come any more to read what stands in a FIFO.
    deleted: watch::Sender<bool>,
    logger: Mutex<Option<Logger>>,
}

impl Prepared {
    /// Opens everything that `request` names.
    ///
    /// # Errors
    /// When a FIFO or file cannot be opened, or a logger does not get ready.
    pub async fn open(request: &Request, owner: &Owner, reaper: &Reaper) -> io::Result<Self> {
        let mut prepared =
            Self { console: None, ends: None, input: None, outputs: Vec::new(), terminal_output: None, logger: None };
        if !request.stdin.is_empty() {
            prepared.input = Some(Input::open(&request.stdin)?);
        }
        if request.terminal {
            prepared.console = Some(ConsoleSocket::new()?);
            prepared.terminal_output = match Target::parse(&request.stdout)? {
                Target::Logger(command) => {
                    let (out, err) = (pipe()?, pipe()?);
                    prepared.logger = Some(Logger::start(&command, owner, out.0, err.0, reaper).await?);
                    Some(Sink::pipe(out.1)?)
                }
                target => Sink::open(&target)?,
            };
            return Ok(prepared);
        }
        prepared.open_pipes(request, owner, reaper).await?;
        Ok(prepared)
    }

    async fn open_pipes(&mut self, request: &Request, owner: &Owner, reaper: &Reaper) -> io::Result<()> {
        let stdin = match &mut self.input {
            Some(input) => {
                let (reader, writer) = pipe()?;
                give_to(&reader, owner)?;
                input.pipe = Some(writer);
                Some(reader)
            }
            None => None,
        };
        let stdout = Target::parse(&request.stdout)?;
        let (stdout, stderr) = if let Target::Logger(command) = &stdout {
            // The logger reads the process's pipes itself: nothing is copied.
            let (out, err) = (pipe()?, pipe()?);
            give_to(&out.1, owner)?;
            give_to(&err.1, owner)?;
            self.logger = Some(Logger::start(command, owner, out.0, err.0, reaper).await?);
            (Some(out.1), Some(err.1))
        } else {
            let stderr = match &stdout {
                // A file takes both streams, as under the other shims; stderr's name does not count.
                Target::File(_) => stdout.clone(),
                _ => Target::parse(&request.stderr)?,
            };
            (self.output(&stdout, owner)?, self.output(&stderr, owner)?)
        };
        self.ends = Some(engine::Stdio::Container { stdin, stdout, stderr });
        Ok(())
    }

    fn output(&mut self, target: &Target, owner: &Owner) -> io::Result<Option<OwnedFd>> {
        let Some(sink) = Sink::open(target)? else {
            return Ok(None);
        };
        let (reader, writer) = pipe()?;
        give_to(&writer, owner)?;
        self.outputs.push((reader, sink));
        Ok(Some(writer))
    }

    /// The streams for the engine call; once.
    pub fn engine_stdio(&mut self) -> engine::Stdio {
        self.ends.take().unwrap_or(engine::Stdio::Captured)
    }

    /// Connects the streams now that the engine has made the process.
    ///
    /// # Errors
    /// When the engine has not sent a terminal that was asked for.
    pub async fn connect(mut self) -> io::Result<Live> {
        let console = match self.console.take() {
            Some(socket) => {
                let master = socket.receive(CONSOLE_LIMIT).await?;
                Some(Arc::new(nonblocking(master, Interest::READABLE | Interest::WRITABLE)?))
            }
            None => None,
        };
        let deleted = watch::Sender::new(false);
        let mut outputs = Vec::new();
        for (reader, sink) in self.outputs {
            let reader = nonblocking(reader, Interest::READABLE)?;
            outputs.push(tokio::spawn(copy::output(reader, sink, deleted.subscribe())));
        }
        if let (Some(console), Some(sink)) = (&console, self.terminal_output) {
            outputs.push(tokio::spawn(copy::output(console.clone(), sink, deleted.subscribe())));
        }
        let mut keep_open = None;
        let mut input = None;
        if let Some(from) = self.input {
            keep_open = Some(from.keep_open);
            input = match (&console, from.pipe) {
                (Some(console), _) => Some(tokio::spawn(copy::input(from.fifo, console.clone()))),
                (None, Some(pipe)) => {
                    Some(tokio::spawn(copy::input(from.fifo, nonblocking(pipe, Interest::WRITABLE)?)))
                }
                (None, None) => None,
            };
        }
        Ok(Live {
            keep_input_open: Mutex::new(keep_open),
            console: Mutex::new(console),
            input: Mutex::new(input),
            outputs: Mutex::new(outputs),
            deleted,
            logger: Mutex::new(self.logger),
        })
    }
}

impl Live {
    /// Lets the process see the end of its input once all other writers are gone.
    pub fn close_input(&self) {
        take(&self.keep_input_open);
    }

    /// Sets the terminal's size.
    ///
    /// # Errors
    /// When the terminal is gone. Without a terminal nothing happens.
    pub fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(console) = console {
            let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(console.get_ref(), size)?;
        }
        Ok(())
    }

    /// Ends everything: waits for the output to be copied, at most `limit`, then lets go.
    pub async fn finish(&self, limit: Duration) {
        take(&self.keep_input_open);
        if let Some(input) = take(&self.input) {
            input.abort();
        }
        self.deleted.send_replace(true);
        let outputs = std::mem::take(&mut *self.outputs.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = tokio::time::Instant::now() + limit;
        for mut output in outputs {
            if tokio::time::timeout_at(deadline, &mut output).await.is_err() {
                tracing::warn!("output is still held open: copying ends here");
                output.abort();
            }
        }
        take(&self.console);
        if let Some(logger) = take(&self.logger) {
            logger.finish().await;
        }
    }
}

impl Input {
    fn open(path: &str) -> io::Result<Self> {
        let path = path.strip_prefix("fifo://").unwrap_or(path);
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let reader = rustix::fs::open(path, OFlags::RDONLY | flags, Mode::empty())?;
        if !sink::is_fifo(reader.as_fd())? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("stdin {path:?} is not a FIFO")));
        }
        let keep_open = rustix::fs::open(path, OFlags::WRONLY | flags, Mode::empty())?;
        Ok(Self { fifo: ready::register(reader, Interest::READABLE)?, keep_open, pipe: None })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Only where a start failed: a task that copies would keep its descriptors for ever.
        let outputs = self.outputs.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in outputs.drain(..).chain(take(&self.input)) {
            task.abort();
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Makes the process's end of a pipe its own, so that it can reopen /proc/self/fd/1.
fn give_to(end: &OwnedFd, owner: &Owner) -> io::Result<()> {
    if (owner.uid, owner.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(end, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn nonblocking(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    ready::register(fd, interest)
}
