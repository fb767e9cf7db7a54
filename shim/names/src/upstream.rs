//! Asking the pod's servers, from inside the pod's network namespace.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use domain::base::iana::Rcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::name::WireName;
use crate::netns::Netns;
use crate::resolv_conf::ResolvConf;
use crate::snapshot::Counters;
use crate::wire::{Found, Kind, Reply, ask, read};

/// Most bytes of an answer by UDP: without EDNS it has 512, some servers send more all the same.
const MAX_DATAGRAM: usize = 1500;
/// Most bytes of an answer by TCP.
const MAX_ANSWER: usize = 16 << 10;
/// Most messages that are ignored before a try counts as failed: whoever floods the port has not guessed the id by then.
const MAX_FOREIGN: usize = 100;
/// A server that says nothing for so long is asked again: a lost datagram should not cost what resolv.conf(5) waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// The servers of a pod.
pub(crate) struct Upstream {
    pub(crate) netns: Netns,
    pub(crate) conf: ResolvConf,
    pub(crate) port: u16,
    pub(crate) counters: Mutex<Counters>,
    /// Somebody has counted.
    pub(crate) counted: Notify,
}

/// Why no server gave an answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Upstream {
    /// Adds to a counter.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Counters)) {
        add(&mut self.counters.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        self.counted.notify_one();
    }

    /// Asks the servers in turn until one answers. Each question has a random id and, from the kernel, a random port.
    pub(crate) async fn find(&self, name: &WireName, kind: Kind) -> Result<Found, Failure> {
        let mut why = String::new();
        for _ in 0..self.conf.attempts {
            for server in &self.conf.nameservers {
                let server = SocketAddr::new(*server, self.port);
                let deadline = Instant::now() + self.conf.timeout.min(PATIENCE);
                match self.one(server, name, kind, deadline).await {
                    Ok(Reply::Found(found)) => return Ok(found),
                    Ok(Reply::Failed(rcode)) => why = format!("{server} answers {}", rcode_name(rcode)),
                    Ok(Reply::Truncated) => why = format!("{server} gives half an answer by TCP as well"),
                    Ok(Reply::Foreign) => why = format!("{server} answers something else"),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => why = format!("{server} does not answer"),
                    Err(error) => why = format!("{server}: {error}"),
                }
            }
        }
        Err(Failure(why))
    }

    async fn one(&self, server: SocketAddr, name: &WireName, kind: Kind, deadline: Instant) -> io::Result<Reply> {
        match timeout_at(deadline, self.by_udp(server, name, kind)).await?? {
            // A connection is a start from the beginning: it gets the time of one.
            Reply::Truncated => timeout_at(Instant::now() + PATIENCE, self.by_tcp(server, name, kind)).await?,
            reply => Ok(reply),
        }
    }

    async fn by_udp(&self, server: SocketAddr, name: &WireName, kind: Kind) -> io::Result<Reply> {
        let socket = self.netns.udp_to(server)?;
        let id = random_id()?;
        self.count(|counters| counters.queries += 1);
        socket.send(&ask(id, name, kind)).await?;
        // On the heap: futures are moved, and kept where they were largest.
        let mut buffer = vec![0; MAX_DATAGRAM];
        for _ in 0..MAX_FOREIGN {
            // The socket is connected, but it has its port a moment before that.
            let (length, from) = socket.recv_from(&mut buffer).await?;
            match read(&buffer[..length], id, name, kind) {
                reply if from == server && reply != Reply::Foreign => return Ok(reply),
                _ => self.count(|counters| counters.ignored += 1),
            }
        }
        Ok(Reply::Foreign)
    }

    async fn by_tcp(&self, server: SocketAddr, name: &WireName, kind: Kind) -> io::Result<Reply> {
        let mut stream = self.netns.tcp_to(server)?.connect(server).await?;
        let id = random_id()?;
        self.count(|counters| counters.queries += 1);
        let question = ask(id, name, kind);
        let mut message = (question.len() as u16).to_be_bytes().to_vec();
        message.extend(question);
        stream.write_all(&message).await?;
        let length = usize::from(stream.read_u16().await?);
        if length > MAX_ANSWER {
            return Err(io::Error::other(format!("the answer has {length} bytes, {MAX_ANSWER} are the most")));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await?;
        Ok(read(&answer, id, name, kind))
    }
}

fn random_id() -> io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(bytes))
}

fn rcode_name(rcode: Rcode) -> String {
    rcode.to_mnemonic().map_or_else(|| rcode.to_string(), |name| String::from_utf8_lossy(name).into_owned())
}
