//! What servers do wrong, and what they may not do.

use std::net::UdpSocket;
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use tokio::time::sleep;
use zerocap_names::{Guard, Limits, StartError};

use super::pod::{Told, ips, quick, start, start_with};
use super::server::{Asked, Server, address, alias};

/// The same limits, but seconds instead of minutes.
fn short() -> Limits {
    Limits { shortest_ttl: 1, grace: 2, stale: 5, retry: 1, negative: 1, ..quick() }
}

async fn start_short(egress: &str, server: &Server) -> Result<super::pod::Pod, StartError> {
    start_with(egress, server, "options timeout:1 attempts:1", Guard::default(), short()).await
}

/// A forged answer in every way but one.
fn forged(asked: &Asked) -> Vec<u8> {
    asked.addresses(60, &["203.0.113.66", "2001:db8::66"])
}

#[tokio::test]
async fn answers_that_do_not_fit_are_ignored() {
    let server = Server::new(|asked| {
        let mut id = forged(asked);
        id[0] ^= 1;
        let mut question = forged(asked);
        question[13] ^= 1;
        let mut rtype = forged(asked);
        let end = 12 + asked.name.len() + 2;
        rtype[end + 1] ^= 29;
        let mut class = forged(asked);
        class[end + 3] = 3;
        let mut no_reply = forged(asked);
        no_reply[2] &= 0x7f;
        let mut opcode = forged(asked);
        opcode[2] |= 5 << 3;
        let mut questions = forged(asked);
        questions[5] = 2;
        let garbage = vec![0xff; 200];
        let right = asked.addresses(60, &["192.0.2.1", "2001:db8::1"]);
        vec![id, question, rtype, class, no_reply, opcode, questions, garbage, Vec::new(), vec![0; 11], right]
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    assert_eq!(pod.ask("api.test", Rtype::AAAA).await.addresses, ips(&["2001:db8::1"]));
    assert_eq!(pod.names.snapshot().counters.ignored, 20);
    assert_eq!(pod.names.snapshot().counters.queries, 2);
}

#[tokio::test]
async fn answers_of_somebody_else_are_ignored() {
    let server = Server::new(|asked| {
        let other = UdpSocket::bind("127.88.0.1:0").expect("a socket");
        other.send_to(&forged(asked), asked.from).expect("sent");
        std::thread::sleep(Duration::from_millis(50));
        vec![asked.addresses(60, &["192.0.2.1"])]
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    assert_eq!(pod.gate.permitted(), ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn records_of_other_names_are_ignored() {
    let server = Server::new(|asked| {
        let records = [
            address("other.test", 60, "203.0.113.1"),
            alias("api.test", 60, "edge.test"),
            address("api.test.test", 60, "203.0.113.2"),
            address("EDGE.test", 60, "192.0.2.4"),
            address("edge.test", 60, "192.0.2.4"),
            address("edge.test", 60, "2001:db8::4"),
        ];
        vec![asked.reply(Rcode::NOERROR, &records)]
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.4"]));
    assert_eq!(pod.ask("api.test", Rtype::AAAA).await.addresses, ips(&["2001:db8::4"]));
}

#[tokio::test]
async fn aliases_are_followed_and_their_shortest_ttl_counts() {
    // In any order, over several messages.
    let server = Server::new(|asked| match asked.name.as_str() {
        "api.test" => vec![asked.reply(
            Rcode::NOERROR,
            &[alias("b.test", 9, "c.test"), alias("API.test", 300, "b.test"), address("x.test", 1, "203.0.113.1")],
        )],
        _ => vec![asked.addresses(60, &["192.0.2.5"])],
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    let answer = pod.a("api.test").await;
    assert_eq!(answer.addresses, ips(&["192.0.2.5"]));
    assert!((8..=9).contains(&answer.ttl), "{}", answer.ttl);
    assert_eq!(server.names(), ["api.test A", "api.test AAAA", "c.test A", "c.test AAAA"]);
}

#[tokio::test]
async fn aliases_end() {
    // A loop within a message, one over messages, and a chain that is too long.
    for kind in 0..3 {
        let server = Server::new(move |asked| {
            let records = match kind {
                0 => vec![alias("api.test", 60, "b.test"), alias("b.test", 60, "api.test")],
                1 => vec![alias(&asked.name, 60, if asked.name == "api.test" { "b.test" } else { "api.test" })],
                _ => (0..20)
                    .map(|n| {
                        alias(
                            &if n == 0 { "api.test".into() } else { format!("n{n}.test") },
                            60,
                            &format!("n{}.test", n + 1),
                        )
                    })
                    .collect(),
            };
            vec![asked.reply(Rcode::NOERROR, &records)]
        })
        .await;
        let refused = start("api.test:443", &server).await.err().expect("refused");
        assert!(matches!(refused, StartError::Unresolved { ref name, .. } if name == "api.test"), "{refused}");
        assert!(server.names().len() <= 24, "{kind}: {}", server.names().len());
    }
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_by_tcp() {
    let server = Server::new(|asked| {
        let mut reply = asked.addresses(60, if asked.tcp { &["192.0.2.1", "192.0.2.2"] } else { &["203.0.113.1"] });
        if !asked.tcp {
            reply[2] |= 2;
        }
        vec![reply]
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(pod.names.snapshot().counters.queries, 4);
    server.becomes(|asked| {
        let mut reply = asked.addresses(60, &["203.0.113.1"]);
        reply[2] |= 2;
        vec![reply]
    });
    let refused = start("api.test:443", &server).await.err().expect("refused");
    assert!(refused.to_string().contains("half an answer"), "{refused}");
}

#[tokio::test]
async fn huge_answers_are_cut() {
    let server = Server::new(|asked| {
        let mut reply = asked.addresses(60, &["203.0.113.1"]);
        if asked.tcp {
            let many: Vec<String> = (0..400).map(|n| format!("192.0.{}.{}", 10 + n / 200, 1 + n % 200)).collect();
            reply = asked.addresses(60, &many.iter().map(String::as_str).collect::<Vec<_>>());
        } else {
            reply[2] |= 2;
        }
        vec![reply]
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses.len(), 16);
    assert_eq!(pod.gate.permitted().len(), 16);
    // 256 records are looked at.
    assert_eq!(pod.names.snapshot().counters.surplus, 240);
    // Larger than any answer needs to be.
    server.becomes(|asked| {
        let mut reply = asked.addresses(60, &["192.0.2.1"]);
        if asked.tcp {
            reply.resize(20_000, 0)
        } else {
            reply[2] |= 2
        }
        vec![reply]
    });
    let refused = start("api.test:443", &server).await.err().expect("refused");
    assert!(refused.to_string().contains("20000 bytes"), "{refused}");
}

#[tokio::test]
async fn a_server_that_fails_is_not_the_last() {
    let broken = Server::new(|asked| vec![asked.reply(Rcode::SERVFAIL, &[])]).await;
    let good = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let options = format!("nameserver {}\noptions timeout:1 attempts:1", good.address);
    let pod = start_with("api.test:443", &broken, &options, Guard::default(), quick()).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    let refused = start("api.test:443", &broken).await.err().expect("refused");
    let message = format!("api.test cannot be resolved: {}:5300 answers SERVFAIL", broken.address);
    assert_eq!(refused.to_string(), message);
}

#[tokio::test]
async fn a_broken_family_does_not_break_the_other() {
    let server = Server::new(|asked| match asked.aaaa {
        true => vec![asked.reply(Rcode::SERVFAIL, &[])],
        false => vec![asked.addresses(60, &["192.0.2.1"])],
    })
    .await;
    let pod = start("api.test:443", &server).await.expect("started");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    let other = pod.ask("api.test", Rtype::AAAA).await;
    assert_eq!((other.rcode, other.addresses.len()), (Rcode::NOERROR, 0));
}

#[tokio::test]
async fn down_at_the_start_refuses_with_the_name() {
    let silent = Server::new(|_| Vec::new()).await;
    let refused = start_short("first.test:443", &silent).await.err().expect("refused");
    let message = format!("first.test cannot be resolved: {}:5300 does not answer", silent.address);
    assert_eq!(refused.to_string(), message);
    // Nobody at all is there.
    let gone = "127.78.0.1";
    let nobody = Server::new(|asked| vec![asked.reply(Rcode::REFUSED, &[])]).await;
    let options = format!("nameserver {gone}\noptions timeout:1 attempts:1");
    let refused = start_with("first.test:443", &nobody, &options, Guard::default(), short()).await;
    let message = refused.err().expect("refused").to_string();
    assert!(message.contains("Connection refused"), "{message}");
}

#[tokio::test]
async fn down_later_keeps_the_last_good_for_a_while() {
    let server = Server::new(|asked| vec![asked.addresses(0, &["192.0.2.1"])]).await;
    let pod = start_short("api.test:443, *.wild.test:443", &server).await.expect("started");
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1"]));
    server.becomes(|_| Vec::new());
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    assert_eq!(pod.a("x.wild.test").await.addresses, ips(&["192.0.2.1"]));
    assert!(pod.names.snapshot().names.iter().all(|name| name.state == zerocap_names::Standing::Stale));
    sleep(Duration::from_millis(4500)).await;
    assert_eq!(pod.a("api.test").await.rcode, Rcode::SERVFAIL);
    assert_eq!(pod.names.hosts(), "");
    assert_eq!(pod.a("x.wild.test").await.rcode, Rcode::SERVFAIL);
    // The permit was never longer than the last good answer may be used.
    let told = pod.gate.told.lock().expect("no panic").clone();
    assert!(told.iter().all(|told| !matches!(told, Told::Permit(_, _, _, seconds) if *seconds > 4)), "{told:?}");
    sleep(Duration::from_millis(1500)).await;
    assert!(pod.gate.told.lock().expect("no panic")[told.len()..].iter().all(|told| matches!(told, Told::Forget(_))));
    server.becomes(|asked| vec![asked.addresses(0, &["192.0.2.2"])]);
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.2"]));
}

#[tokio::test]
async fn a_name_that_moves_keeps_its_old_address_for_the_grace() {
    let server = Server::new(|asked| vec![asked.addresses(0, &["192.0.2.1"])]).await;
    let pod = start_short("api.test:443", &server).await.expect("started");
    server.becomes(|asked| vec![asked.addresses(0, &["192.0.2.2"])]);
    sleep(Duration::from_millis(1800)).await;
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.2"]));
    let states = &pod.names.snapshot().names[0].addresses;
    let former: Vec<_> = states.iter().filter(|state| !state.current).map(|state| state.address).collect();
    assert_eq!(former, ips(&["192.0.2.1"]));
    sleep(Duration::from_millis(3500)).await;
    assert_eq!(pod.names.snapshot().names[0].addresses.len(), 1);
    assert!(pod.gate.told.lock().expect("no panic").contains(&Told::Forget(ips(&["192.0.2.1"])[0])));
}

#[tokio::test]
async fn a_name_that_vanishes_is_kept_as_when_the_server_is_down() {
    let server = Server::new(|asked| vec![asked.addresses(0, &["192.0.2.1"])]).await;
    let pod = start_short("api.test:443", &server).await.expect("started");
    server.becomes(|asked| vec![asked.reply(Rcode::NXDOMAIN, &[])]);
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    sleep(Duration::from_millis(5000)).await;
    assert_eq!(pod.a("api.test").await.rcode, Rcode::SERVFAIL);
}

#[tokio::test]
async fn a_ttl_of_nothing_has_a_floor() {
    let server = Server::new(|asked| vec![asked.addresses(0, &["192.0.2.1"])]).await;
    let pod = start("*.test:443", &server).await.expect("started");
    for _ in 0..5 {
        let answer = pod.a("api.test").await;
        assert_eq!(answer.addresses, ips(&["192.0.2.1"]));
        assert!((1..=5).contains(&answer.ttl), "{}", answer.ttl);
    }
    assert_eq!(server.names().len(), 1);
}
