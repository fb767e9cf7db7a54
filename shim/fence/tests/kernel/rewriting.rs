//! Clusters that send connections elsewhere: programs on a cgroup above, and NAT in the pod's network.

use zerocap_fence::{FenceError, Tree};

use crate::foreign::{self, CONNECT4, SENDMSG4};
use crate::room::{Made, Room, expect, possible, rules, skip};

const SERVICE: [u8; 4] = [10, 96, 0, 10];
const BACK_END: [u8; 4] = [10, 77, 0, 2];
const ECHO: &str = r#"
s = socket.socket(); s.bind(("10.77.0.2", 4443)); s.listen(9)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("10.77.0.2", 5353))
def loop():
    while True:
        c, _ = s.accept(); c.sendall(b"hello")
threading.Thread(target=loop, daemon=True).start()
print("ready", flush=True)
while True: d, a = u.recvfrom(99); u.sendto(d, a)
"#;
const ASK: &str = r#"
def hello(s): return None if s.recv(9) == b"hello" else "odd"
def ask(to, port):
    s = udp(); s.sendto(b"q", (to, port)); return None if s.recv(9) == b"q" else "odd"
t("service", lambda: hello(tcp("10.96.0.10", 443)))
t("service_udp", lambda: ask("10.96.0.10", 53))
t("back_end", lambda: hello(tcp("10.77.0.2", 4443)))
t("back_end_udp", lambda: ask("10.77.0.2", 5353))
t("other", lambda: hello(tcp("10.77.0.3", 443)))
"#;
const EXPECTED: [&str; 5] = ["service ok", "service_udp ok", "back_end EACCES", "back_end_udp EACCES", "other EACCES"];

#[test]
fn a_service_is_judged_as_it_was_asked_for_where_a_group_above_rewrites() {
    if !possible() {
        return;
    }
    let tree = Tree::open().expect("the tree was found before");
    let parent = format!("/zerocap.test.{}.services", std::process::id());
    let (_made, above) = Made::new(&tree, parent.clone());
    for (hook, from, to) in [(CONNECT4, 443, 4443), (SENDMSG4, 53, 5353)] {
        let rewrite = foreign::rewriter((SERVICE, from), (BACK_END, to));
        foreign::attach(&above, hook, &rewrite, 2).expect("root may attach");
    }
    let room =
        Room::below(&parent, &rules(&["tcp 10.96.0.10 443", "udp 10.96.0.10 53"])).expect("it was possible before");
    let _servers = room.outside_serves(ECHO);
    expect(&room.run(ASK), &EXPECTED);
}

#[test]
fn a_service_is_judged_as_it_was_asked_for_where_the_pods_network_translates() {
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        skip("there is no nft");
        return;
    }
    let Some(room) = Room::new(&rules(&["tcp 10.96.0.10 443", "udp 10.96.0.10 53", "tcp 10.77.0.4 443"])) else {
        return;
    };
    let _servers = room.outside_serves(ECHO);
    let _sidecar = room.neighbour_serves(
        "s = socket.socket(); s.bind(('127.0.0.1', 15001)); s.listen(9); print('ready', flush=True)\nwhile True:\n c, _ = s.accept(); c.sendall(b'hello'); c.close()",
    );
    room.shell_inside(
        "nft -f - <<'EOT'\n\
         table ip nat {\n\
         chain output {\n\
         type nat hook output priority -100\n\
         ip daddr 10.96.0.10 tcp dport 443 dnat to 10.77.0.2:4443\n\
         ip daddr 10.96.0.10 udp dport 53 dnat to 10.77.0.2:5353\n\
         ip daddr 10.77.0.4 tcp dport 443 redirect to :15001\n\
         }\n\
         }\nEOT",
    );
    expect(&room.run(ASK), &EXPECTED);
    expect(&room.run("t('mesh', lambda: tcp('10.77.0.4', 443).recv(9) != b'hello' and 'odd' or None)"), &["mesh ok"]);
}

#[test]
fn a_group_above_that_excludes_programs_or_would_lose_its_own_is_refused_by_name() {
    if !possible() {
        return;
    }
    let tree = Tree::open().expect("the tree was found before");
    for (flags, how) in [(0, "exclusively"), (1, "so that ours would switch it off")] {
        let parent = format!("/zerocap.test.{}.flags{flags}", std::process::id());
        let (_made, above) = Made::new(&tree, parent.clone());
        foreign::attach(&above, CONNECT4, &foreign::allow(), flags).expect("root may attach");
        let group = tree.make(&format!("{parent}/container")).expect("a group can be made");
        let loaded = zerocap_fence::Loaded::new(&rules(&[])).expect("the fence loads");
        let before = foreign::programs_on(&group, CONNECT4);
        match loaded.attach(&tree, &group) {
            Err(FenceError::Parent { group, hook, how: said }) => {
                assert_eq!((group, hook, said), (parent.clone(), "cgroup/connect4", how));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(foreign::programs_on(&group, CONNECT4), before, "nothing was attached");
    }
}
