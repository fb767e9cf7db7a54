//! A container's names beside a server, a gate that writes down what it is told, and a client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use zerocap_annotations::knob::Transport;
use zerocap_names::{BootTime, Gate, Guard, Limits, Names, Netns, ResolvConf, Responder, Rules, Setup, StartError};

use super::policy::destinations;
use super::server::{PORT, Server};

/// What the gate was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Permit(Transport, IpAddr, (u16, u16), u64),
    Forget(IpAddr),
}

#[derive(Default)]
pub struct Book {
    pub told: Mutex<Vec<Told>>,
    /// Whether it refuses.
    pub full: Mutex<bool>,
    /// How long it takes.
    pub slow: Mutex<Duration>,
    /// When it was done last.
    pub done: Mutex<Option<Instant>>,
}

impl Gate for Book {
    fn permit(&self, transport: Transport, to: IpAddr, ports: (u16, u16), until: BootTime) -> io::Result<()> {
        if *self.full.lock().expect("no panic") {
            return Err(io::Error::from_raw_os_error(7));
        }
        std::thread::sleep(*self.slow.lock().expect("no panic"));
        *self.done.lock().expect("no panic") = Some(Instant::now());
        let seconds = until.0.saturating_sub(BootTime::now().0).div_ceil(1_000_000_000);
        self.told.lock().expect("no panic").push(Told::Permit(transport, to, ports, seconds));
        Ok(())
    }

    fn forget(&self, _: Transport, to: IpAddr, _: (u16, u16)) -> io::Result<()> {
        self.told.lock().expect("no panic").push(Told::Forget(to));
        Ok(())
    }
}

impl Book {
    /// The addresses that were permitted so far.
    pub fn permitted(&self) -> Vec<IpAddr> {
        let told = self.told.lock().expect("no panic");
        told.iter().filter_map(|told| if let Told::Permit(_, to, ..) = told { Some(*to) } else { None }).collect()
    }
}

pub struct Pod {
    pub names: Names,
    pub gate: Arc<Book>,
}

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub rcode: Rcode,
    pub addresses: Vec<IpAddr>,
    pub ttl: u32,
    pub truncated: bool,
}

/// Limits that fit into a test.
pub fn quick() -> Limits {
    Limits { start: 5, ..Limits::default() }
}

pub async fn start(egress: &str, server: &Server) -> Result<Pod, StartError> {
    start_with(egress, server, "options timeout:1 attempts:2", Guard::default(), quick()).await
}

pub async fn start_with(
    egress: &str,
    server: &Server,
    options: &str,
    guard: Guard,
    limits: Limits,
) -> Result<Pod, StartError> {
    let gate = Arc::new(Book::default());
    let netns = Netns::own();
    let responder = Responder::bind(&netns, PORT)?;
    let conf = format!("nameserver {}\n{options}\n", server.address);
    let setup = Setup {
        rules: Rules::new(&destinations(egress), guard)?,
        resolv_conf: ResolvConf::parse(conf.as_bytes()),
        server_port: PORT,
        netns,
        gate: gate.clone(),
        responder,
        limits,
    };
    Ok(Pod { names: Names::start(setup).await?, gate })
}

/// A question in the words of a workload.
pub fn question(id: u16, name: &str, rtype: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::<Vec<u8>>::vec_from_str(name).expect("a name"), rtype, Class::IN)).expect("a vector grows");
    builder.finish()
}

pub async fn exchange(responder: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.send_to(message, responder).await.expect("sent");
    let mut buffer = vec![0; 4096];
    let (length, from) = timeout(Duration::from_secs(8), socket.recv_from(&mut buffer)).await.ok()?.expect("received");
    assert_eq!(from, responder);
    buffer.truncate(length);
    Some(buffer)
}

pub async fn exchange_tcp(responder: SocketAddr, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(responder).await.expect("connected");
    let mut answers = Vec::new();
    for message in messages {
        stream.write_u16(message.len() as u16).await.expect("written");
        stream.write_all(message).await.expect("written");
        let Ok(length) = stream.read_u16().await else { break };
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.expect("an answer");
        answers.push(answer);
    }
    answers
}

pub fn read(message: &[u8]) -> Answer {
    let message = Message::from_slice(message).expect("a message");
    let mut answer = Answer {
        rcode: message.header().rcode(),
        addresses: Vec::new(),
        ttl: u32::MAX,
        truncated: message.header().tc(),
    };
    let asked = message.sole_question().expect("the question is repeated");
    for record in message.answer().expect("an answer section") {
        let record = record.expect("a record");
        assert_eq!(record.owner(), *asked.qname());
        answer.ttl = answer.ttl.min(record.ttl().as_secs());
        if let Some(a) = record.to_record::<A>().expect("a record") {
            answer.addresses.push(a.data().addr().into());
        }
        if let Some(aaaa) = record.to_record::<Aaaa>().expect("a record") {
            answer.addresses.push(aaaa.data().addr().into());
        }
    }
    answer
}

impl Pod {
    pub async fn ask(&self, name: &str, rtype: Rtype) -> Answer {
        let id = 0x1234;
        let reply = exchange(self.names.responder(), &question(id, name, rtype)).await.expect("an answer");
        assert_eq!(Message::from_slice(&reply).expect("a message").header().id(), id);
        read(&reply)
    }

    pub async fn a(&self, name: &str) -> Answer {
        self.ask(name, Rtype::A).await
    }
}

pub fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}
