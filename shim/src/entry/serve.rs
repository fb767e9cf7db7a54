//! The shim itself: serves the task API on an inherited socket until the last container is gone.
//!
//! One thread, and one more for as long as something is mounted, unmounted or written to a log file. Everything else that
//! waits is a task; the other files that are read or written are small and on memory file systems.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use containerd_shim::Flags;
use containerd_shim::protos::ttrpc::asynchronous::Server;
use containerd_shim::protos::ttrpc::asynchronous::transport::Listener;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use super::socket::path_of;
use crate::events::Publisher;
use crate::reaper::Reaper;
use crate::task::{Shim, services};
use crate::{bundle, log, rest, sys};

/// First argument that makes this program the shim; containerd never says it.
pub(super) const VERB: &str = "serve";
/// Where the listening socket is.
pub(super) const LISTENER_FD: i32 = 3;

/// How long events and open calls may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long an answer may take to leave once the shim was told to end.
const LAST_ANSWER: Duration = Duration::from_millis(100);

pub(super) fn run(args: &[OsString]) -> Result<()> {
    sys::memory::one_heap();
    sys::limits::take_all_descriptors();
    let listener =
        StdListener::from(sys::descriptors::inherited(LISTENER_FD).context("no listening socket was handed over")?);
    sys::descriptors::close_on_exec_from(3).context("cannot protect inherited descriptors")?;
    let flags = containerd_shim::parse(args).context("bad command line")?;
    rustix::process::set_child_subreaper(rustix::process::getpid().into()).context("cannot become a subreaper")?;
    // A log that cannot be opened must not cost the pod.
    let _ = log::to_fifo(Path::new(bundle::LOG), flags.debug, &flags.namespace, &flags.id);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(flags, listener))
}

async fn serve(flags: Flags, listener: StdListener) -> Result<()> {
    let address = env::var("TTRPC_ADDRESS").context("TTRPC_ADDRESS is not set")?;
    let reaper = Reaper::new();
    reaper.run().context("cannot watch children")?;
    let events = Publisher::start(address, flags.namespace.clone());
    let shim = Arc::new(Shim::new(flags.namespace.clone(), reaper, events.clone()));
    let mut server = Server::new().add_listener(accept_ours(listener)?);
    for service in services(&shim) {
        server = server.register_service(service);
    }
    server.start().await.context("cannot serve")?;
    tracing::debug!("serving");
    end_on_terminate(&shim)?;
    tokio::select! {
        () = shim.ended() => {}
        () = rest::for_ever() => {}
    }
    // The name goes first: nobody new can come, and containerd never finds a socket without a shim.
    let _ = fs::remove_file(path_of(&flags.socket));
    events.flush(LAST_WORDS).await;
    tokio::time::sleep(LAST_ANSWER).await;
    Ok(())
}

/// A shim whose containers live must not go because somebody signals the whole service; containerd ends it with
/// Shutdown. One without containers goes.
fn end_on_terminate(shim: &Arc<Shim>) -> Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).context("cannot handle signals")?;
        let shim = shim.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                tracing::info!("a signal to end counts only when no container is left");
                shim.shutdown();
            }
        });
    }
    Ok(())
}

/// Accepts connections from our own user only; the socket's mode says so already, this says it again
/// where somebody changed the mode.
fn accept_ours(listener: StdListener) -> Result<Listener> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener).context("the socket does not listen")?;
    let own = rustix::process::geteuid().as_raw();
    Ok(Listener::new(futures_util::stream::unfold(listener, move |listener| async move {
        let accepted = accept_from(&listener, own).await;
        Some((accepted, listener))
    })))
}

async fn accept_from(listener: &UnixListener, own: u32) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: try again when some are closed.
                tokio::time::sleep(LAST_ANSWER).await;
                return Err(error);
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == own => return Ok(stream),
            Ok(peer) => tracing::warn!(uid = peer.uid(), "a stranger was turned away"),
            Err(error) => tracing::warn!(%error, "a peer without credentials was turned away"),
        }
    }
}
