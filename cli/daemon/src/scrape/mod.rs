//! `/metrics` for a Prometheus outside of the pod: HTTPS, and only for callers whom Kubernetes lets.
//!
//! What an unknown caller can cost is bounded: connections ([`slots`]), the size and the time of a request ([`connection`]), the
//! questions to the API server and what is remembered of them ([`callers`]). A refusal says the same to everybody.

mod callers;
mod certificate;
mod connection;
mod slots;
mod source;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use serde_json::json;

use crate::api::Api;
use crate::log::{self, Level};
use crate::serve::Shared;
use callers::Callers;
use certificate::Certificate;
pub use certificate::CertificateError;
use slots::{Slots, Ticket};
use source::Source;

/// Connections that are served at a time.
const CONNECTIONS: usize = 8;
/// After an accept that failed, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(200);

/// Where, and with which certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address.
    pub listen: SocketAddr,
    /// Files with the certificates and their key, both PEM; they are read again when they change. `None`: self-made, at each start
    /// another one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What the self-made certificate is for: the node's name.
    pub name: String,
}

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(io::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No thread could be had.
    #[error(transparent)]
    Thread(io::Error),
}

/// What a thread takes up.
type Job = (TcpStream, Source, Arc<ServerConfig>, Ticket);

/// Listens, and serves from threads of their own: one that accepts, and one for each connection that may be open.
///
/// # Errors
/// [`ScrapeError`] if it cannot begin.
pub fn start(settings: &Settings, api: &Api, board: &Shared, stack: usize) -> Result<(), ScrapeError> {
    let certificate = Certificate::load(settings.certificate.clone(), &settings.name)?;
    let listener = TcpListener::bind(settings.listen).map_err(ScrapeError::Listen)?;
    let fields = json!({ "address": settings.listen.to_string(), "sha256": certificate.fingerprint() });
    log::line(Level::Info, "serving /metrics over HTTPS", &fields);
    let (api, board) = (api.clone(), board.clone());
    let callers = Callers::new(Box::new(move |token| callers::ask(&api, token)));
    let text = move || board.lock().unwrap_or_else(PoisonError::into_inner).metrics.clone();
    serve(listener, certificate, Arc::new(callers), Arc::new(text), stack).map_err(ScrapeError::Thread)
}

fn serve(
    listener: TcpListener,
    certificate: Certificate,
    callers: Arc<Callers>,
    text: Arc<dyn Fn() -> String + Send + Sync>,
    stack: usize,
) -> io::Result<()> {
    let spawn = |name: &str| Builder::new().name(name.to_owned()).stack_size(stack);
    let (jobs, taken) = sync_channel::<Job>(CONNECTIONS);
    let taken = Arc::new(Mutex::new(taken));
    for _ in 0..CONNECTIONS {
        let (taken, callers, text) = (taken.clone(), callers.clone(), text.clone());
        spawn("scrape").spawn(move || work(&taken, &callers, &*text))?;
    }
    spawn("accept").spawn(move || accept(&listener, certificate, &jobs)).map(drop)
}

fn accept(listener: &TcpListener, mut certificate: Certificate, jobs: &SyncSender<Job>) {
    let slots = Arc::new(Slots::new(CONNECTIONS));
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                let source = peer.ip().into();
                let Ok(ticket) = Slots::enter(&slots, &stream, source) else { continue };
                if jobs.send((stream, source, certificate.current(), ticket)).is_err() {
                    return;
                }
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, callers: &Callers, text: &dyn Fn() -> String) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((stream, source, config, ticket)) = job else { return };
        let callers = |token: &str| callers.verdict(token, source, Instant::now());
        // Whatever goes wrong with one client is that client's.
        drop(connection::answer(&stream, config, &callers, text, &ticket));
    }
}

#[cfg(test)]
mod tests;
