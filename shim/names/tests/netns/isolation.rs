//! The responder is in the pod, and only there.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::room::{Room, aside, names, root};

/// `api.test` A.
const QUESTION: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03api\x04test\0\0\x01\0\x01";

fn ask(socket: &UdpSocket, responder: SocketAddr) -> io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(QUESTION, responder)?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

#[tokio::test]
async fn questions_and_answers_stay_in_the_pod() {
    if !root() {
        return;
    }
    let room = Arc::new(Room::new());
    let names = names(&room, &[(false, "api.test")]).await;
    let responder = names.responder();
    assert_eq!(responder, "127.53.0.1:53".parse().expect("an address"));
    let inside = room.clone();
    let reply = aside(move || inside.inside(|| ask(&UdpSocket::bind("127.0.0.1:0")?, responder))).await;
    assert!(reply.expect("an answer").ends_with(&[192, 0, 2, 1]));
    // The same address outside is somebody else's.
    let outside = aside(move || ask(&UdpSocket::bind("127.0.0.1:0")?, responder)).await;
    assert!(outside.is_err(), "{outside:?}");
    // An address of the pod on its loopback device is none of loopback's.
    room.shell("ip addr add 10.77.0.9/32 dev lo");
    let inside = room.clone();
    let other = aside(move || inside.inside(|| ask(&UdpSocket::bind("10.77.0.9:0")?, responder))).await;
    assert!(other.is_err(), "{other:?}");
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
    let names = names(&room, &[(false, "api.test")]).await;
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
