//! What the workload sends.

use std::net::Ipv4Addr;

use zerocap_annotations::knob::Transport;

use crate::room::{Room, expect, rules};

/// Listeners and receivers at the far end for everything that must or must not be reached.
const SERVERS: &str = r#"
import socket, threading
def echo(c):
    try:
        while True:
            d = c.recv(4096)
            if not d: break
            c.sendall(d)
    except OSError: pass
    c.close()
for port in (443, 444, 5000, 5015, 5016):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", port)); s.listen(64)
    def loop(s=s):
        while True:
            c, _ = s.accept(); threading.Thread(target=echo, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
for family, to in ((socket.AF_INET, "10.77.0.2"), (socket.AF_INET, "10.77.0.3"), (socket.AF_INET6, "fd77::2"), (socket.AF_INET6, "fd77::3")):
    for port in (53, 54):
        s = socket.socket(family, socket.SOCK_DGRAM); s.bind((to, port))
        def loop(s=s):
            while True:
                d, a = s.recvfrom(2048); s.sendto(d, a)
        threading.Thread(target=loop, daemon=True).start()
print("ready", flush=True)
import time; time.sleep(1000)
"#;

#[test]
fn only_listed_addresses_and_ports_are_reached() {
    let Some(room) = Room::new(&rules(&[
        "tcp 10.77.0.2 443",
        "tcp fd77::2 443",
        "tcp 10.77.0.2 5000-5015",
        "tcp 10.77.0.3/32 443-444",
        "tcp fd77::/126 5000",
    ])) else {
        return;
    };
    let _servers = room.outside_serves(SERVERS);
    let results = room.run(
        r#"
def echo(s): s.sendall(b"x"); return None if s.recv(1) == b"x" else "odd"
t("listed4", lambda: echo(tcp("10.77.0.2", 443)))
t("listed6", lambda: echo(tcp("fd77::2", 443)))
t("mapped", lambda: echo(tcp("::ffff:10.77.0.2", 443)))
t("range_first", lambda: echo(tcp("10.77.0.2", 5000)))
t("range_last", lambda: echo(tcp("10.77.0.2", 5015)))
t("network6", lambda: echo(tcp("fd77::3", 5000)))
t("beyond_range", lambda: tcp("10.77.0.2", 5016) and "reached")
t("other_port", lambda: tcp("10.77.0.2", 444) and "reached")
t("other_address", lambda: tcp("10.77.0.4", 443) and "reached")
t("other_address6", lambda: tcp("fd77::3", 443) and "reached")
t("other_mapped", lambda: tcp("::ffff:10.77.0.4", 443) and "reached")
t("beyond_network6", lambda: tcp("fd77::4", 5000) and "reached")
t("nonblocking", lambda: tcp("10.77.0.4", 443, before=lambda s: s.setblocking(False)) and "reached")
"#,
    );
    expect(
        &results,
        &[
            "listed4 ok",
            "listed6 ok",
            "mapped ok",
            "range_first ok",
            "range_last ok",
            "network6 ok",
            "beyond_range EACCES",
            "other_port EACCES",
            "other_address EACCES",
            "other_address6 EACCES",
            "other_mapped EACCES",
            "beyond_network6 EACCES",
            "nonblocking EACCES",
        ],
    );
    assert!(!room.saw_port(444) && !room.saw_port(5016));
}

#[test]
fn every_form_of_fast_open_is_judged() {
    let Some(room) = Room::new(&rules(&["tcp 10.77.0.2 443"])) else { return };
    let _servers = room.outside_serves(SERVERS);
    room.shell_inside("sysctl -qw net.ipv4.tcp_fastopen=0x605");
    let results = room.run(
        r#"
def s(f=socket.AF_INET): x = socket.socket(f, socket.SOCK_STREAM); x.settimeout(3); return x
t("sendto", lambda: s().sendto(b"fo-sendto", FASTOPEN, ("10.77.0.2", 444)) and "sent")
t("sendto6", lambda: s(socket.AF_INET6).sendto(b"fo-sendto6", FASTOPEN, ("fd77::2", 443)) and "sent")
t("sendmsg", lambda: s().sendmsg([b"fo-sendmsg"], [], FASTOPEN, ("10.77.0.3", 443)) and "sent")
t("mapped", lambda: s(socket.AF_INET6).sendto(b"fo-mapped", FASTOPEN, ("::ffff:10.77.0.3", 443)) and "sent")
t("listed", lambda: None if s().sendto(b"fo-listed", FASTOPEN, ("10.77.0.2", 443)) else "odd")
t("option", lambda: s().setsockopt(socket.IPPROTO_TCP, 30, 1))
t("bound_socket", lambda: s().setsockopt(socket.SOL_SOCKET, 25, b"eth0\0"))
"#,
    );
    expect(
        &results,
        &[
            "sendto EACCES",
            "sendto6 EACCES",
            "sendmsg EACCES",
            "mapped EACCES",
            "listed ok",
            "option EACCES",
            "bound_socket EACCES",
        ],
    );
    let frames = room.frames();
    let saw = |text: &[u8]| frames.iter().any(|frame| frame.windows(text.len()).any(|window| window == text));
    assert!(saw(b"fo-listed") && !saw(b"fo-sendto") && !saw(b"fo-sendmsg") && !saw(b"fo-mapped"));
}

#[test]
fn loopback_is_an_address_and_a_device() {
    let Some(room) = Room::new(&rules(&["tcp 127.0.0.1 3128", "tcp ::1 3128", "udp 127.0.0.1 53", "tcp 0.0.0.0/0 81"]))
    else {
        return;
    };
    let _proxy = room.neighbour_serves(
        r#"
for f, a in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for port in (3128, 81):
        s = socket.socket(f, socket.SOCK_STREAM); s.bind((a, port)); s.listen(16); globals()[f"s{port}{f}"] = s
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True: d, a = u.recvfrom(99); u.sendto(d, a)
"#,
    );
    let results = room.run(
        r#"
def ask(s, to=("127.0.0.1", 53)):
    s.sendto(b"q", to); return None if s.recv(9) == b"q" else "odd"
t("proxy4", lambda: tcp("127.0.0.1", 3128) and None)
t("proxy6", lambda: tcp("::1", 3128) and None)
t("unspecified4", lambda: tcp("0.0.0.0", 3128) and None)
t("unspecified6", lambda: tcp("::", 3128) and None)
t("unspecified_mapped", lambda: tcp("::ffff:0.0.0.0", 3128) and None)
t("unspecified_port", lambda: tcp("0.0.0.0", 3129) and "reached")
t("other_loopback", lambda: tcp("127.0.0.2", 3128) and "reached")
t("wide_network", lambda: tcp("127.0.0.1", 81) and "reached")
t("dns", lambda: ask(udp()))
t("dns_again", lambda: ask(udp()))
def by_device(s):
    info = struct.pack("=I4s4s", socket.if_nametoindex("eth0"), b"\0" * 4, b"\0" * 4)
    s.sendmsg([b"pkt-info"], [(socket.IPPROTO_IP, 8, info)], 0, ("127.0.0.1", 53)); return "sent"
t("by_device", lambda: by_device(udp()))
def connected():
    s = udp(); s.connect(("127.0.0.1", 53)); return by_device_connected(s)
def by_device_connected(s):
    info = struct.pack("=I4s4s", socket.if_nametoindex("eth0"), b"\0" * 4, b"\0" * 4)
    s.sendmsg([b"pkt-info"], [(socket.IPPROTO_IP, 8, info)]); return "sent"
t("by_device_connected", connected)
t("bound_to_unspecified", lambda: tcp("0.0.0.0", 3128, before=lambda s: s.bind(("10.77.0.1", 0))) and None)
"#,
    );
    expect(
        &results,
        &[
            "proxy4 ok",
            "proxy6 ok",
            "unspecified4 ok",
            "unspecified6 ok",
            "unspecified_mapped ok",
            "unspecified_port EACCES",
            "other_loopback EACCES",
            "wide_network EACCES",
            "dns ok",
            "dns_again ok",
            "by_device EPERM",
            "by_device_connected EPERM",
            "bound_to_unspecified ok",
        ],
    );
    let frames = room.frames();
    assert!(!frames.iter().any(|frame| frame.windows(8).any(|window| window == b"pkt-info")));
}

#[test]
fn datagrams_go_to_listed_places_only_and_answers_come_back() {
    let Some(room) = Room::new(&rules(&["udp 10.77.0.2 53", "udp fd77::2 53"])) else { return };
    let _servers = room.outside_serves(SERVERS);
    let results = room.run(
        r#"
def ask(s, to, port):
    s.sendto(b"q", (to, port)); return None if s.recv(9) == b"q" else "odd"
def connected(to, port):
    s = udp(family(to)); s.connect((to, port)); s.send(b"q"); return None if s.recv(9) == b"q" else "odd"
t("sendto4", lambda: ask(udp(), "10.77.0.2", 53))
t("sendto6", lambda: ask(udp(socket.AF_INET6), "fd77::2", 53))
t("mapped", lambda: ask(udp(socket.AF_INET6), "::ffff:10.77.0.2", 53))
t("connected4", lambda: connected("10.77.0.2", 53))
t("connected6", lambda: connected("fd77::2", 53))
t("other_port", lambda: ask(udp(), "10.77.0.2", 54))
t("other_address", lambda: ask(udp(), "10.77.0.3", 53))
t("other6", lambda: ask(udp(socket.AF_INET6), "fd77::3", 53))
t("other_connected", lambda: connected("10.77.0.3", 53))
def name_on_connected():
    s = udp(); s.connect(("10.77.0.2", 53)); s.sendto(b"escape-name", ("10.77.0.3", 53)); return "sent"
t("name_on_connected", name_on_connected)
def cork():
    s = udp(); s.sendto(b"cork", socket.MSG_MORE, ("10.77.0.2", 53)); s.sendto(b"escape-cork", 0, ("10.77.0.3", 53))
    return "to " + s.recvfrom(99)[1][0]
t("cork", cork)
def lost():
    s = udp(); s.connect(("10.77.0.2", 53))
    try: s.connect(("10.77.0.3", 53))
    except OSError: pass
    s.send(b"after-refusal"); return "sent"
t("refusal_clears", lost)
t("large", lambda: None if udp().sendto(b"z" * 1900, ("10.77.0.2", 53)) else "odd")
t("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) and "made")
t("udplite", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136) and "made")
t("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 17) and "made")
t("raw6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 255) and "made")
t("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1) and "made")
"#,
    );
    expect(
        &results,
        &[
            "sendto4 ok",
            "sendto6 ok",
            "mapped ok",
            "connected4 ok",
            "connected6 ok",
            "other_port EACCES",
            "other_address EACCES",
            "other6 EACCES",
            "other_connected EACCES",
            "name_on_connected EACCES",
            "cork to 10.77.0.2",
            "refusal_clears EPERM",
            "large ok",
            "mptcp EPROTONOSUPPORT",
            "udplite EACCES",
            "raw EACCES",
            "raw6 EACCES",
            "ping EACCES",
        ],
    );
    let frames = room.frames();
    let saw = |text: &[u8]| frames.iter().any(|frame| frame.windows(text.len()).any(|window| window == text));
    assert!(!saw(b"escape-name") && !saw(b"after-refusal"));
}

#[test]
fn an_address_is_permitted_until_its_time_is_over() {
    let policy = rules(&["tcp 10.77.0.3 443", "name api.example 443"]);
    let Some(room) = Room::new(&policy) else { return };
    let _servers = room.outside_serves(SERVERS);
    let until = |from_now: i64| {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec + from_now).expect("it is after boot")
    };
    let to = "10.77.0.2".parse().expect("an address");
    let permits = room.loaded.permits(&policy).expect("there are descriptors");
    let permit = |until| permits.permit(Transport::Tcp, to, (443, 443), until).expect("there is room");
    let ask = "t('ask', lambda: tcp('10.77.0.2', 443) and None)";
    expect(&room.run(ask), &["ask EACCES"]);
    permit(until(3_600_000_000_000));
    expect(&room.run(ask), &["ask ok"]);
    permit(until(-1));
    expect(&room.run(ask), &["ask EACCES"]);
    permit(0);
    expect(&room.run(ask), &["ask ok"]);
    permits.forget(Transport::Tcp, to, (443, 443)).expect("it is there");
    permits.forget(Transport::Tcp, to, (443, 443)).expect("what is not there is no error");
    expect(&room.run(ask), &["ask EACCES"]);
    // What the policy lists itself neither expires nor goes.
    let listed = "10.77.0.3".parse().expect("an address");
    permits.permit(Transport::Tcp, listed, (443, 443), until(-1)).expect("nothing to do");
    permits.forget(Transport::Tcp, listed, (443, 443)).expect("nothing to do");
    expect(&room.run("t('ask', lambda: tcp('10.77.0.3', 443) and None)"), &["ask ok"]);
}

#[test]
fn a_name_has_its_ports_and_transport_at_its_addresses_and_the_table_has_an_end() {
    let policy = rules(&["name api.example 443-444", "name udp://*.example 53"]);
    let Some(room) = Room::new(&policy) else { return };
    let _servers = room.outside_serves(SERVERS);
    let permits = room.loaded.permits(&policy).expect("there are descriptors");
    let (v4, v6) = ("10.77.0.2".parse().expect("an address"), "fd77::2".parse().expect("an address"));
    permits.permit(Transport::Tcp, v4, (443, 444), 0).expect("there is room");
    permits.permit(Transport::Udp, v6, (53, 53), 0).expect("there is room");
    let results = room.run(
        r#"
def ask(to, port):
    s = udp(family(to)); s.sendto(b"q", (to, port)); return None if s.recv(9) == b"q" else "odd"
t("first", lambda: tcp("10.77.0.2", 443) and None)
t("last", lambda: tcp("10.77.0.2", 444) and None)
t("mapped", lambda: tcp("::ffff:10.77.0.2", 444) and None)
t("beyond", lambda: tcp("10.77.0.2", 5000) and "reached")
t("neighbour", lambda: tcp("10.77.0.3", 443) and "reached")
t("datagram6", lambda: ask("fd77::2", 53))
t("datagram4", lambda: ask("10.77.0.2", 53))
t("other_transport", lambda: tcp("fd77::2", 53) and "reached")
"#,
    );
    let refused = ["beyond", "neighbour", "datagram4", "other_transport"].map(|name| format!("{name} EACCES"));
    let expected: Vec<&str> = ["first ok", "last ok", "mapped ok", "datagram6 ok"]
        .into_iter()
        .chain(refused.iter().map(String::as_str))
        .collect();
    expect(&results, &expected);
    let full =
        (0..4096u32).map(|n| permits.permit(Transport::Tcp, Ipv4Addr::from(0x0b00_0000 + n).into(), (443, 443), 1));
    let taken = full.take_while(Result::is_ok).count();
    assert!((512..1000).contains(&taken), "{taken} addresses fit");
    permits.permit(Transport::Tcp, v4, (443, 444), 1).expect("what is there can be changed");
    permits.forget(Transport::Tcp, Ipv4Addr::from(0x0b00_0000).into(), (443, 443)).expect("it is there");
    permits.permit(Transport::Tcp, v6, (443, 443), 0).expect("there is room again");
}

/// What is connected stays so: also where the kernel asks again at each send, as for IPv4 by a socket of IPv6 and with ancillary data.
#[test]
fn a_connected_socket_of_datagrams_outlives_the_permit_of_its_peer() {
    let policy = rules(&["name udp://api.example 53", "udp 10.77.0.3 53"]);
    let Some(room) = Room::new(&policy) else { return };
    let _servers = room.outside_serves(SERVERS);
    let permits = room.loaded.permits(&policy).expect("there are descriptors");
    let (v4, v6) = ("10.77.0.2".parse().expect("an address"), "fd77::2".parse().expect("an address"));
    for to in [v4, v6] {
        permits.permit(Transport::Udp, to, (53, 53), 0).expect("there is room");
    }
    let client = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            room.run(
                r#"
def connected(to, domain):
    s = udp(domain); s.connect((to, 53)); s.send(b"q"); assert s.recv(9) == b"q"; return s
plain, six, mapped = connected("10.77.0.2", socket.AF_INET), connected("fd77::2", socket.AF_INET6), connected("::ffff:10.77.0.2", socket.AF_INET6)
def over():
    try: udp().sendto(b"probe", ("10.77.0.2", 53)); return False
    except PermissionError: return True
end = time.time() + 20
while not over() and time.time() < end: time.sleep(0.05)
def echo(s, *rest):
    s.send(b"r") if not rest else s.sendmsg([b"r"], *rest)
    while True:
        d = s.recv(9)
        if d == b"r": return
def tos(level, name): return [(level, name, struct.pack("i", 0))]
t("new", lambda: udp().sendto(b"escape-new", ("10.77.0.2", 53)) and "sent")
t("plain", lambda: echo(plain))
t("plain_tos", lambda: echo(plain, tos(socket.IPPROTO_IP, 1)))
t("six", lambda: echo(six))
t("six_class", lambda: echo(six, tos(socket.IPPROTO_IPV6, 67)))
t("mapped", lambda: echo(mapped))
t("mapped_elsewhere", lambda: mapped.sendto(b"escape-port", ("::ffff:10.77.0.2", 54)) and "sent")
t("mapped_other", lambda: mapped.sendto(b"escape-other", ("::ffff:10.77.0.4", 53)) and "sent")
t("mapped_refused", lambda: mapped.connect(("::ffff:10.77.0.4", 53)) or "connected")
t("mapped_after_refusal", lambda: mapped.send(b"escape-refused") and "sent")
t("mapped_again", lambda: mapped.connect(("::ffff:10.77.0.3", 53)))
t("mapped_then", lambda: echo(mapped))
"#,
            )
        });
        std::thread::sleep(std::time::Duration::from_millis(1500));
        for to in [v4, v6] {
            permits.forget(Transport::Udp, to, (53, 53)).expect("it is there");
        }
        client.join().expect("the client ends")
    });
    expect(
        &client,
        &[
            "new EACCES",
            "plain ok",
            "plain_tos ok",
            "six ok",
            "six_class ok",
            "mapped ok",
            "mapped_elsewhere EACCES",
            "mapped_other EACCES",
            "mapped_refused EACCES",
            "mapped_after_refusal EACCES",
            "mapped_again ok",
            "mapped_then ok",
        ],
    );
    let frames = room.frames();
    assert!(!frames.iter().any(|frame| frame.windows(7).any(|window| window == b"escape-")));
}

/// BIG TCP: where a device takes more than 64 KiB at once, the kernel says so in an IPv6 header of its own.
#[test]
fn packets_of_more_than_64_kib_pass_in_both_directions() {
    let Some(room) = Room::new(&rules(&["tcp fd77::2 443", "tcp 10.77.0.2 443", "listen tcp 8080"])) else { return };
    let big = "ip link set eth0 gso_max_size 200000 gro_max_size 200000";
    room.shell_inside(big);
    room.shell_outside(big);
    const SINK: &str = r#"
def sink(f, a, port):
    s = socket.socket(f, socket.SOCK_STREAM); s.bind((a, port)); s.listen(9)
    while True:
        c, _ = s.accept(); left = 32 << 20
        while left:
            d = c.recv(1 << 20)
            if not d: break
            left -= len(d)
        c.sendall(b"all"); c.close()
"#;
    // How large the packets were that left: without large ones nothing is shown.
    const SEND: &str = r#"
WAIT = 8
def sent():
    words = next(line for line in open("/proc/self/net/dev") if "eth0:" in line).split(); return int(words[9]), int(words[10])
def pour(to, port):
    s = tcp(to, port); bytes_before, before = sent(); s.sendall(bytes(32 << 20)); assert s.recv(9) == b"all"
    size, packets = sent(); return "large" if (size - bytes_before) / (packets - before) > 80000 else None
"#;
    let sinks = |four: &str, six: &str, port: u16| {
        format!(
            "{SINK}\nfor f, a in ((socket.AF_INET, '{four}'), (socket.AF_INET6, '{six}')): threading.Thread(target=sink, args=(f, a, {port}), daemon=True).start()\n\
             time.sleep(0.3); print('ready', flush=True); time.sleep(1000)"
        )
    };
    let _outside = room.outside_serves(&sinks("10.77.0.2", "fd77::2", 443));
    let out =
        room.run(&format!("{SEND}\nt('four', lambda: pour('10.77.0.2', 443))\nt('six', lambda: pour('fd77::2', 443))"));
    expect(&out, &["four ok", "six large"]);
    let _inside = room.serve(&sinks("10.77.0.1", "fd77::1", 8080));
    let back = room.outside(&format!(
        "{SEND}\nt('four', lambda: pour('10.77.0.1', 8080))\nt('six', lambda: pour('fd77::1', 8080))"
    ));
    expect(&back, &["four ok", "six large"]);
}
