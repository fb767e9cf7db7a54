//! What leaves: nothing of the workload's messages, and only so many names below wildcards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use zerocap_names::{Guard, Limits};

use super::pod::{Told, exchange, exchange_tcp, ips, question, quick, read, start, start_with};
use super::server::Server;

/// Everything that a question can carry beside its name.
fn laden(id: u16, name: &str, secret: u8) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(id);
    header.set_rd(secret & 1 == 0);
    header.set_ad(secret & 1 == 1);
    header.set_cd(true);
    header.set_z(true);
    header.set_aa(true);
    header.set_rcode(Rcode::masked_from_int(secret & 15));
    let mut builder = builder.question();
    builder.push((Name::<Vec<u8>>::vec_from_str(name).expect("a name"), Rtype::A)).expect("room");
    let mut builder = builder.authority();
    let record = domain::rdata::A::from_octets(secret, secret, secret, secret);
    builder.push((Name::<Vec<u8>>::vec_from_str("secret.test").expect("a name"), 60, record)).expect("room");
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(1000 + u16::from(secret));
            opt.set_dnssec_ok(true);
            let subnet = domain::base::opt::UnknownOptData::new(8.into(), vec![secret; 8]).expect("short");
            opt.push(&subnet)?;
            opt.push(&domain::base::opt::UnknownOptData::new(65001.into(), vec![secret; 100]).expect("short"))
        })
        .expect("room");
    builder.finish()
}

#[tokio::test]
async fn no_bit_of_a_message_leaves() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let mut seen = Vec::new();
    for (spelling, id, secret, tcp) in [
        ("a.models.example", 1, 0, false),
        ("A.mOdElS.eXaMpLe", 0xffff, 0x55, false),
        ("a.MODELS.example", 0x5555, 0xaa, true),
    ] {
        // A container of its own each time, since what is known is not asked for.
        let pod = start("*.models.example:443", &server).await.expect("started");
        let message = laden(id, spelling, secret);
        let reply = match tcp {
            true => exchange_tcp(pod.names.responder(), &[&message]).await.remove(0),
            false => exchange(pod.names.responder(), &message).await.expect("an answer"),
        };
        assert_eq!(read(&reply).addresses, ips(&["192.0.2.1"]));
        // The one who asked gets its own spelling back.
        let asked = Message::from_slice(&reply).expect("a message").sole_question().expect("a question");
        assert_eq!(asked.qname().to_string(), spelling);
        let mut asked = server.asked.lock().expect("no panic");
        assert_eq!(asked.len(), 1);
        seen.push(asked.remove(0).raw);
    }
    for raw in &seen {
        assert_eq!(raw[2..], seen[0][2..], "all but the id is the same");
    }
    assert_eq!(seen[0][2..], question(0, "a.models.example", Rtype::A)[2..]);
}

#[tokio::test]
async fn a_pinned_name_makes_nothing_leave() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("api.test:443", &server).await.expect("started");
    for number in 0..50 {
        for rtype in [Rtype::A, Rtype::AAAA, Rtype::TXT] {
            exchange(pod.names.responder(), &question(number, "api.test", rtype)).await.expect("an answer");
        }
    }
    assert_eq!(server.names().len(), 2);
}

#[tokio::test]
async fn a_question_that_comes_twice_leaves_once() {
    let server = Server::new(|asked| {
        std::thread::sleep(Duration::from_millis(100));
        vec![asked.addresses(60, &["192.0.2.1"])]
    })
    .await;
    let pod = start("*.test:443", &server).await.expect("started");
    let all = (0..8).map(|_| pod.a("a.test"));
    let answers = futures(all).await;
    assert!(answers.iter().all(|answer| answer.addresses == ips(&["192.0.2.1"])), "{answers:?}");
    assert_eq!(server.names().len(), 1);
}

/// Resolvers ask for both families at once, and wait for both.
#[tokio::test]
async fn the_families_of_a_name_do_not_wait_for_each_other() {
    let server =
        Server::new(|asked| if asked.aaaa { Vec::new() } else { vec![asked.addresses(60, &["192.0.2.1"])] }).await;
    let pod = start("*.test:443", &server).await.expect("started");
    let begun = Instant::now();
    let both = [Rtype::AAAA, Rtype::A].into_iter().map(|rtype| {
        let pod = &pod;
        async move { (pod.ask("a.test", rtype).await.rcode, begun.elapsed()) }
    });
    let answers = futures(both).await;
    assert_eq!((answers[0].0, answers[1].0), (Rcode::SERVFAIL, Rcode::NOERROR));
    assert!(answers[1].1 < Duration::from_secs(1) && answers[0].1 > Duration::from_secs(1), "{answers:?}");
}

/// Runs futures at the same time.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn every_question_has_another_id_and_port() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let policy: Vec<String> = (0..200).map(|number| format!("n{number}.test:443")).collect();
    let _pod = start(&policy.join(", "), &server).await.expect("started");
    let asked = server.asked.lock().expect("no panic");
    let ids: BTreeSet<[u8; 2]> = asked.iter().map(|one| [one.raw[0], one.raw[1]]).collect();
    let ports: BTreeSet<u16> = asked.iter().map(|one| SocketAddr::port(&one.from)).collect();
    // Of 400 at random a few fall together: more than ten pairs of ids, or forty of ports, do not in a thousand years.
    assert!(ids.len() > 390 && ports.len() > 360, "{} ids, {} ports", ids.len(), ports.len());
    // Neighbours are not predictable from each other.
    let steps = asked.windows(2).filter(|two| two[1].from.port().abs_diff(two[0].from.port()) <= 2).count();
    assert!(steps < 20, "{steps}");
}

#[tokio::test]
async fn bits_below_a_wildcard_have_a_bound() {
    let server = Server::new(|asked| vec![asked.reply(Rcode::NXDOMAIN, &[])]).await;
    let limits = Limits { bits: (1000, 60), ..quick() };
    let pod = start_with("*.test:443", &server, "", Guard::default(), limits).await.expect("started");
    let mut refused = 0;
    for number in 0..60 {
        let answer = pod.a(&format!("secret-{number:03}.test")).await;
        refused += u32::from(answer.rcode == Rcode::REFUSED);
    }
    // Ten bytes are 61 bits.
    assert_eq!((server.names().len(), refused), (16, 44));
    assert_eq!(pod.names.snapshot().counters.bounded, 44);
    // What is known is still told.
    assert_eq!(pod.a("secret-000.test").await.rcode, Rcode::NXDOMAIN);
}

#[tokio::test]
async fn answers_have_a_pace() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let limits = Limits { answers: (10, 100), ..quick() };
    let pod = start_with("pinned.test:443", &server, "", Guard::default(), limits).await.expect("started");
    let begin = std::time::Instant::now();
    for _ in 0..40 {
        assert_eq!(pod.a("pinned.test").await.addresses, ips(&["192.0.2.1"]), "none is lost");
    }
    // Thirty are over what may come at once. One that is refused costs as much.
    assert!(begin.elapsed() >= Duration::from_millis(295), "{:?}", begin.elapsed());
    let begin = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(pod.a("other.test").await.rcode, Rcode::REFUSED);
    }
    assert!(begin.elapsed() >= Duration::from_millis(195), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn long_names_and_many_labels_do_not_leave() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("*.test:443", &server).await.expect("started");
    let long = format!("{}.{}", "a".repeat(50), "b".repeat(30));
    for bad in ["a.b.c.d.e.f", &long] {
        assert_eq!(pod.a(&format!("{bad}.test")).await.rcode, Rcode::REFUSED, "{bad}");
    }
    assert_eq!(server.names().len(), 0);
    assert_eq!(pod.a(&format!("{}.test", &long[1..])).await.rcode, Rcode::NOERROR);
    assert_eq!(pod.a("a.b.c.d.e.test").await.rcode, Rcode::NOERROR);
}

#[tokio::test]
async fn memory_for_names_has_a_bound() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let limits = Limits { remembered: 8, ..quick() };
    let pod = start_with("pinned.test:1, *.test:443", &server, "", Guard::default(), limits).await.expect("started");
    for number in 0..20 {
        assert_eq!(pod.a(&format!("n{number}.test")).await.addresses, ips(&["192.0.2.1"]));
    }
    assert_eq!(pod.names.snapshot().names.len(), 9);
    assert_eq!(pod.a("pinned.test").await.addresses, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn the_gate_is_open_before_the_answer_leaves() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1", "192.0.2.2", "192.0.2.3"])]).await;
    let pod = start("*.test:443", &server).await.expect("started");
    *pod.gate.slow.lock().expect("no panic") = Duration::from_millis(30);
    let responder = pod.names.responder();
    for number in 0..5 {
        // A thread of its own sees the answer as soon as it is there.
        let message = question(7, &format!("n{number}.test"), Rtype::A);
        let client = tokio::task::spawn_blocking(move || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.send_to(&message, responder).expect("sent");
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).expect("an answer");
            (read(&buffer[..length]).addresses, Instant::now())
        });
        let (addresses, at) = client.await.expect("no panic");
        assert_eq!(addresses.len(), 3);
        assert!(pod.gate.done.lock().expect("no panic").is_some_and(|done| done < at));
        assert!(addresses.iter().all(|to| pod.gate.permitted().contains(to)));
        *pod.gate.done.lock().expect("no panic") = None;
        pod.gate.told.lock().expect("no panic").clear();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_full_table_gives_up_what_ends_first() {
    let server = Server::new(|asked| {
        let number: u32 = asked.name[1..].split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let all: Vec<String> =
            (0..16).map(|n| format!("192.0.{}.{}", 10 + number / 10, number % 10 * 16 + n)).collect();
        vec![asked.addresses(60, &all.iter().map(String::as_str).collect::<Vec<_>>())]
    })
    .await;
    let pod = start("*.test:443", &server).await.expect("started");
    for number in 0..40 {
        assert_eq!(pod.a(&format!("n{number}.test")).await.addresses.len(), 16, "{number}");
    }
    assert_eq!(pod.names.snapshot().permits, 512);
    let told = pod.gate.told.lock().expect("no panic").clone();
    let forgotten: Vec<_> =
        told.iter().filter_map(|told| if let Told::Forget(to) = told { Some(*to) } else { None }).collect();
    assert_eq!(forgotten.len(), 128);
    assert!(forgotten.iter().all(|to| *to < ips(&["192.0.10.128"])[0]), "{forgotten:?}");
    // What is not permitted any more is not told, but asked for and permitted anew.
    pod.gate.told.lock().expect("no panic").clear();
    assert_eq!(pod.a("n0.test").await.addresses.len(), 16);
    assert_eq!(pod.gate.permitted().len(), 16);
    assert_eq!(server.names().len(), 41);
}

#[tokio::test]
async fn a_gate_that_refuses_keeps_the_answer() {
    let server = Server::new(|asked| vec![asked.addresses(60, &["192.0.2.1"])]).await;
    let pod = start("*.test:443", &server).await.expect("started");
    *pod.gate.full.lock().expect("no panic") = true;
    let answer = pod.a("a.test").await;
    assert_eq!((answer.rcode, answer.addresses.len()), (Rcode::SERVFAIL, 0));
    assert_eq!(pod.names.snapshot().counters.unpermitted, 1);
}
