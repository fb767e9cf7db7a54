//! A container without an engine: a group, a network namespace, and another one at the end of a veth.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};
use zerocap_annotations::knob::Transport::{self, Tcp, Udp};
use zerocap_annotations::knob::{Destination, Peer};
use zerocap_annotations::{Allow, PacketRules};
use zerocap_fence::{Attached, Group, Loaded, Tree};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What every script begins with: `t(name, what)` prints what came of a call.
const PRELUDE: &str = r#"
import errno, os, socket, struct, sys, threading, time
def t(name, what):
    try: print(name, what() or "ok", flush=True)
    except socket.timeout: print(name, "TIMEOUT", flush=True)
    except OSError as e: print(name, errno.errorcode.get(e.errno, e.errno), flush=True)
def tcp(to, port, family=None, before=None):
    s = socket.socket(family or (socket.AF_INET6 if ":" in to else socket.AF_INET), socket.SOCK_STREAM)
    s.settimeout(WAIT)
    if before: before(s)
    s.connect((to, port)); return s
def udp(family=socket.AF_INET, wait=3):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(wait); return s
def family(to): return socket.AF_INET6 if ":" in to else socket.AF_INET
FASTOPEN = 0x20000000
WAIT = 3
"#;

/// A child that is ended with the value.
pub struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace, held by a sleeping process.
struct Net(Background);

impl Net {
    fn new() -> Self {
        let child = Command::new("unshare").args(["-n", "sleep", "1000"]).spawn().expect("unshare runs");
        let net = Self(Background(child));
        let ours = std::fs::read_link("/proc/self/ns/net").expect("/proc is there");
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::read_link(net.path()).is_ok_and(|its| its == ours) {
            assert!(Instant::now() < deadline, "unshare does nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        net
    }

    fn pid(&self) -> String {
        self.0.0.id().to_string()
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.pid())
    }

    fn command(&self, program: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid(), "-n"]).args(program);
        command
    }

    fn shell(&self, script: &str) {
        let output = self.command(&["sh", "-ec", script]).output().expect("nsenter runs");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A cgroup that a test made. It goes with the value and with all that is below it, also where the test panics.
pub struct Made(String);

impl Made {
    pub fn new(tree: &Tree, path: String) -> (Self, Group) {
        let group = tree.make(&path).expect("a group can be made");
        (Self(path), group)
    }

    pub fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let gone = Tree::open().and_then(|tree| tree.remove(&self.0));
        // One panic is enough.
        assert!(gone.is_ok() || std::thread::panicking(), "{}: {gone:?}", self.0);
    }
}

/// The whole arrangement. The inside has 10.77.0.1 and fd77::1, the outside .2 to .4 of both.
pub struct Room {
    pub tree: Tree,
    made: Made,
    pub ids: Vec<u32>,
    pub loaded: Loaded,
    inside: Net,
    outside: Net,
    wire: OwnedFd,
}

/// What came of each step of a script.
pub type Results = BTreeMap<String, String>;

impl Room {
    /// None, and a word why, where there can be no fence.
    pub fn new(rules: &PacketRules) -> Option<Self> {
        Self::below("", rules)
    }

    /// As [`Room::new`], with the group below another one.
    pub fn below(parent: &str, rules: &PacketRules) -> Option<Self> {
        if !possible() {
            return None;
        }
        let tree = Tree::open().expect("the tree was found before");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("{parent}/zerocap.test.{}.{number}", std::process::id());
        let (made, group) = Made::new(&tree, path);
        let loaded = Loaded::new(rules).expect("the fence loads");
        let ids = loaded.attach(&tree, &group).expect("the fence can be attached");
        let (inside, outside) = (Net::new(), Net::new());
        inside.shell(&format!(
            "ip link set lo up; ip link add eth0 type veth peer name eth0 netns {}; \
             ip addr add 10.77.0.1/24 dev eth0; ip addr add fd77::1/64 dev eth0 nodad; ip link set eth0 up; \
             ip route add default via 10.77.0.2; ip -6 route add default via fd77::2",
            outside.pid()
        ));
        outside.shell(
            "ip link set lo up; for n in 2 3 4; do ip addr add 10.77.0.$n/24 dev eth0; ip addr add fd77::$n/64 dev eth0 nodad; done; \
             ip link set eth0 up",
        );
        let wire = observe(&outside.path());
        Some(Self { tree, made, ids, loaded, inside, outside, wire })
    }

    pub fn path(&self) -> &str {
        self.made.path()
    }

    pub fn group(&self) -> Group {
        self.tree.group(self.path()).expect("the group is there")
    }

    pub fn attached(&self) -> Attached {
        Attached::new(self.group(), self.ids.clone()).expect("the fence is attached")
    }

    fn fenced(&self, script: &str) -> Command {
        let procs = format!("{}{}/cgroup.procs", mount(), self.path());
        let enter = format!("echo $$ > {procs}; exec python3 -c \"$1\"");
        self.inside.command(&["sh", "-ec", &enter, "sh", &format!("{PRELUDE}{script}")])
    }

    /// Runs a script as the container.
    pub fn run(&self, script: &str) -> Results {
        results(self.fenced(script).output().expect("the script runs"))
    }

    /// Runs a script as the container until the value is dropped; it has said `ready` by then.
    pub fn serve(&self, script: &str) -> Background {
        ready(self.fenced(script))
    }

    /// A script in the same network, outside of the group: another container of the pod.
    pub fn neighbour(&self, script: &str) -> Results {
        results(
            self.inside.command(&["python3", "-c", &format!("{PRELUDE}{script}")]).output().expect("the script runs"),
        )
    }

    pub fn neighbour_serves(&self, script: &str) -> Background {
        ready(self.inside.command(&["python3", "-c", &format!("{PRELUDE}{script}")]))
    }

    /// A script at the other end of the veth.
    pub fn outside(&self, script: &str) -> Results {
        results(
            self.outside.command(&["python3", "-c", &format!("{PRELUDE}{script}")]).output().expect("the script runs"),
        )
    }

    pub fn outside_serves(&self, script: &str) -> Background {
        ready(self.outside.command(&["python3", "-c", &format!("{PRELUDE}{script}")]))
    }

    pub fn shell_inside(&self, script: &str) {
        self.inside.shell(script);
    }

    pub fn shell_outside(&self, script: &str) {
        self.outside.shell(script);
    }

    /// The frames that came out of the veth since the last look.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        std::thread::sleep(Duration::from_millis(30));
        let mut frames = Vec::new();
        let mut buffer = vec![0; 65536];
        while let Ok((length, _)) = recv(&self.wire, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            frames.push(buffer[..length].to_vec());
        }
        frames
    }

    /// Whether TCP or UDP packets to that port came out since the last look.
    pub fn saw_port(&self, port: u16) -> bool {
        self.frames().iter().any(|frame| goes_to(frame) == Some(port))
    }
}

/// Says why a test shows nothing here: past libtest, which keeps the words of a test that passes.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether a fence can be had here; says so where not.
pub fn possible() -> bool {
    match zerocap_fence::probe() {
        Ok(()) => true,
        // It can be had, and does not hold: that is no reason to skip.
        Err(zerocap_fence::FenceError::NotInForce(what)) => panic!("{what}"),
        Err(error) => {
            skip(&error.to_string());
            false
        }
    }
}

/// Where the tree is mounted, for shell scripts.
pub fn mount() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is there");
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup2 is mounted");
    line.split(' ').nth(4).expect("mountinfo has mount points").to_owned()
}

fn ready(mut command: Command) -> Background {
    use std::io::{BufRead, BufReader};
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the script starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is a pipe");
    let child = Background(child);
    BufReader::new(stdout).read_line(&mut line).expect("it says something");
    assert_eq!(line.trim(), "ready");
    child
}

fn results(output: Output) -> Results {
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, result)| (name.to_owned(), result.to_owned()))
        .collect()
}

/// A socket that gets every frame of the namespace.
fn observe(namespace: &str) -> OwnedFd {
    let namespace = std::fs::File::open(namespace).expect("the namespace lives");
    std::thread::spawn(move || {
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind).expect("root may enter");
        let every = Protocol::from_raw(u32::from(3u16.to_be()).try_into().expect("it is not 0"));
        socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(every)).expect("root may look")
    })
    .join()
    .expect("the thread ends")
}

/// The destination port of a TCP or UDP frame.
fn goes_to(frame: &[u8]) -> Option<u16> {
    let ip = frame.get(14..)?;
    let (header, protocol) = match (frame.get(12)?, frame.get(13)?) {
        (0x08, 0x00) => (usize::from(ip.first()? & 0xf) * 4, ip.get(9)?),
        (0x86, 0xdd) => (40, ip.get(6)?),
        _ => return None,
    };
    matches!(protocol, 6 | 17).then_some(())?;
    Some(u16::from_be_bytes([*ip.get(header + 2)?, *ip.get(header + 3)?]))
}

/// Rules as tests write them: `tcp 10.77.0.2/32 80-90`, `name *.example 443`, `listen tcp 8080-8080`, `proxy 3128`.
pub fn rules(text: &[&str]) -> PacketRules {
    let mut rules = PacketRules { proxy_port: 3128, ..PacketRules::default() };
    for line in text {
        let words: Vec<_> = line.split(' ').collect();
        let ports = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (first.parse().expect("a port"), last.parse().expect("a port"))
        };
        match words.as_slice() {
            ["name", host, range] => {
                let (transport, host) = host.strip_prefix("udp://").map_or((Tcp, *host), |host| (Udp, host));
                let peer = match host.strip_prefix("*.") {
                    Some(domain) => Peer::Below(domain.to_owned()),
                    None => Peer::Name(host.to_owned()),
                };
                rules.names.push(Destination { transport, peer, ports: ports(range) });
            }
            ["listen", transport, range] => {
                let (first, last) = ports(range);
                rules.listen.push((transport_of(transport), first, last));
            }
            [transport, network, range] => {
                let (address, length) = network.split_once('/').map_or((*network, None), |(a, l)| (a, Some(l)));
                let address: IpAddr = address.parse().expect("an address");
                let full = if address.is_ipv4() { 32 } else { 128 };
                let length = length.map_or(full, |length| length.parse().expect("a length"));
                rules.allow.push(Allow {
                    transport: transport_of(transport),
                    network: (address, length),
                    ports: ports(range),
                });
            }
            _ => panic!("{line}"),
        }
    }
    rules
}

fn transport_of(word: &str) -> Transport {
    if word == "udp" { Udp } else { Tcp }
}

/// Compares results with `name result` lines.
pub fn expect(results: &Results, expected: &[&str]) {
    let expected: Results = expected
        .iter()
        .map(|line| line.split_once(' ').expect("a name and a result"))
        .map(|(name, result)| (name.to_owned(), result.to_owned()))
        .collect();
    assert_eq!(results, &expected);
}
