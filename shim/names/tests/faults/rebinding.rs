//! Names that resolve to what a name may not have.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use tokio::time::sleep;
use zerocap_names::{Guard, Limits, Network, StartError, Surroundings};

use super::pod::{Told, ips, quick, start, start_with};
use super::server::Server;

/// One address for every kind of network that is guarded, in every form.
const BAD: [&str; 30] = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "10.96.0.10",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd10:96::1",
    "::ffff:127.0.0.1",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:808:808:0:0:5601:5601",
    "2001:db8::5efe:10.96.0.10",
];

fn guard() -> Guard {
    Guard::new(vec![(ips(&["10.96.0.0"])[0], 12), (ips(&["fd10:96::"])[0], 112)], Vec::new())
}

#[tokio::test]
async fn refused_at_the_start() {
    for bad in BAD {
        let server = Server::new(move |asked| vec![asked.addresses(60, &[bad])]).await;
        let refused = start_with("api.test:443", &server, "", guard(), quick()).await.err().expect("refused");
        assert!(matches!(refused, StartError::Forbidden { ref name, .. } if name == "api.test"), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn dropped_beside_good_ones_and_counted() {
    let server = Server::new(|asked| {
        let mut all = vec!["192.0.2.1", "2001:db8::1"];
        all.extend(BAD);
        let mut reply = asked.addresses(60, &all);
        // They do not all fit into a datagram of the old size, which our client does not insist on.
        reply[2] &= !2;
        vec![reply]
    })
    .await;
    let pod = start_with("api.test:443, *.wild.test:443", &server, "", guard(), quick()).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    assert_eq!(pod.ask("api.test", Rtype::AAAA).await.addresses, ips(&["2001:db8::1"]));
    assert_eq!(pod.names.snapshot().counters.blocked, BAD.len() as u64);
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1"]));
    let permitted = pod.gate.permitted();
    assert!(permitted.iter().all(|to| ips(&["192.0.2.1", "2001:db8::1"]).contains(to)), "{permitted:?}");
    let blocked = pod.names.snapshot().blocked;
    assert_eq!(blocked.len(), 16);
    assert!(blocked.iter().all(|one| ips(&BAD).contains(&one.address)));
}

#[tokio::test]
async fn the_second_answer_is_judged_like_the_first() {
    let server = Server::new(|asked| vec![asked.addresses(0, &["192.0.2.1"])]).await;
    let limits = Limits { shortest_ttl: 1, grace: 1, stale: 2, retry: 1, negative: 1, ..quick() };
    let pod = start_with("api.test:443, *.wild.test:443", &server, "", guard(), limits).await.expect("started");
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1"]));
    server.becomes(|asked| vec![asked.addresses(0, &["169.254.169.254", "127.0.0.1", "10.96.0.1"])]);
    sleep(Duration::from_millis(1500)).await;
    for _ in 0..4 {
        for name in ["api.test", "x.wild.test", "y.wild.test"] {
            let answer = pod.a(name).await;
            assert!(answer.addresses.iter().all(|to| *to == ips(&["192.0.2.1"])[0]), "{name}: {answer:?}");
        }
        sleep(Duration::from_millis(1000)).await;
    }
    assert_eq!(pod.a("api.test").await.rcode, Rcode::SERVFAIL);
    assert!(pod.gate.permitted().iter().all(|to| *to == ips(&["192.0.2.1"])[0]));
    assert!(pod.names.snapshot().counters.blocked >= 3);
}

#[tokio::test]
async fn a_floor_may_permit_a_network() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["10.96.0.10"])]).await;
    let guard = Guard::new(vec![(ips(&["10.96.0.0"])[0], 12)], vec![(ips(&["10.96.0.10"])[0], 32)]);
    let pod = start_with("db.test:5432", &server, "", guard, quick()).await.expect("started");
    assert_eq!(pod.a("db.test").await.addresses, ips(&["10.96.0.10"]));
    assert!(start("other.test:1", &server).await.is_ok(), "private networks are not guarded by themselves");
}

/// A node whose addresses change.
#[derive(Default)]
struct Node(Mutex<Vec<IpAddr>>);

impl Surroundings for Node {
    fn networks(&self) -> Vec<Network> {
        self.0.lock().expect("no panic").iter().map(|address| (*address, 32)).collect()
    }
}

/// An address that becomes the node's while a container runs is not told, not permitted, and taken back where it was: at the next question.
#[tokio::test]
async fn what_becomes_the_nodes_is_guarded_from_then_on() {
    let node = Arc::new(Node::default());
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1", "192.0.2.2"])]).await;
    let guard = Guard::default().within(node.clone());
    // Without a name that is refreshed, nobody looks for a minute.
    let pod = start_with("*.wild.test:443", &server, "", guard, quick()).await.expect("started");
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1", "192.0.2.2"]));
    node.0.lock().expect("no panic").push(ips(&["192.0.2.1"])[0]);
    // The second for which what was seen holds.
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(pod.a("y.wild.test").await.addresses, ips(&["192.0.2.2"]), "a name that is asked for first");
    assert!(pod.gate.told.lock().expect("no panic").contains(&Told::Forget(ips(&["192.0.2.1"])[0])));
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.2"]), "a name that was asked for before");
    // What the node has given up may be reached again.
    node.0.lock().expect("no panic").clear();
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(pod.a("z.wild.test").await.addresses, ips(&["192.0.2.1", "192.0.2.2"]));
}

/// A server that falls silent keeps its names' last addresses; not those that have become the node's.
#[tokio::test]
async fn silence_gives_nothing_back() {
    let node = Arc::new(Node::default());
    let server = Server::new(|asked| vec![asked.addresses(1, &["192.0.2.1", "192.0.2.2"])]).await;
    let limits = Limits { shortest_ttl: 1, negative: 1, grace: 1, retry: 1, ..quick() };
    let guard = Guard::default().within(node.clone());
    let pod = start_with("api.test:443, *.wild.test:443", &server, "", guard, limits).await.expect("started");
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1", "192.0.2.2"]));
    node.0.lock().expect("no panic").push(ips(&["192.0.2.1"])[0]);
    server.becomes(|_| Vec::new());
    sleep(Duration::from_millis(1100)).await;
    for _ in 0..4 {
        let _ = pod.a("x.wild.test").await;
        let _ = pod.a("api.test").await;
        sleep(Duration::from_millis(700)).await;
    }
    let told = pod.gate.told.lock().expect("no panic").clone();
    let last = |text: &str| {
        let address = ips(&[text])[0];
        told.iter().rev().find(|told| match told {
            Told::Permit(_, to, ..) | Told::Forget(to) => *to == address,
        })
    };
    assert!(matches!(last("192.0.2.1"), Some(Told::Forget(_))), "permitted again: {told:?}");
    assert!(matches!(last("192.0.2.2"), Some(Told::Permit(..))), "the control is not permitted: {told:?}");
}

/// The same where nobody asks for a name that has the address: whoever refreshes names looks at all permits.
#[tokio::test]
async fn what_becomes_the_nodes_is_taken_back_when_nobody_asks() {
    let node = Arc::new(Node::default());
    let server = Server::new(|asked| {
        let pinned = asked.name.starts_with("api.");
        vec![if pinned { asked.addresses(1, &["192.0.2.9"]) } else { asked.addresses(60, &["192.0.2.1"]) }]
    })
    .await;
    let limits = Limits { shortest_ttl: 1, negative: 1, ..quick() };
    let guard = Guard::default().within(node.clone());
    let pod = start_with("api.test:443, *.wild.test:443", &server, "", guard, limits).await.expect("started");
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1"]));
    node.0.lock().expect("no panic").push(ips(&["192.0.2.1"])[0]);
    sleep(Duration::from_millis(3500)).await;
    assert!(pod.gate.told.lock().expect("no panic").contains(&Told::Forget(ips(&["192.0.2.1"])[0])));
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.9"]));
}
