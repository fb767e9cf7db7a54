//! A DNS server that does what a test wants, right or wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype, StaticCompressor};
use domain::rdata::{A, Aaaa, Cname};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The port of every server of these tests; each has an address of its own.
pub const PORT: u16 = 5300;

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub raw: Vec<u8>,
    pub name: String,
    pub aaaa: bool,
    pub tcp: bool,
    pub from: SocketAddr,
}

impl Asked {
    fn new(raw: &[u8], tcp: bool, from: SocketAddr) -> Self {
        let message = Message::from_slice(raw).expect("our client writes messages");
        let question = message.sole_question().expect("our client asks one question");
        let (name, aaaa) = (question.qname().to_string(), question.qtype() == Rtype::AAAA);
        Self { raw: raw.to_vec(), name, aaaa, tcp, from }
    }

    /// A reply with these records, in order.
    pub fn reply(&self, rcode: Rcode, records: &[Record]) -> Vec<u8> {
        let question = Message::from_slice(&self.raw).expect("read before");
        let target = StaticCompressor::new(Vec::new());
        let builder = MessageBuilder::from_target(target).expect("a vector grows");
        let mut builder = builder.start_answer(question, rcode).expect("a vector grows");
        builder.header_mut().set_ra(true);
        for record in records {
            let owner = Name::<Vec<u8>>::vec_from_str(&record.owner).expect("a name");
            match &record.data {
                Data::Address(IpAddr::V4(v4)) => builder.push((owner, Class::IN, record.ttl, A::new(*v4))),
                Data::Address(IpAddr::V6(v6)) => builder.push((owner, Class::IN, record.ttl, Aaaa::new(*v6))),
                Data::Alias(target) => {
                    let target = Name::<Vec<u8>>::vec_from_str(target).expect("a name");
                    builder.push((owner, Class::IN, record.ttl, Cname::new(target)))
                }
            }
            .expect("a vector grows");
        }
        builder.finish().into_target()
    }

    /// The usual reply: the addresses of the family that was asked for.
    pub fn addresses(&self, ttl: u32, addresses: &[&str]) -> Vec<u8> {
        let records: Vec<Record> = addresses.iter().map(|text| address(&self.name, ttl, text)).collect();
        let family = |record: &Record| matches!(record.data, Data::Address(address) if address.is_ipv6() == self.aaaa);
        self.reply(Rcode::NOERROR, &records.into_iter().filter(family).collect::<Vec<_>>())
    }
}

pub struct Record {
    owner: String,
    ttl: u32,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(String),
}

pub fn address(owner: &str, ttl: u32, text: &str) -> Record {
    Record { owner: owner.into(), ttl, data: Data::Address(text.parse().expect("an address")) }
}

pub fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record { owner: owner.into(), ttl, data: Data::Alias(target.into()) }
}

/// What it sends: messages in order, each from itself.
pub type Answers = Vec<Vec<u8>>;

type Handler = dyn Fn(&Asked) -> Answers + Send + Sync;

/// The server; it ends with the value.
pub struct Server {
    pub address: IpAddr,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Mutex<Arc<Handler>>>,
    _tasks: JoinSet<()>,
}

static NEXT: AtomicU8 = AtomicU8::new(1);

impl Server {
    pub async fn new(handler: impl Fn(&Asked) -> Answers + Send + Sync + 'static) -> Self {
        let address = Ipv4Addr::new(127, 77, std::process::id() as u8, NEXT.fetch_add(1, Ordering::Relaxed));
        let udp = Arc::new(UdpSocket::bind((address, PORT)).await.expect("the address is free"));
        let tcp = TcpListener::bind((address, PORT)).await.expect("the address is free");
        let handler: Arc<Mutex<Arc<Handler>>> = Arc::new(Mutex::new(Arc::new(handler)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = {
            let (handler, asked) = (handler.clone(), asked.clone());
            move |question: Asked| {
                let handler = handler.lock().expect("no panic").clone();
                asked.lock().expect("no panic").push(question.clone());
                handler(&question)
            }
        };
        let mut tasks = JoinSet::new();
        let by_udp = answer.clone();
        tasks.spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = udp.recv_from(&mut buffer).await.expect("a datagram");
                for message in by_udp(Asked::new(&buffer[..length], false, from)) {
                    let _ = udp.send_to(&message, from).await;
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut stream, from) = tcp.accept().await.expect("a connection");
                let mut message = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
                stream.read_exact(&mut message).await.expect("a message");
                for message in answer(Asked::new(&message, true, from)) {
                    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
                    framed.extend(message);
                    let _ = stream.write_all(&framed).await;
                }
            }
        });
        Self { address: address.into(), asked, handler, _tasks: tasks }
    }

    /// From now on it does something else.
    pub fn becomes(&self, handler: impl Fn(&Asked) -> Answers + Send + Sync + 'static) {
        *self.handler.lock().expect("no panic") = Arc::new(handler);
    }

    /// What it was asked so far, as `name type`, sorted.
    pub fn names(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        let line = |one: &Asked| format!("{} {}", one.name, if one.aaaa { "AAAA" } else { "A" });
        let mut names: Vec<String> = asked.iter().map(line).collect();
        names.sort();
        names
    }
}
