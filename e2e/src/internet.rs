//! A network beyond the node, made for one test: a nameserver, a server that names lead to, and another one.
//!
//! It is a network namespace at the end of a veth of the node; pods get there by their default route. What arrives is seen by an [`Observer`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::attack::observer::Observer;
use crate::netns;
use crate::node::Node;

static COUNTER: AtomicU8 = AtomicU8::new(0);

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NXDOMAIN: u8 = 3;

/// What the nameserver knows and was asked.
#[derive(Debug, Default)]
struct Zone {
    names: BTreeMap<String, Vec<IpAddr>>,
    asked: Vec<String>,
    /// Seconds that answers may be kept for, beyond one.
    kept: u32,
}

/// The network; it goes with the value.
#[derive(Debug)]
pub struct Internet {
    holder: Child,
    number: u8,
    zone: Arc<Mutex<Zone>>,
}

impl Drop for Internet {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Internet {
    /// Makes it, with TCP servers on these ports of both servers, which say `hello`, and UDP servers that send back.
    pub fn new(node: &Node, ports: &[u16], datagrams: &[u16]) -> io::Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let holder = Command::new("unshare").args(["-n", "sleep", "100000"]).stdin(Stdio::null()).spawn()?;
        let internet = Self { holder, number, zone: Arc::default() };
        internet.wait_for_namespace()?;
        let pid = internet.holder.id();
        let at = |last| internet.address(last);
        run(
            &node.netns(),
            &format!(
                "ip link add zcnet{number} type veth peer name eth0 netns {pid}; ip addr add {}/24 dev zcnet{number}; \
                 ip link set zcnet{number} up; sysctl -qw net.ipv4.ip_forward=1",
                at(1)
            ),
        )?;
        run(
            &internet.netns(),
            &format!(
                "ip link set lo up; for last in 2 3 53; do ip addr add 198.18.{number}.$last/24 dev eth0; done; \
                 ip link set eth0 up; ip route add default via {}",
                at(1)
            ),
        )?;
        for server in [internet.server(), internet.other()] {
            ports.iter().try_for_each(|port| internet.serve(server, *port))?;
            datagrams.iter().try_for_each(|port| internet.echo(server, *port))?;
        }
        internet.answer()?;
        Ok(internet)
    }

    fn address(&self, last: u8) -> IpAddr {
        Ipv4Addr::new(198, 18, self.number, last).into()
    }

    /// Where names lead.
    pub fn server(&self) -> IpAddr {
        self.address(2)
    }

    /// Another server, with the same ports.
    pub fn other(&self) -> IpAddr {
        self.address(3)
    }

    /// The nameserver.
    pub fn nameserver(&self) -> IpAddr {
        self.address(53)
    }

    /// An address at which nobody is.
    pub fn nobody(&self) -> IpAddr {
        self.address(99)
    }

    /// Sees what arrives.
    pub fn observer(&self) -> io::Result<Observer> {
        Observer::within(&self.netns())
    }

    /// Sets what a name resolves to; an empty list for a name without addresses.
    pub fn name(&self, name: &str, addresses: &[IpAddr]) {
        if let Ok(mut zone) = self.zone.lock() {
            zone.names.insert(name.to_owned(), addresses.to_vec());
        }
    }

    /// Lets answers from now on be kept for `seconds` instead of one second.
    pub fn keep_answers(&self, seconds: u32) {
        if let Ok(mut zone) = self.zone.lock() {
            zone.kept = seconds.saturating_sub(1);
        }
    }

    /// The names that the nameserver was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.zone.lock().map(|zone| zone.asked.clone()).unwrap_or_default()
    }

    /// Its network namespace.
    pub fn netns(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    fn wait_for_namespace(&self) -> io::Result<()> {
        let (ours, begin) = (fs::read_link("/proc/self/ns/net")?, Instant::now());
        while fs::read_link(self.netns())? == ours {
            if begin.elapsed() > Duration::from_secs(5) {
                return Err(io::Error::other("unshare makes no network namespace"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn serve(&self, server: IpAddr, port: u16) -> io::Result<()> {
        let listener = netns::within(&self.netns(), || TcpListener::bind((server, port)))?;
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                    let _ = stream.read(&mut [0; 1024]);
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
                });
            }
        });
        Ok(())
    }

    /// A TCP server of the first server that sends back whatever comes, until the other end closes.
    pub fn talk(&self, port: u16) -> io::Result<()> {
        let listener = netns::within(&self.netns(), || TcpListener::bind((self.server(), port)))?;
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut buffer = [0; 512];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..length]).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Ok(())
    }

    fn echo(&self, server: IpAddr, port: u16) -> io::Result<()> {
        let socket = netns::within(&self.netns(), || UdpSocket::bind((server, port)))?;
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        Ok(())
    }

    /// The nameserver, by UDP.
    fn answer(&self) -> io::Result<()> {
        let (address, zone) = (self.nameserver(), self.zone.clone());
        let socket = netns::within(&self.netns(), || UdpSocket::bind((address, 53)))?;
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(reply) = zone.lock().ok().and_then(|mut zone| zone.reply(&buffer[..length])) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(())
    }
}

impl Zone {
    /// The answer to a message of one question; nothing for anything else.
    fn reply(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(message, 12)?;
        let kind = u16::from_be_bytes([*message.get(end)?, *message.get(end + 1)?]);
        self.asked.push(name.clone());
        let known = self.names.get(&name);
        let of_kind = |address: &&IpAddr| kind == if address.is_ipv4() { TYPE_A } else { TYPE_AAAA };
        let addresses: Vec<IpAddr> = known.into_iter().flatten().filter(of_kind).copied().collect();
        let code = if known.is_some() { 0 } else { NXDOMAIN };
        let mut reply = message.get(..2)?.to_vec();
        reply.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
        reply.extend(message.get(12..end + 4)?);
        for address in addresses {
            // The name of the question, its type, class IN, how long it may be kept.
            reply.extend([0xc0, 12]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1]);
            reply.extend((1 + self.kept).to_be_bytes());
            reply.push(0);
            match address {
                IpAddr::V4(v4) => reply.extend([4].into_iter().chain(v4.octets())),
                IpAddr::V6(v6) => reply.extend([16].into_iter().chain(v6.octets())),
            }
        }
        Some(reply)
    }
}

/// A name without compression, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).into_owned());
        at += length;
    }
}

fn run(netns: &Path, script: &str) -> io::Result<()> {
    let output =
        Command::new("nsenter").arg(format!("--net={}", netns.display())).args(["sh", "-ec", script]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{script}: {}", String::from_utf8_lossy(&output.stderr))))
}
