//! `mode: audit`: everything that goes out is counted and let through, everything else refused as ever.

use zerocap_annotations::PacketRules;
use zerocap_fence::Hook;

use crate::room::{Room, expect, rules};

#[test]
fn what_is_not_listed_gets_out_and_is_counted_while_nothing_else_changes() {
    let rules = PacketRules { audit: true, ..rules(&["tcp 10.77.0.2 443", "listen tcp 8080-8080"]) };
    let Some(room) = Room::new(&rules) else { return };
    let _servers = room.outside_serves(
        r#"
import socket, threading
for port in (443, 444):
    s = socket.socket(); s.bind(("10.77.0.2", port)); s.listen(64)
    def loop(s=s):
        while True: c, _ = s.accept(); c.sendall(c.recv(9)); c.close()
    threading.Thread(target=loop, daemon=True).start()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("10.77.0.2", 53))
def back():
    while True: d, a = u.recvfrom(99); u.sendto(d, a)
threading.Thread(target=back, daemon=True).start()
print("ready", flush=True)
import time; time.sleep(1000)
"#,
    );
    let results = room.run(
        r#"
def echo(s): s.sendall(b"x"); return None if s.recv(1) == b"x" else "odd"
def ask(connected):
    s = udp()
    if connected: s.connect(("10.77.0.2", 53)); s.send(b"q")
    else: s.sendto(b"q", ("10.77.0.2", 53))
    return None if s.recv(1) == b"q" else "odd"
t("listed", lambda: echo(tcp("10.77.0.2", 443)))
for n in range(3): t("other%d" % n, lambda: echo(tcp("10.77.0.2", 444)))
t("fast_open", lambda: socket.socket().sendto(b"x", FASTOPEN, ("10.77.0.2", 444)) and None)
t("datagram", lambda: ask(False))
t("datagram_connected", lambda: ask(True))
t("bind", lambda: socket.socket().bind(("", 80)))
t("bind_listed", lambda: socket.socket().bind(("", 8080)))
t("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and "made")
t("mark", lambda: socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1))
"#,
    );
    expect(
        &results,
        &[
            "listed ok",
            "other0 ok",
            "other1 ok",
            "other2 ok",
            "fast_open ok",
            "datagram ok",
            "datagram_connected ok",
            "bind EACCES",
            "bind_listed ok",
            "raw EACCES",
            "mark EACCES",
        ],
    );
    let attached = room.attached();
    let counters = attached.counters().expect("counters can be read");
    let times = |wanted| counters.refused.iter().find(|(hook, _)| *hook == wanted).map(|(_, times)| *times);
    // The packets of what was let through are not told a second time.
    assert_eq!((times(Hook::Connect), times(Hook::Send), times(Hook::PacketOut)), (Some(5), Some(1), Some(0)));
    assert_eq!((times(Hook::Bind), times(Hook::Socket), times(Hook::Option)), (Some(1), Some(1), Some(1)));
    assert_eq!(counters.approved, 1);
    let told = attached.reader().expect("the ring can be read").take();
    assert!(told.iter().any(|refusal| refusal.hook == Hook::Connect && refusal.port == 444), "{told:?}");
}

#[test]
fn nobody_comes_in_who_would_not_otherwise() {
    let rules = PacketRules { audit: true, ..rules(&["listen tcp 8080-8080"]) };
    let Some(room) = Room::new(&rules) else { return };
    // Whoever binds nowhere gets port 40000.
    room.shell_inside("sysctl -qw net.ipv4.ip_local_port_range='40000 40001'");
    let _server = room.serve(
        r#"
auto, known = socket.socket(), socket.socket()
known.bind(("", 8080)); known.listen(9); auto.listen(9)
u = udp(); u.sendto(b"hello", ("10.77.0.2", 9))
print("ready", flush=True)
while True: c, _ = known.accept(); c.sendall(b"hello"); c.close()
"#,
    );
    let results = room.outside(
        r#"
WAIT = 0.4
t("listed", lambda: None if tcp("10.77.0.1", 8080).recv(9) == b"hello" else "odd")
for port in (40000, 40001): t("auto%d" % port, lambda: tcp("10.77.0.1", port) and "accepted")
"#,
    );
    assert_eq!(results.get("listed").map(String::as_str), Some("ok"));
    assert!(results.values().all(|result| result != "accepted"), "{results:?}");
    let seen = room.attached().counters().expect("counters can be read").refused;
    assert!(seen.iter().any(|(hook, times)| *hook == Hook::PacketIn && *times >= 1), "{seen:?}");
}

/// Nobody lists datagrams, so nobody else needs to remember whom they went to.
#[test]
fn answers_to_watched_datagrams_come_back_to_each_of_many_sockets() {
    let Some(room) = Room::new(&PacketRules { audit: true, ..rules(&[]) }) else { return };
    let _servers = room.outside_serves(
        r#"
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 53))
print("ready", flush=True)
while True: d, a = u.recvfrom(99); time.sleep(0.2); u.sendto(d, a)
"#,
    );
    let results = room.run(
        r#"
all = [udp() for _ in range(8)]
for n, s in enumerate(all): s.sendto(b"%d" % n, ("10.77.0.2", 53))
t("answered", lambda: None if [s.recv(9) for s in all] == [b"%d" % n for n in range(8)] else "odd")
"#,
    );
    expect(&results, &["answered ok"]);
}
