//! What comes in.

use crate::room::{Room, expect, rules};

#[test]
fn only_ports_of_listen_are_reached_from_anywhere() {
    let Some(room) = Room::new(&rules(&["listen tcp 8080", "tcp 127.0.0.1 8080", "tcp ::1 8080"])) else { return };
    // The listener that nobody bound is put on a port that the test knows.
    room.shell_inside("sysctl -qw net.ipv4.ip_local_port_range='40000 40000'");
    let _server = room.serve(
        r#"
def refused(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try: s.bind(("::", port))
    except OSError as e: return e.errno == errno.EACCES
assert refused(8081) and refused(3128)
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.bind(("::", 8080)); s.listen(64)
auto = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); auto.listen(64)
assert auto.getsockname()[1] == 40000
def loop(s):
    while True:
        c, _ = s.accept(); c.sendall(b"hello"); c.close()
for x in (s, auto): threading.Thread(target=loop, args=(x,), daemon=True).start()
print("ready", flush=True); time.sleep(1000)
"#,
    );
    room.shell_inside("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'");
    let ask = r#"
def hello(s): return None if s.recv(9) == b"hello" else "odd"
WAIT = 0.6
for name, to in TO:
    t(name, lambda: hello(tcp(to, 8080)))
    t(name + "_auto", lambda: hello(tcp(to, 40000)))
"#;
    let from_outside = room.outside(&format!("TO = (('four', '10.77.0.1'), ('six', 'fd77::1'))\n{ask}"));
    expect(&from_outside, &["four ok", "six ok", "four_auto TIMEOUT", "six_auto TIMEOUT"]);
    let over_loopback =
        room.neighbour(&format!("TO = (('four', '127.0.0.1'), ('six', '::1'), ('own', '10.77.0.1'))\n{ask}"));
    expect(
        &over_loopback,
        &["four ok", "six ok", "own ok", "four_auto TIMEOUT", "six_auto TIMEOUT", "own_auto TIMEOUT"],
    );
    let itself = room.run(&format!("TO = (('four', '127.0.0.1'), ('six', '::1'), ('own', '10.77.0.1'))\n{ask}"));
    expect(&itself, &["four ok", "six ok", "own EACCES", "four_auto EACCES", "six_auto EACCES", "own_auto EACCES"]);
    let refusals = room.attached().counters().expect("counters can be read");
    assert!(refusals.refused.iter().any(|(hook, times)| *hook == zerocap_fence::Hook::PacketIn && *times >= 5));
}

#[test]
fn a_datagram_server_answers_those_who_asked_and_nobody_else() {
    let Some(room) = Room::new(&rules(&["listen udp 7000"])) else { return };
    let _server = room.serve(
        r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    d, a = s.recvfrom(99)
    for to in (a, ("10.77.0.3", a[1]), (a[0], 7777)):
        try: s.sendto(b"answer", to)
        except OSError as e: s.sendto(errno.errorcode[e.errno].encode(), a)
"#,
    );
    let results = room.outside(
        r#"
s = udp(); s.bind(("10.77.0.2", 0)); s.sendto(b"q", ("10.77.0.1", 7000))
for n in ("asked", "other_address", "other_port"): t(n, lambda: s.recv(99).decode())
"#,
    );
    expect(&results, &["asked answer", "other_address EACCES", "other_port EACCES"]);
}

#[test]
fn an_approved_socket_that_disconnects_hears_nobody() {
    let Some(room) = Room::new(&rules(&["udp 10.77.0.2 53", "tcp 10.77.0.2 443"])) else { return };
    room.shell_inside("sysctl -qw net.ipv4.ip_local_port_range='40000 40001'");
    let _peer = room.outside_serves(
        "s = socket.socket(); s.bind(('10.77.0.2', 443)); s.listen(9); print('ready', flush=True)\nwhile True: s.accept()",
    );
    let _server = room.serve(
        r#"
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def disconnect(s): assert libc.connect(s.fileno(), bytes(16), 16) == 0
u = udp(); u.connect(("10.77.0.2", 53)); port = u.getsockname()[1]; disconnect(u); u.bind(("", 0)) if u.getsockname()[1] == 0 else None
s = tcp("10.77.0.2", 443, before=lambda s: s.bind(("", 0))); disconnect(s); s.listen(9)
s.settimeout(None); u.settimeout(None)
print("ready", flush=True); time.sleep(1000)
"#,
    );
    let before = drops(&room);
    let results = room.outside(
        r#"
s = udp(); s.bind(("10.77.0.3", 0))
WAIT = 0.6
for port in (40000, 40001):
    s.sendto(b"from an outsider", ("10.77.0.1", port))
    t("tcp%d" % port, lambda: tcp("10.77.0.1", port) and "accepted")
"#,
    );
    assert!(results.values().all(|result| result != "accepted"), "{results:?}");
    assert!(results.values().any(|result| result == "TIMEOUT"), "one of them is the listener: {results:?}");
    assert!(drops(&room) >= before + 2, "the datagram and the connect");
}

fn drops(room: &Room) -> u64 {
    let counters = room.attached().counters().expect("counters can be read");
    counters.refused.iter().filter(|(hook, _)| *hook == zerocap_fence::Hook::PacketIn).map(|(_, times)| times).sum()
}
