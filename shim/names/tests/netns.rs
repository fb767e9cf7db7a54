//! Sockets in another network namespace. Needs root.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocap_annotations::knob::{Destination, Peer, Transport};
use zerocap_names::{BootTime, Gate, Guard, Limits, Names, Netns, ResolvConf, Responder, Rules, Setup};

/// A network namespace with its loopback up; it ends with the value.
struct Room(Child);

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Room {
    fn new() -> Self {
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

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn shell(&self, script: &str) {
        let net = format!("--net={}", self.path());
        let output = Command::new("nsenter").args([&net, "sh", "-ec", script]).output().expect("nsenter runs");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs something on a thread inside.
    fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
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

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: network namespaces need root");
    }
    root
}

/// A server that knows one address.
fn serve(socket: UdpSocket) {
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut reply = buffer[..length].to_vec();
            (reply[2], reply[3]) = (0x81, 0x80);
            if reply[length - 3] == 1 {
                reply[7] = 1;
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
            }
            let _ = socket.send_to(&reply, from);
        }
    });
}

async fn names(room: &Room) -> Names {
    let server = room.inside(|| UdpSocket::bind("127.0.0.1:5300").expect("the address is free"));
    serve(server);
    let policy = [Destination { transport: Transport::Tcp, peer: Peer::Name("api.test".into()), ports: (443, 443) }];
    let netns = Netns::open(room.path().as_ref()).expect("opened");
    let setup = Setup {
        rules: Rules::new(&policy, Guard::default()).expect("rules"),
        resolv_conf: ResolvConf::parse(b"nameserver 127.0.0.1"),
        server_port: 5300,
        responder: Responder::bind(&netns, 53).expect("bound"),
        netns,
        gate: Arc::new(Open),
        limits: Limits::default(),
    };
    Names::start(setup).await.expect("started")
}

/// `api.test` A.
const QUESTION: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03api\x04test\0\0\x01\0\x01";

fn ask(socket: &UdpSocket, responder: SocketAddr) -> io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(QUESTION, responder)?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

/// The runtime's thread serves meanwhile.
async fn aside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(what).await.expect("no panic")
}

#[tokio::test]
async fn questions_and_answers_stay_in_the_pod() {
    if !root() {
        return;
    }
    let room = Arc::new(Room::new());
    let names = names(&room).await;
    let responder = names.responder();
    assert_eq!(responder, "127.53.0.1:53".parse().expect("an address"));
    let inside = room.clone();
    let reply = aside(move || inside.inside(|| ask(&UdpSocket::bind("127.0.0.1:0")?, responder))).await;
    assert!(reply.expect("an answer").ends_with(&[192, 0, 2, 1]));
    // The same address outside is somebody else's.
    let outside = aside(move || ask(&UdpSocket::bind("127.0.0.1:0")?, responder)).await;
    assert!(outside.is_err(), "{outside:?}");
    // Nothing is left behind.
    drop(names);
    tokio::task::yield_now().await;
    let gone = aside(move || room.inside(|| UdpSocket::bind(responder).map(drop))).await;
    assert!(gone.is_ok(), "{gone:?}");
}

/// With `route_localnet` a device takes packets to and from loopback addresses, from whoever is at its other end.
#[tokio::test]
async fn a_device_does_not_lead_to_the_responder() {
    if !root() {
        return;
    }
    let (room, other) = (Arc::new(Room::new()), Arc::new(Room::new()));
    room.shell(&format!(
        "ip link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 netns {}; \
         ip addr add 10.77.0.1/24 dev eth0; ip link set eth0 up; echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; \
         echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter; \
         echo 1 > /proc/sys/net/ipv4/conf/eth0/accept_local",
        other.0.id()
    ));
    other.shell(
        "ip addr add 10.77.0.2/24 dev eth0; ip link set eth0 up; ip addr del 127.0.0.1/8 dev lo; \
         echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr add 127.0.0.9/32 dev eth0; \
         ip route add 127.53.0.0/24 dev eth0 src 127.0.0.9; \
         for n in 1 2; do ip neigh add 127.53.0.$n lladdr 02:00:00:00:00:01 dev eth0; done",
    );
    let names = names(&room).await;
    let responder = names.responder();
    // The control: an ordinary socket beside it gets such packets.
    let plain = room.inside(|| UdpSocket::bind("127.53.0.2:53").expect("the address is free"));
    plain.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let attack = aside(move || {
        other.inside(|| {
            let socket = UdpSocket::bind("127.0.0.9:0")?;
            socket.send_to(b"control", "127.53.0.2:53")?;
            socket.send_to(QUESTION, responder)
        })
    });
    attack.await.expect("sent");
    let mut buffer = [0; 64];
    let (length, from) = aside(move || plain.recv_from(&mut buffer)).await.expect("the control gets through");
    assert_eq!((length, from.ip()), (7, "127.0.0.9".parse::<IpAddr>().expect("an address")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(names.snapshot().counters.answered, 0);
}
