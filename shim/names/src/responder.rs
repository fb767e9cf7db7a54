//! The DNS server of one container, on a loopback address of its pod.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::core::{Core, Known, lock};
use crate::error::StartError;
use crate::gate::BootTime;
use crate::name::HostName;
use crate::netns::Netns;
use crate::rules::Listed;
use crate::table::Entry;
use crate::wire::{Kind, Malformed, Question, question_of};

/// Most questions that wait for a server, and most connections, at a time.
const MAX_WAITING: usize = 32;
const MAX_CONNECTIONS: usize = 16;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// Where responders are: 127.53.0.1 and on, a network that nobody else uses by habit.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
const ADDRESSES: u32 = 250;

/// The sockets of a responder. The address is known from here on; it answers once [`crate::Names`] has been started with it.
pub struct Responder {
    address: SocketAddr,
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

impl Responder {
    /// Takes the first free loopback address of a pod, for UDP and TCP. Containers of a pod share its addresses, so each gets another one.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no address is free: something in the pod has the port on all of them.
    pub fn bind(netns: &Netns, port: u16) -> Result<Self, StartError> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for number in 0..ADDRESSES {
            let address = SocketAddr::new(Ipv4Addr::from(u32::from(FIRST) + number).into(), port);
            match netns.listen(address) {
                Ok((udp, tcp)) => return Ok(Self { address, udp, tcp }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(source) => return Err(StartError::Listen { port, source }),
            }
        }
        Err(StartError::Listen { port, source: last })
    }

    /// Its address: to be permitted for UDP and TCP, and the nameserver of the container's resolv.conf.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the tasks are aborted.
    pub(crate) fn serve(self, core: &Arc<Core>, tasks: &mut JoinSet<()>) -> io::Result<()> {
        let (udp, tcp) = (UdpSocket::from_std(self.udp)?, TcpListener::from_std(self.tcp)?);
        // Packets of the pod's other devices never get here, whatever its routes say.
        udp.bind_device(Some(b"lo"))?;
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        tasks.spawn(datagrams(core.clone(), Arc::new(udp), waiting.clone()));
        tasks.spawn(connections(core.clone(), tcp, waiting));
        Ok(())
    }
}

fn local(peer: SocketAddr) -> bool {
    peer.ip().is_loopback()
}

async fn datagrams(core: Arc<Core>, socket: Arc<UdpSocket>, waiting: Arc<Semaphore>) {
    let mut pending = JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        while pending.try_join_next().is_some() {}
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            // An error belongs to an answer that found nobody; were it lasting, this must not spin.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        if !local(peer) {
            continue;
        }
        // Meanwhile the kernel keeps a few more questions, and drops the rest of a flood.
        core.pace.turn().await;
        match decide(&core, &buffer[..length], None) {
            Decision::Silent => {}
            // A full buffer means that nobody reads: the answer is dropped as a network would.
            Decision::Reply(reply) => drop(socket.try_send_to(&reply, peer)),
            Decision::Ask(question, name, kind) => {
                let Ok(permit) = waiting.clone().try_acquire_owned() else {
                    core.upstream.count(|counters| counters.bounded += 1);
                    let _ = socket.try_send_to(&question.refuse(Rcode::REFUSED), peer);
                    continue;
                };
                let (core, socket) = (core.clone(), socket.clone());
                pending.spawn(async move {
                    let room = question.room();
                    let reply = resolve(&core, &question, &name, kind, room).await;
                    let _ = socket.send_to(&reply, peer).await;
                    drop(permit);
                });
            }
        }
    }
}

async fn connections(core: Arc<Core>, listener: TcpListener, waiting: Arc<Semaphore>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        if open.len() >= MAX_CONNECTIONS {
            open.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) if local(peer) => drop(open.spawn(connection(core.clone(), stream, waiting.clone()))),
            Ok(_) => {}
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection; its questions are answered in turn.
async fn connection(core: Arc<Core>, mut stream: TcpStream, waiting: Arc<Semaphore>) {
    let room = usize::from(u16::MAX);
    loop {
        let read = async {
            let length = usize::from(stream.read_u16().await?);
            let mut message = vec![0; length];
            stream.read_exact(&mut message).await?;
            io::Result::Ok(message)
        };
        let Ok(Ok(message)) = timeout(IDLE, read).await else { return };
        core.pace.turn().await;
        let reply = match decide(&core, &message, Some(room)) {
            Decision::Silent => return,
            Decision::Reply(reply) => reply,
            Decision::Ask(question, name, kind) => {
                let Ok(_permit) = waiting.acquire().await else { return };
                resolve(&core, &question, &name, kind, room).await
            }
        };
        let mut framed = (reply.len() as u16).to_be_bytes().to_vec();
        framed.extend(reply);
        let Ok(Ok(())) = timeout(IDLE, stream.write_all(&framed)).await else { return };
    }
}

/// What a message of the workload leads to.
enum Decision {
    Silent,
    Reply(Vec<u8>),
    /// A name below a wildcard that is not known, or not any more.
    Ask(Question, HostName, Kind),
}

/// `room`: how large the answer may be, if not what the question says.
fn decide(core: &Core, message: &[u8], room: Option<usize>) -> Decision {
    let refused = || core.upstream.count(|counters| counters.refused += 1);
    let question = match question_of(message) {
        Ok(question) => question,
        Err(malformed) => {
            refused();
            return match malformed {
                Malformed::Silent => Decision::Silent,
                Malformed::Reply(reply) => Decision::Reply(reply),
            };
        }
    };
    let host = question.host();
    let Some((name, (listed, grants))) =
        host.as_ref().and_then(|name| core.rules.listed(name).map(|listed| (name.clone(), listed)))
    else {
        if let Some(name) = host {
            lock(&core.unlisted).add(name, BootTime::now());
        }
        refused();
        return Decision::Reply(question.refuse(Rcode::REFUSED));
    };
    let Some(kind) = question.kind() else {
        // A listed name has addresses and nothing else, as far as the workload is told.
        core.upstream.count(|counters| counters.answered += 1);
        return Decision::Reply(question.refuse(Rcode::NOERROR));
    };
    let room = room.unwrap_or_else(|| question.room());
    let now = BootTime::now();
    if let Some(reply) = told(core, &question, &name, kind, room, now) {
        return Decision::Reply(reply);
    }
    let Listed::Below(domain) = listed else {
        // A pinned name is asked for in its own time only: the workload cannot make a message leave.
        core.upstream.count(|counters| counters.failed += 1);
        return Decision::Reply(question.refuse(Rcode::SERVFAIL));
    };
    let prefix = name.prefix(&domain).unwrap_or_default();
    let remembered = lock(&core.table).names.contains_key(&name);
    if !lock(&core.budget).take(prefix, remembered, now) {
        core.upstream.count(|counters| counters.bounded += 1);
        return Decision::Reply(question.refuse(Rcode::REFUSED));
    }
    lock(&core.table)
        .below(&name, core.limits.remembered, || Entry::new(name.clone(), Some(domain), grants.into(), now));
    Decision::Ask(question, name, kind)
}

/// The reply from what is known, if anything is.
fn told(core: &Core, question: &Question, name: &HostName, kind: Kind, room: usize, now: BootTime) -> Option<Vec<u8>> {
    let (reply, failed) = match core.known(name, kind, now)? {
        Known::Answer { exists: false, .. } => (question.refuse(Rcode::NXDOMAIN), false),
        Known::Answer { addresses, ttl, .. } => (question.answer(&addresses, ttl, room), false),
        Known::Failed => (question.refuse(Rcode::SERVFAIL), true),
    };
    core.upstream.count(|counters| if failed { counters.failed += 1 } else { counters.answered += 1 });
    Some(reply)
}

/// Asks for a name below a wildcard, opens the gate, and answers.
async fn resolve(core: &Core, question: &Question, name: &HostName, kind: Kind, room: usize) -> Vec<u8> {
    let entry = lock(&core.table).names.get(name).map(|entry| (entry.grants.clone(), entry.asking(kind)));
    let Some((grants, asking)) = entry else { return question.refuse(Rcode::SERVFAIL) };
    let turn = asking.lock().await;
    // Whoever came first may have asked already.
    if let Some(reply) = told(core, question, name, kind, room, BootTime::now()) {
        return reply;
    }
    let limit = Duration::from_secs(core.limits.answer.into());
    match timeout(limit, core.find(name, kind)).await {
        Ok(Ok(found)) => drop(core.settle(name, &grants, kind, found)),
        Ok(Err(_)) | Err(_) => core.failed(name, kind),
    }
    drop(turn);
    told(core, question, name, kind, room, BootTime::now()).unwrap_or_else(|| {
        core.upstream.count(|counters| counters.failed += 1);
        question.refuse(Rcode::SERVFAIL)
    })
}
