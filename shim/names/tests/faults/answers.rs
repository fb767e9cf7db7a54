//! Which questions are answered, and with what.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::base::iana::{Opcode, OptRcode, Rcode};
use domain::base::{Message, MessageBuilder, Rtype};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zerocap_annotations::knob::Transport::{Tcp, Udp};
use zerocap_names::{Guard, HostName, Netns, Responder, StartError};

use super::pod::{Told, exchange, exchange_tcp, ips, question, quick, read, start, start_with};
use super::server::{PORT, Server};

#[tokio::test]
async fn a_pinned_name_is_answered_in_both_families() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1", "192.0.2.2", "2001:db8::1"])]).await;
    let pod = start("api.example.com:443", &server).await.expect("started");
    assert_eq!(server.names(), ["api.example.com A", "api.example.com AAAA"]);
    let answer = pod.a("api.example.com").await;
    assert_eq!((answer.rcode, answer.addresses), (Rcode::NOERROR, ips(&["192.0.2.1", "192.0.2.2"])));
    assert!((50..=60).contains(&answer.ttl), "{}", answer.ttl);
    assert_eq!(pod.ask("API.Example.com", Rtype::AAAA).await.addresses, ips(&["2001:db8::1"]));
    // Other types are answered without anything, and nothing more was asked for.
    let other = pod.ask("api.example.com", Rtype::HTTPS).await;
    assert_eq!((other.rcode, other.addresses.len()), (Rcode::NOERROR, 0));
    assert_eq!(server.names().len(), 2);
    let lines = "192.0.2.1\tapi.example.com\n192.0.2.2\tapi.example.com\n2001:db8::1\tapi.example.com\n";
    assert_eq!(pod.names.hosts(), lines);
    assert!(pod.names.resolv_conf().starts_with("nameserver 127.53.0."), "{}", pod.names.resolv_conf());
}

#[tokio::test]
async fn the_gate_gets_every_port_of_a_name() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let policy = "a.test:443, a.test:8000-8010, udp://a.test:443, b.test:8005";
    let pod = start(policy, &server).await.expect("started");
    let told: BTreeSet<_> = pod.gate.told.lock().expect("no panic").iter().map(|told| format!("{told:?}")).collect();
    let to = ips(&["192.0.2.1"])[0];
    let permit = |transport, ports| format!("{:?}", Told::Permit(transport, to, ports, 180));
    let expected = [
        permit(Tcp, (443, 443)),
        permit(Udp, (443, 443)),
        permit(Tcp, (8000, 8004)),
        permit(Tcp, (8005, 8005)),
        permit(Tcp, (8006, 8010)),
    ];
    assert_eq!(told, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_name_that_is_not_listed_is_refused_without_a_question() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("api.example.com:443, *.models.example:443", &server).await.expect("started");
    let before = server.names();
    for name in ["www.example.com", "example.com", "models.example", "com", "a.api.example.com", "."] {
        for rtype in [Rtype::A, Rtype::AAAA, Rtype::TXT, Rtype::ANY] {
            assert_eq!(pod.ask(name, rtype).await.rcode, Rcode::REFUSED, "{name}");
        }
    }
    assert_eq!(server.names(), before);
    assert_eq!(pod.names.snapshot().counters.refused, 24);
    // They are remembered for whoever looks, but for what is no host name, and in one spelling.
    assert_eq!(pod.a("WWW.Example.com.").await.rcode, Rcode::REFUSED);
    assert_eq!(pod.a("\\027[31m.example.com").await.rcode, Rcode::REFUSED);
    let snapshot = pod.names.snapshot();
    let asked: Vec<_> = snapshot.unlisted.iter().map(|one| (one.name.as_str(), one.times)).collect();
    let expected = ["example.com", "models.example", "com", "a.api.example.com"].map(|name| (name, 4));
    assert_eq!(asked, [&expected[..], &[("www.example.com", 5)]].concat());
    let text = serde_json::to_string(&snapshot).expect("JSON");
    assert_eq!(serde_json::from_str::<zerocap_names::Snapshot>(&text).expect("a snapshot"), snapshot);
}

#[tokio::test]
async fn a_name_below_a_wildcard_is_asked_for_once() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.7", "2001:db8::7"])]).await;
    let pod = start("*.models.example:443", &server).await.expect("started");
    assert_eq!(server.names().len(), 0);
    for _ in 0..3 {
        assert_eq!(pod.a("big.models.example").await.addresses, ips(&["192.0.2.7"]));
    }
    assert_eq!(pod.ask("a.b.models.example", Rtype::AAAA).await.addresses, ips(&["2001:db8::7"]));
    assert_eq!(server.names(), ["a.b.models.example AAAA", "big.models.example A"]);
    let snapshot = pod.names.snapshot();
    assert_eq!(snapshot.names.len(), 2);
    assert_eq!(snapshot.names[0].below.as_ref().map(HostName::as_str), Some("models.example"));
    assert_eq!((snapshot.counters.answered, snapshot.counters.queries, snapshot.permits), (4, 2, 2));
    assert!((170..=180).contains(&snapshot.names[0].addresses[0].permitted));
}

#[tokio::test]
async fn what_does_not_exist_below_a_wildcard() {
    let server = Server::new(|asked| {
        let rcode = if asked.name.starts_with("no") { Rcode::NXDOMAIN } else { Rcode::NOERROR };
        vec![asked.reply(rcode, &[])]
    })
    .await;
    let pod = start("*.models.example:443", &server).await.expect("started");
    for _ in 0..2 {
        assert_eq!(pod.a("no.models.example").await.rcode, Rcode::NXDOMAIN);
        let empty = pod.a("empty.models.example").await;
        assert_eq!((empty.rcode, empty.addresses.len()), (Rcode::NOERROR, 0));
    }
    assert_eq!(server.names().len(), 2);
    assert_eq!(pod.gate.permitted().len(), 0);
}

#[tokio::test]
async fn a_short_name_is_found_along_the_search_list() {
    let server = Server::new(|asked| match asked.name.as_str() {
        "db.svc.test" => vec![asked.addresses(30, &["192.0.2.9"])],
        _ => vec![asked.reply(Rcode::NXDOMAIN, &[])],
    })
    .await;
    let options = "search ns.svc.test svc.test test\noptions ndots:5 timeout:1";
    let pod = start_with("db:5432", &server, options, Guard::default(), quick()).await.expect("started");
    assert_eq!(server.names(), ["db.ns.svc.test A", "db.ns.svc.test AAAA", "db.svc.test A", "db.svc.test AAAA"]);
    assert_eq!(pod.a("db").await.addresses, ips(&["192.0.2.9"]));
    // The long form is another name.
    assert_eq!(pod.a("db.svc.test").await.rcode, Rcode::REFUSED);
    assert_eq!(pod.names.snapshot().names[0].asked.as_str(), "db.svc.test");
    let refused = start_with("other:1", &server, options, Guard::default(), quick()).await.err().expect("refused");
    let message = "other does not exist, or has no address, as other.ns.svc.test, other.svc.test, other.test, other";
    assert_eq!(refused.to_string(), message);
}

#[tokio::test]
async fn many_questions_by_one_connection() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("api.test:443, *.models.example:443", &server).await.expect("started");
    let names = ["api.test", "x.models.example", "other.test"];
    let questions: Vec<Vec<u8>> = names.iter().map(|name| question(7, name, Rtype::A)).collect();
    let questions: Vec<&[u8]> = questions.iter().map(Vec::as_slice).collect();
    let answers = exchange_tcp(pod.names.responder(), &questions).await;
    let rcodes: Vec<Rcode> = answers.iter().map(|answer| read(answer).rcode).collect();
    assert_eq!(rcodes, [Rcode::NOERROR, Rcode::NOERROR, Rcode::REFUSED]);
    assert_eq!(read(&answers[1]).addresses, ips(&["192.0.2.1"]));
}

/// What a client may do with a connection: pile up questions, cut them, send garbage. Others are answered all the same.
#[tokio::test]
async fn piled_up_and_cut_questions() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("api.test:443", &server).await.expect("started");
    let to = pod.names.responder();
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    // Some that say half of something and stay.
    let mut half = Vec::new();
    for cut in [0, 1, 2, 5, 20] {
        let mut stream = TcpStream::connect(to).await.expect("connected");
        stream.write_all(&framed(&question(1, "api.test", Rtype::A))[..cut]).await.expect("written");
        half.push(stream);
    }
    // A hundred at once, written byte by byte where their boundaries are.
    let mut stream = TcpStream::connect(to).await.expect("connected");
    let piled: Vec<u8> = (0..100).flat_map(|id| framed(&question(id, "api.test", Rtype::A))).collect();
    let (first, rest) = piled.split_at(33);
    stream.write_all(first).await.expect("written");
    stream.flush().await.expect("written");
    stream.write_all(rest).await.expect("written");
    for id in 0..100_u16 {
        let length = stream.read_u16().await.expect("an answer");
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer[..2], id.to_be_bytes());
        assert_eq!(read(&answer).addresses, ips(&["192.0.2.1"]));
    }
    // The largest message there can be, with nothing in it; the connection ends, or says that it is no question.
    let garbage = framed(&vec![0xff; usize::from(u16::MAX)]);
    stream.write_all(&garbage).await.expect("written");
    assert!(stream.read_u16().await.is_err(), "an answer to garbage");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
    assert_eq!(server.names().len(), 2, "none of it leaves: A and AAAA were asked for at the start");
}

#[tokio::test]
async fn what_does_not_fit_comes_by_tcp() {
    let addresses: Vec<String> = (1..=16).map(|number| format!("2001:db8::{number}")).collect();
    let all: Vec<std::net::IpAddr> = ips(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let server =
        Server::new(move |asked| vec![asked.addresses(60, &addresses.iter().map(String::as_str).collect::<Vec<_>>())])
            .await;
    let long = format!("{}.test", ["abcdefghij"; 20].join("."));
    let pod = start(&format!("{long}:443"), &server).await.expect("started");
    let plain = question(9, &long, Rtype::AAAA);
    let reply = exchange(pod.names.responder(), &plain).await.expect("an answer");
    assert!(reply.len() <= 512 && read(&reply).truncated && read(&reply).addresses.len() < 16);
    // With EDNS there is room for it, and the reply has EDNS as well.
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((domain::base::Name::<Vec<u8>>::vec_from_str(&long).expect("a name"), Rtype::AAAA)).expect("room");
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(4096);
            Ok(())
        })
        .expect("room");
    let reply = exchange(pod.names.responder(), &builder.finish()).await.expect("an answer");
    assert!(reply.len() <= 1232 && !read(&reply).truncated);
    assert_eq!(read(&reply).addresses, all);
    assert!(Message::from_slice(&reply).expect("a message").opt().is_some());
    assert_eq!(read(&exchange_tcp(pod.names.responder(), &[&plain]).await[0]).addresses, all);
}

#[tokio::test]
async fn messages_that_are_no_question() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("api.test:443", &server).await.expect("started");
    let responder = pod.names.responder();
    let good = question(3, "api.test", Rtype::A);
    let rcode = |reply: Vec<u8>| Message::from_octets(reply).expect("a message").header().rcode();

    let mut none = good.clone();
    none[5] = 0;
    assert_eq!(rcode(exchange(responder, &none).await.expect("a reply")), Rcode::FORMERR);
    let cut = &good[..good.len() - 3];
    assert_eq!(rcode(exchange(responder, cut).await.expect("a reply")), Rcode::FORMERR);
    let mut update = good.clone();
    update[2] |= Opcode::UPDATE.to_int() << 3;
    assert_eq!(rcode(exchange(responder, &update).await.expect("a reply")), Rcode::NOTIMP);
    let mut chaos = good.clone();
    *chaos.last_mut().expect("a byte") = 3;
    assert_eq!(read(&exchange(responder, &chaos).await.expect("a reply")).rcode, Rcode::REFUSED);
    let mut builder = MessageBuilder::new_vec().additional();
    builder
        .opt(|opt| {
            opt.set_version(1);
            Ok(())
        })
        .expect("room");
    let mut future = good.clone();
    future[11] = 1;
    future.extend(&builder.finish()[12..]);
    let reply = Message::from_octets(exchange(responder, &future).await.expect("a reply")).expect("a message");
    assert_eq!(reply.opt_rcode(), OptRcode::BADVERS);
    // A reply gets no reply: two responders would talk for ever.
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut reply = good.clone();
    reply[2] |= 0x80;
    for silent in [&reply[..], &good[..5], &[]] {
        socket.send_to(silent, responder).await.expect("sent");
    }
    let mut buffer = [0; 512];
    let heard = tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await;
    assert!(heard.is_err(), "{heard:?}");
    assert_eq!(pod.a("api.test").await.addresses, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn containers_of_a_pod_have_responders_of_their_own() {
    let netns = Netns::own();
    let port = PORT + 1;
    let one = Responder::bind(&netns, port).expect("bound");
    let other = Responder::bind(&netns, port).expect("bound");
    assert_ne!(one.address(), other.address());
    let freed = one.address();
    drop(one);
    assert_eq!(Responder::bind(&netns, port).expect("bound").address(), freed);
    // Whoever has the port on every address leaves none.
    let _all = std::net::UdpSocket::bind(("0.0.0.0", port + 1)).expect("bound");
    assert!(matches!(Responder::bind(&netns, port + 1), Err(StartError::Listen { .. })));
}

#[tokio::test]
async fn a_thousand_names() {
    let server = Server::new(|asked| {
        let number: u32 =
            asked.name.trim_start_matches('n').split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        vec![asked.addresses(0, &[&format!("192.0.{}.{}", 3 + number / 250, 1 + number % 250)])]
    })
    .await;
    let policy: Vec<String> = (0..1000).map(|number| format!("n{number}.test:443")).collect();
    let pod = start(&policy.join(", "), &server).await.expect("started");
    assert_eq!(server.names().len(), 2000);
    assert_eq!(pod.gate.permitted().len(), 1000);
    let answer = pod.a("n999.test").await;
    assert_eq!(answer.addresses, ips(&["192.0.6.250"]));
    // So many are not asked for every five seconds.
    assert!((40..=50).contains(&answer.ttl), "{}", answer.ttl);
}
