//! A pod's network namespace with a DNS server in it.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocap_annotations::knob::{Destination, Peer, Transport};
use zerocap_names::{BootTime, Gate, Guard, Limits, Names, Netns, ResolvConf, Responder, Rules, Setup};

/// A network namespace with its loopback up; it ends with the value.
pub struct Room(pub Child);

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Room {
    pub fn new() -> Self {
        let room = Self(Command::new("unshare").args(["-n", "sleep", "1000"]).spawn().expect("unshare runs"));
        let ours = std::fs::read_link("/proc/self/ns/net").expect("/proc is there");
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::read_link(room.path()).is_ok_and(|its| its == ours) {
            assert!(Instant::now() < deadline, "unshare does nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        room.shell("ip link set lo up");
        room
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    pub fn shell(&self, script: &str) {
        let net = format!("--net={}", self.path());
        let output = Command::new("nsenter").args([&net, "sh", "-ec", script]).output().expect("nsenter runs");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs something on a thread inside.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path()).expect("the namespace is there");
        std::thread::scope(|scope| {
            let enter = || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
                what()
            };
            scope.spawn(enter).join().expect("no panic")
        })
    }
}

struct Open;

impl Gate for Open {
    fn permit(&self, _: Transport, _: IpAddr, _: (u16, u16), _: BootTime) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _: Transport, _: IpAddr, _: (u16, u16)) -> io::Result<()> {
        Ok(())
    }
}

/// Says why a test cannot run; the runner's capture does not hold it back.
pub fn skip(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("network namespaces need root");
    }
    root
}

/// A server that knows one address of each family, for every name but short ones.
fn serve(socket: UdpSocket) {
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut reply = buffer[..length].to_vec();
            (reply[2], reply[3]) = (0x81, 0x80);
            let name = String::from_utf8_lossy(&reply[12..length - 5]).into_owned();
            // A name of the cluster is below `svc.test` only, one of the world never.
            if name.contains("svc") != name.starts_with("\u{2}db") || name.contains("\u{2}ns") {
                reply[3] |= 3;
            } else if reply[length - 3] == 1 {
                reply[7] = 1;
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
            } else {
                reply[7] = 1;
                reply.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 1, 0xd, 0xb8]);
                reply.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            }
            let _ = socket.send_to(&reply, from);
        }
    });
}

pub async fn names(room: &Room, policy: &[(bool, &str)]) -> Names {
    let server = room.inside(|| UdpSocket::bind("127.0.0.1:5300").expect("the address is free"));
    serve(server);
    let policy: Vec<Destination> = policy
        .iter()
        .map(|(below, name)| {
            let peer = if *below { Peer::Below((*name).into()) } else { Peer::Name((*name).into()) };
            Destination { transport: Transport::Tcp, peer, ports: (443, 443) }
        })
        .collect();
    let netns = Netns::open(room.path().as_ref()).expect("opened");
    let setup = Setup {
        rules: Rules::new(&policy, Guard::default()).expect("rules"),
        resolv_conf: ResolvConf::parse(b"nameserver 127.0.0.1\nsearch ns.svc.test svc.test\noptions ndots:5"),
        server_port: 5300,
        responder: Responder::bind(&netns, 53).expect("bound"),
        netns,
        gate: Arc::new(Open),
        limits: Limits::default(),
    };
    Names::start(setup).await.expect("started")
}

/// Runs something beside the runtime's thread, which serves meanwhile.
pub async fn aside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(what).await.expect("no panic")
}
