//! The packet fence around real containers: where it is, what it lets through, how long it lives.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_e2e::attack::observer::Observer;
use zerocap_e2e::{Container, Node, TestResult, ensure, ensure_eq, netns};

use crate::{ENGINES, Suite};

/// The node, as pods reach it.
pub const HOST: &str = "10.88.0.1";
/// Where a server of the node listens: its own address is there from the first pod on.
const ANY: &str = "0.0.0.0";

pub fn add(suite: &mut Suite) {
    suite.each("fence::holds_every_process", &ENGINES, holds_every_process);
    suite.each("fence::egress_by_address", &ENGINES, egress_by_address);
    suite.each("fence::inbound_by_port", &ENGINES, inbound_by_port);
    suite.each("fence::outlives_the_shim", &ENGINES, outlives_the_shim);
    suite.each("fence::clients_of_the_proxy", &ENGINES, clients_of_the_proxy);
    suite.each("fence::not_around_ordinary_pods", &ENGINES, not_around_ordinary_pods);
}

/// The line of the version 2 tree, of a process of the node.
pub fn group_of(node: &Node, pid: u32) -> std::io::Result<String> {
    let text = fs::read_to_string(node.path(&format!("/proc/{pid}/cgroup")))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned())
}

/// What the state directory says of the fence.
pub fn state(node: &Node, container: &Container<'_>) -> Result<Value, zerocap_e2e::Outcome> {
    let path = node.path(&format!("/run/zerocap/k8s.io/{}/fence.json", container.id));
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

pub fn report(node: &Node, id: &str) -> Result<Value, zerocap_e2e::Outcome> {
    let output = node.exec(&["zerocap", "status", id, "--output", "json"])?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn holds_every_process(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/require", "egress,inbound,privileges").start()?;
    let main = pod.sleeper("main")?;
    let state = state(node, &main)?;
    let group = state["group"].as_str().unwrap_or_default();
    ensure!(group.len() > 1, "the fence is on the root: {state}");
    ensure_eq!(state["programs"].as_array().map(Vec::len), Some(10), "programs");
    // We see the group from above the node's own.
    let seen = group_of(node, main.pid()?)?;
    ensure!(seen.ends_with(group), "init is in {seen}, its fence is on {group}");
    // What is executed, and what that starts.
    let line = main.sh("grep ^0:: /proc/self/cgroup; sh -c 'grep ^0:: /proc/$$/cgroup'")?;
    let shown: Vec<&str> = line.stdout.lines().map(|line| line.trim_start_matches("0::")).collect();
    ensure!(shown.len() == 2 && shown[0] == shown[1], "an exec is elsewhere: {}", line.stdout);
    let stream = main.stream(&["sh", "-c", "grep ^0:: /proc/self/cgroup"], true)?.finish()?;
    ensure_eq!(stream.stdout.trim().trim_start_matches("0::"), shown[0], "an exec with a terminal");
    let text = report(node, &main.id)?.to_string();
    ensure!(text.contains("\"packet fence\""), "the report does not say that it was verified: {text}");
    if state["made"] == true {
        let group = group.to_owned();
        ensure!(everywhere(node).contains(&group), "{group} is not to be seen");
        main.stop(1)?;
        main.remove()?;
        ensure!(!everywhere(node).contains(&group), "{group} is left");
    }
    Ok(())
}

/// The groups below the root of the version 2 tree, wherever it is mounted.
fn everywhere(node: &Node) -> Vec<String> {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let names = |mount: &&str| fs::read_dir(node.path(mount)).into_iter().flatten().flatten();
    mounts.iter().flat_map(names).map(|entry| format!("/{}", entry.file_name().to_string_lossy())).collect()
}

/// An echo server of the node.
pub fn echo(node: &Node) -> std::io::Result<u16> {
    let listener = netns::within(&node.netns(), || TcpListener::bind((ANY, 0)))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 256];
                while let Ok(length) = stream.read(&mut buffer) {
                    if length == 0 || stream.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(port)
}

fn echo_datagrams(node: &Node) -> std::io::Result<u16> {
    let socket = netns::within(&node.netns(), || UdpSocket::bind((ANY, 0)))?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    Ok(port)
}

const CLIENT: &str = r#"
import errno, selectors, socket, sys, threading, time
host, port, udp = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def said(name, what):
    begin = time.time()
    try: what(); print(name, "ok")
    except OSError as e: print(name, errno.errorcode.get(e.errno, e), "late" if time.time() - begin > 1 else "at once")
def tcp(to, p):
    s = socket.create_connection((to, p), 5); s.sendall(b"x"); assert s.recv(1) == b"x"; s.close()
def nonblocking():
    s = socket.socket(); s.setblocking(False)
    r = s.connect_ex((host, port)); assert r in (0, errno.EINPROGRESS), r
    with selectors.DefaultSelector() as w:
        w.register(s, selectors.EVENT_WRITE); assert w.select(5)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
def many():
    bad = []
    def one():
        try:
            for _ in range(10): tcp(host, port)
        except Exception as e: bad.append(e)
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not bad, bad
def datagram(p, connected=False):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
    if connected: s.connect((host, p)); s.send(b"q")
    else: s.sendto(b"q", (host, p))
    assert s.recv(1) == b"q"
said("listed", lambda: tcp(host, port))
said("mapped", lambda: tcp("::ffff:" + host, port))
said("nonblocking", nonblocking)
said("many", many)
said("datagram", lambda: datagram(udp))
said("datagram_connected", lambda: datagram(udp, True))
said("other_port", lambda: tcp(host, port + 1 if port < 65535 else port - 1))
said("proxy_port", lambda: tcp(host, 3128))
said("other_address", lambda: tcp("10.88.255.254", port))
said("datagram_elsewhere", lambda: datagram(53))
"#;

fn egress_by_address(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let (port, udp) = (echo(node)?, echo_datagrams(node)?);
    let egress = format!("{HOST}:{port},udp://{HOST}/32:{udp},[fd00:dead::/32]:1-1000");
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &egress).start()?;
    let main = pod.python("main")?;
    let output = main.exec(&["python3", "-c", CLIENT, HOST, &port.to_string(), &udp.to_string()])?;
    let expected = "listed ok\nmapped ok\nnonblocking ok\nmany ok\ndatagram ok\ndatagram_connected ok\nother_port EACCES at once\n\
                    proxy_port EACCES at once\nother_address EACCES at once\ndatagram_elsewhere EACCES at once";
    ensure_eq!(output.stdout.trim(), expected, "what the client got; {}", output.stderr);
    Ok(())
}

/// A server with `listen` behind probes; a listener that nobody bound is reached by nobody.
fn inbound_by_port(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/listen", "8080").start()?;
    let server = r#"
import socket, threading
served, auto = socket.socket(), socket.socket()
served.bind(("", 8080)); served.listen(64); auto.listen(64)
print("auto", auto.getsockname()[1], flush=True)
def loop(s):
    while True: c, _ = s.accept(); c.sendall(b"hello"); c.close()
threading.Thread(target=loop, args=(auto,), daemon=True).start()
loop(served)
"#;
    let main = pod.container("main").image("python").command(&["/usr/bin/python3", "-c", server]).start()?;
    let begin = Instant::now();
    let auto: u16 = loop {
        let log = main.log()?;
        if let Some(port) = log.lines().find_map(|line| line.strip_prefix("auto ")) {
            break port.trim().parse().map_err(std::io::Error::other)?;
        }
        ensure!(begin.elapsed() < Duration::from_secs(10), "the server does not start: {log}");
        thread::sleep(Duration::from_millis(20));
    };
    let address = pod.addresses()?.into_iter().next().unwrap_or_default();
    let hello = |from: &std::path::Path, to: &str, port: u16| {
        netns::within(from, || {
            let to = (to, port);
            let to = std::net::ToSocketAddrs::to_socket_addrs(&to)?
                .next()
                .ok_or_else(|| std::io::Error::other("no address"))?;
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(600))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })
    };
    let (outside, inside) = (node.netns(), pod.netns()?);
    for (from, to) in [(&outside, address.as_str()), (&inside, "127.0.0.1"), (&inside, address.as_str())] {
        ensure_eq!(hello(from, to, 8080)?, "hello", "{to}:8080");
        ensure!(hello(from, to, auto).is_err(), "{to}:{auto}, which nobody bound, is reached");
    }
    // The container itself reaches its own.
    let own = main.exec(&[
        "python3",
        "-c",
        "import socket; print(socket.create_connection(('127.0.0.1', 8080), 3).recv(9).decode())",
    ])?;
    ensure_eq!(own.stdout.trim(), "hello", "itself over loopback: {}", own.stderr);
    Ok(())
}

/// Nothing gets out when the shim was killed, and nothing of the fence is left when the container is gone.
fn outlives_the_shim(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let port = echo(node)?;
    let pod = node.pod(handler).platform().start()?;
    let script = "import socket, sys, time\nwhile True:\n try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 1); print('OUT', flush=True)\n except OSError: pass\n time.sleep(0.01)";
    let main = pod
        .container("main")
        .image("python")
        .command(&["/usr/bin/python3", "-c", script, HOST, &port.to_string()])
        .start()?;
    let state = state(node, &main)?;
    let (observer, mac) = (Observer::start(node)?, pod.mac()?);
    // The control: what a plain pod sends is seen.
    let plain = node.pod("runc").start()?;
    let sends = format!("import socket; socket.create_connection(('{HOST}', {port}), 5)");
    plain.python("main")?.exec(&["/usr/bin/python3", "-c", &sends])?;
    thread::sleep(Duration::from_millis(100));
    ensure!(observer.saw_port(port, Some(plain.mac()?)), "the observer is blind");
    let shim = shim_of(node, main.pid()?)?;
    node.exec(&["kill", "-KILL", &shim.to_string()])?;
    thread::sleep(Duration::from_millis(400));
    ensure!(!observer.saw_port(port, Some(mac)), "packets left the pod after the shim was killed");
    ensure!(!main.log().unwrap_or_default().contains("OUT"), "a connect succeeded");
    let begin = Instant::now();
    // containerd notices the death, and cleans up with the shim's `delete`.
    while let Err(error) = pod.remove() {
        ensure!(begin.elapsed() < Duration::from_secs(10), "the pod cannot be removed: {error}");
        thread::sleep(Duration::from_millis(100));
    }
    let group = state["group"].as_str().unwrap_or_default().to_owned();
    while everywhere(node).contains(&group) {
        ensure!(begin.elapsed() < Duration::from_secs(10), "{group} is left");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The shim is the parent of what its engines started.
pub fn shim_of(node: &Node, pid: u32) -> Result<u32, zerocap_e2e::Outcome> {
    let status = zerocap_e2e::process::Status::read(&node.path(&format!("/proc/{pid}/status")))?;
    Ok(status.get("PPid").parse().map_err(std::io::Error::other)?)
}

/// An HTTP client that is told of a proxy on loopback, in both families.
fn clients_of_the_proxy(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().start()?;
    let answer = |listener: TcpListener| {
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 2048];
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nproxied");
            }
        })
    };
    for address in ["127.0.0.1:3128", "[::1]:3128"] {
        answer(netns::within(&pod.netns()?, || TcpListener::bind(address))?);
    }
    let main = pod.python("main")?;
    let script = r#"
import os, urllib.request
for proxy in ("http://127.0.0.1:3128", "http://[::1]:3128", "http://localhost:3128"):
    os.environ["http_proxy"] = proxy
    print(urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy})).open("http://example.com/", timeout=5).read().decode())
"#;
    let output = main.exec(&["python3", "-c", script])?;
    ensure_eq!(output.stdout.trim(), "proxied\nproxied\nproxied", "through the proxy: {}", output.stderr);
    Ok(())
}

/// Without the annotation there is no fence and no group of ours.
fn not_around_ordinary_pods(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).start()?;
    let main = pod.sleeper("main")?;
    ensure!(state(node, &main).is_err(), "an ordinary pod has a fence");
    let group = group_of(node, main.pid()?)?;
    ensure!(!group.contains("/zerocap-k8s.io"), "an ordinary pod is in {group}");
    Ok(())
}
