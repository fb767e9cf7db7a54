//! Names in `egress` around real containers: what they open, what stays shut, and what is seen at the other end.

use std::fs;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use zerocap_e2e::attack::observer::Observer;
use zerocap_e2e::internet::Internet;
use zerocap_e2e::pod::PodBuilder;
use zerocap_e2e::verdict::fail;
use zerocap_e2e::{Container, Node, Pod, TestResult, ensure, ensure_eq};

use crate::{ENGINES, REFERENCES, Suite};

/// What the names open, and ports of the same servers that nothing opens.
pub const TCP: u16 = 7443;
const RANGE: u16 = 7500;
pub const SHUT: u16 = 7600;
const UDP: u16 = 7123;

pub fn add(suite: &mut Suite) {
    suite.each("names::everything_is_reached_without_us", &REFERENCES, everything_without_us);
    suite.each("names::listed_names_and_nothing_else", &ENGINES, listed_names_and_nothing_else);
    suite.each("names::one_container_alone", &ENGINES, one_container_alone);
    suite.each("names::no_way_to_what_names_may_not_have", &ENGINES, no_way_to_what_names_may_not_have);
    suite.each("names::refused_with_the_name", &ENGINES, refused_with_the_name);
    suite.each("names::by_the_images_resolver", &ENGINES, by_the_images_resolver);
    suite.each("names::a_killed_shim_opens_nothing", &ENGINES[..2], a_killed_shim_opens_nothing);
}

/// What a client gets; `t(name, what)` prints it.
pub const CLIENT: &str = r#"
import errno, socket, sys
def t(name, what):
    try: print(name, what() or "ok", flush=True)
    except socket.gaierror as e: print(name, "no name", flush=True)
    except socket.timeout: print(name, "TIMEOUT", flush=True)
    except OSError as e: print(name, errno.errorcode.get(e.errno, e), flush=True)
def hello(to, port):
    s = socket.create_connection((to, port), 4); s.sendall(b"GET / HTTP/1.0\r\n\r\n"); got = b""
    while True:
        more = s.recv(99)
        if not more: break
        got += more
    return None if got.endswith(b"hello") else got
def ask(to, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4)
    s.sendto(b"q", (socket.getaddrinfo(to, port, socket.AF_INET)[0][4][0], port)); return None if s.recv(9) == b"q" else "odd"
server, other, nameserver = sys.argv[1:4]
"#;

/// A program in a container, as its first process or as an exec; what it printed.
pub fn client(container: &Container<'_>, internet: &Internet, script: &str) -> Result<String, zerocap_e2e::Outcome> {
    let script = format!("{CLIENT}{script}");
    let addresses = [internet.server(), internet.other(), internet.nameserver()].map(|address| address.to_string());
    let mut command = vec!["python3", "-c", &script];
    command.extend(addresses.iter().map(String::as_str));
    let output = container.exec(&command)?;
    ensure!(output.code == 0, "the client fails: {}{}", output.stdout, output.stderr);
    Ok(output.stdout.trim().to_owned())
}

pub fn internet(node: &Node) -> Result<Internet, zerocap_e2e::Outcome> {
    crate::import_once(node, "python")?;
    let internet = Internet::new(node, &[TCP, RANGE, SHUT], &[UDP, TCP])?;
    internet.name("api.names.test", &[internet.server()]);
    internet.name("time.names.test", &[internet.server()]);
    internet.name("deep.er.models.test", &[internet.server()]);
    internet.name("models.test", &[internet.other()]);
    internet.name("other.names.test", &[internet.other()]);
    internet.name("short.in.cluster.test", &[internet.server()]);
    Ok(internet)
}

pub fn pod<'n>(node: &'n Node, handler: &str, internet: &Internet) -> PodBuilder<'n> {
    node.pod(handler).platform().dns(internet.nameserver(), &["in.cluster.test", "cluster.test"])
}

pub fn egress() -> String {
    format!(
        "api.names.test:{TCP},{RANGE}-{}, *.Models.test.:{TCP}, udp://time.names.test:{UDP}, short:{TCP}",
        RANGE + 3
    )
}

const EVERYWHERE: &str = r#"
t("listed", lambda: hello("api.names.test", 7443))
t("range", lambda: hello("api.names.test", 7500))
t("by_address", lambda: hello(server, 7443))
t("below_a_domain", lambda: hello("deep.er.models.test", 7443))
t("short", lambda: hello("short", 7443))
t("datagram", lambda: ask("time.names.test", 7123))
t("other_port", lambda: hello("api.names.test", 7600))
t("other_transport", lambda: ask("api.names.test", 7443))
t("the_domain_itself", lambda: hello("models.test", 7443))
t("unlisted", lambda: hello("other.names.test", 7443))
t("unlisted_address", lambda: hello(other, 7443))
t("datagram_elsewhere", lambda: ask(other, 7123))
t("the_nameserver", lambda: ask(nameserver, 53))
"#;

/// The control: an ordinary pod reaches all of it.
fn everything_without_us(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = node.pod(handler).dns(internet.nameserver(), &["in.cluster.test"]).start()?;
    let main = pod.python("main")?;
    let said = client(&main, &internet, &EVERYWHERE.replace("t(\"the_nameserver\"", "0 and t(\"\""))?;
    ensure!(said.lines().all(|line| line.ends_with(" ok")) && said.lines().count() == 12, "not everything: {said}");
    ensure!(internet.asked().contains(&"other.names.test".to_owned()), "the query is not seen");
    Ok(())
}

fn listed_names_and_nothing_else(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let observer = internet.observer()?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let kubelets = kubelets_files(node, &pod)?;
    let main = pod.python("main")?;
    let said = client(&main, &internet, EVERYWHERE)?;
    let expected = "listed ok\nrange ok\nby_address ok\nbelow_a_domain ok\nshort ok\ndatagram ok\nother_port EACCES\n\
                    other_transport EACCES\nthe_domain_itself no name\nunlisted no name\nunlisted_address EACCES\n\
                    datagram_elsewhere EACCES\nthe_nameserver EACCES";
    ensure_eq!(said, expected, "what the client got");
    // On the wire: the other server was never sent to, and no unlisted name was asked for.
    let asked = internet.asked();
    let unlisted = ["other.names.test", "models.test"];
    ensure!(!asked.iter().any(|name| unlisted.contains(&name.as_str())), "queries that must not leave: {asked:?}");
    ensure!(!observer.saw_address(internet.other()), "something was sent to the other server");
    ensure!(!observer.saw_port(SHUT, None), "something was sent to a port that nothing opens");
    // The container's own files, and those of everybody else.
    let conf = main.sh("cat /etc/resolv.conf; cat /etc/hosts; grep -c . /etc/hosts")?;
    ensure!(conf.stdout.contains("nameserver 127.53."), "resolv.conf: {}", conf.stdout);
    ensure!(conf.stdout.contains(&format!("{}\tapi.names.test", internet.server())), "hosts: {}", conf.stdout);
    ensure!(conf.stdout.contains("localhost"), "the kubelet's lines are lost: {}", conf.stdout);
    let write = main.sh("echo 1.2.3.4 api.names.test >> /etc/hosts")?;
    ensure!(write.code != 0, "the hosts file can be written");
    ensure_eq!(kubelets_files(node, &pod)?, kubelets, "the kubelet's files");
    let report = node.exec(&["zerocap", "status", &main.id])?;
    let report = String::from_utf8_lossy(&report.stdout);
    ensure!(report.contains("name resolver"), "the report does not say who resolves: {report}");
    // As the first process, too: before the workload's first instruction everything is there.
    let script = format!(
        "{CLIENT}t('listed', lambda: hello('api.names.test', {TCP}))\nt('unlisted', lambda: hello(other, {TCP}))"
    );
    let addresses = [internet.server(), internet.other(), internet.nameserver()].map(|address| address.to_string());
    let mut command = vec!["/usr/bin/python3", "-c", &script];
    command.extend(addresses.iter().map(String::as_str));
    let first = pod.container("first").image("python").command(&command).start()?;
    ensure_eq!(first.wait(Duration::from_secs(30))?, 0, "the first process");
    ensure_eq!(first.log()?.trim(), "listed ok\nunlisted EACCES", "what the first process got");
    nothing_stays(node, &main)
}

/// The private files go with the container.
fn nothing_stays(node: &Node, container: &Container<'_>) -> TestResult {
    let files = node.path(&format!("/run/zerocap/.files/k8s.io/{}", container.id));
    ensure!(files.is_dir(), "there are no private files at {}", files.display());
    container.stop(1)?;
    container.remove()?;
    ensure!(!files.exists(), "private files are left");
    Ok(())
}

/// The pod's files as the CRI keeps them.
fn kubelets_files(node: &Node, pod: &Pod<'_>) -> Result<[String; 2], zerocap_e2e::Outcome> {
    let file = |name: &str| {
        let path = format!("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{}/{name}", pod.id);
        fs::read_to_string(node.path(&path))
    };
    Ok([file("resolv.conf")?, file("hosts")?])
}

/// An exception gives one container names; its neighbour gets neither its addresses nor its responder.
fn one_container_alone(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet).annotate("egress.zerocap.io/main", &egress()).start()?;
    let (main, neighbour) = (pod.python("main")?, pod.python("neighbour")?);
    ensure_eq!(client(&main, &internet, "t('listed', lambda: hello('api.names.test', 7443))")?, "listed ok", "main");
    let conf = neighbour.sh("cat /etc/resolv.conf")?;
    ensure!(conf.stdout.contains(&internet.nameserver().to_string()), "the neighbour's resolv.conf: {}", conf.stdout);
    let script = r#"
t("address", lambda: hello(server, 7443))
t("name", lambda: hello("api.names.test", 7443))
t("datagram_socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) and "made")
t("responder", lambda: socket.create_connection(("127.53.0.1", 53), 4) and "reached")
"#;
    let said = client(&neighbour, &internet, script)?;
    ensure!(said.contains("address EACCES") && said.contains("responder EACCES"), "the neighbour: {said}");
    ensure!(!said.contains(" ok") && !said.contains("made"), "the neighbour: {said}");
    // Both with names: each its own responder.
    drop(neighbour);
    let both = self::pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let (one, two) = (both.python("one")?, both.python("two")?);
    let responder = |container: &Container<'_>| -> Result<String, zerocap_e2e::Outcome> {
        let line = container.sh("grep nameserver /etc/resolv.conf")?.stdout;
        Ok(line.trim().trim_start_matches("nameserver ").to_owned())
    };
    let (of_one, of_two) = (responder(&one)?, responder(&two)?);
    ensure!(of_one != of_two && !of_one.is_empty(), "they share the responder {of_one}");
    let cross = format!("t('own', lambda: ask_dns('{of_one}'))\nt('cross', lambda: ask_dns('{of_two}'))");
    let script = format!(
        "def ask_dns(at):\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4)\n    \
         s.sendto(bytes.fromhex('123401000001000000000000') + b'\\x03api\\x05names\\x04test\\0\\0\\x01\\0\\x01', (at, 53)); s.recv(512)\n{cross}"
    );
    ensure_eq!(client(&one, &internet, &script)?, "own ok\ncross EACCES", "one's own and the other's responder");
    Ok(())
}

/// What a name resolves to later cannot lead where no name may lead.
fn no_way_to_what_names_may_not_have(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod =
        pod(node, handler, &internet).annotate("zerocap.io/egress", &format!("*.models.test:1-64,{TCP}")).start()?;
    let main = pod.python("main")?;
    let of_pod = pod.addresses()?.into_iter().next().unwrap_or_default();
    let observer = Observer::start(node)?;
    let forbidden = [
        "127.0.0.1",
        "127.53.0.1",
        "169.254.169.254",
        "10.88.0.1",
        &of_pod,
        "0.0.0.0",
        "224.0.0.1",
        "::ffff:127.0.0.1",
    ];
    let mut script = String::new();
    for (number, address) in forbidden.iter().enumerate() {
        let address: IpAddr = address.parse()?;
        internet.name(&format!("f{number}.models.test"), &[address]);
        // One that may be reached beside it: the bad one alone is taken out.
        internet.name(&format!("g{number}.models.test"), &[address, internet.server()]);
        script.push_str(&format!(
            "t('f{number}', lambda: hello('f{number}.models.test', 53) and 'reached')\nt('g{number}', lambda: hello('g{number}.models.test', {TCP}))\n\
             t('a{number}', lambda: hello('{address}', 54) and 'reached')\n"
        ));
    }
    let said = client(&main, &internet, &script)?;
    for (number, address) in forbidden.iter().enumerate() {
        let of = |letter: &str| said.lines().find_map(|line| line.strip_prefix(&format!("{letter}{number} ")));
        ensure_eq!((of("f"), of("g"), of("a")), (Some("no name"), Some("ok"), Some("EACCES")), "{address}: {said}");
    }
    ensure!(!observer.saw_address("169.254.169.254".parse()?), "something was sent to the metadata address");
    Ok(())
}

/// What cannot be resolved, or only to what it may not have, refuses the start and says which name.
fn refused_with_the_name(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    internet.name("loop.names.test", &["127.0.0.1".parse()?]);
    internet.name("node.names.test", &["10.88.0.1".parse()?]);
    internet.name("empty.names.test", &[]);
    for (name, code) in [
        ("missing.names.test", "ZC1302"),
        ("empty.names.test", "ZC1302"),
        ("loop.names.test", "ZC1303"),
        ("node.names.test", "ZC1303"),
    ] {
        let list = format!("api.names.test:{TCP},{name}:{TCP}");
        let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &list).start()?;
        let Err(error) = pod.sleeper("main") else { return fail(format!("{name}: it was started")) };
        ensure!(error.message().contains(code) && error.message().contains(name), "{name}: {}", error.message());
    }
    // A server that is not there.
    let silent = node.pod(handler).platform().dns(internet.nobody(), &[]);
    let silent = silent.annotate("zerocap.io/egress", "api.names.test:443").start()?;
    let begin = Instant::now();
    let Err(error) = silent.sleeper("main") else { return fail("started without an answer") };
    ensure!(error.message().contains("ZC1302") && error.message().contains("api.names.test"), "{}", error.message());
    ensure!(begin.elapsed() < Duration::from_secs(40), "it took {:?}", begin.elapsed());
    Ok(())
}

/// busybox has a resolver of its own, and Python that of glibc.
fn by_the_images_resolver(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let main = pod.sleeper("main")?;
    let fetched = main.sh(&format!("wget -q -T 5 -O - http://deep.er.models.test:{TCP}/"))?;
    ensure_eq!(fetched.stdout.trim(), "hello", "busybox: {}", fetched.stderr);
    let fetched = main.sh(&format!("wget -q -T 5 -O - http://short:{TCP}/"))?;
    ensure_eq!(fetched.stdout.trim(), "hello", "busybox, a short name: {}", fetched.stderr);
    let refused = main.sh(&format!("wget -q -T 5 -O - http://other.names.test:{TCP}/"))?;
    ensure!(refused.code != 0 && refused.stdout.is_empty(), "an unlisted name: {}", refused.stdout);
    let lookup = main.sh("nslookup api.names.test")?;
    ensure!(lookup.stdout.contains(&internet.server().to_string()), "nslookup: {}{}", lookup.stdout, lookup.stderr);
    Ok(())
}

/// Without its shim nobody answers any more, and nothing new is opened; what was open runs out by itself. containerd ends such a
/// container soon, so the client tries all the time.
fn a_killed_shim_opens_nothing(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let script = format!(
        "{CLIENT}import itertools, time\nfor n in itertools.count():\n    t('listed', lambda: hello('api.names.test', {TCP}))\n    \
         t('other', lambda: hello(other, {TCP}))\n    t('new', lambda: hello(f'k{{n}}.models.test', {TCP}))\n    time.sleep(0.05)"
    );
    let addresses = [internet.server(), internet.other(), internet.nameserver()].map(|address| address.to_string());
    let mut command = vec!["/usr/bin/python3", "-c", &script];
    command.extend(addresses.iter().map(String::as_str));
    let main = pod.container("main").image("python").command(&command).start()?;
    let observer = internet.observer()?;
    let begin = Instant::now();
    while !internet.asked().contains(&"k3.models.test".to_owned()) {
        ensure!(begin.elapsed() < Duration::from_secs(20), "nothing is asked: {}", main.log()?);
        thread::sleep(Duration::from_millis(20));
    }
    let status = zerocap_e2e::process::Status::read(&node.path(&format!("/proc/{}/status", main.pid()?)))?;
    node.exec(&["kill", "-KILL", status.get("PPid")])?;
    // What was on its way arrives.
    thread::sleep(Duration::from_millis(100));
    let asked = internet.asked().len();
    thread::sleep(Duration::from_millis(500));
    let (later, log) = (internet.asked(), main.log().unwrap_or_default());
    let begin = Instant::now();
    while let Err(error) = pod.remove() {
        ensure!(begin.elapsed() < Duration::from_secs(10), "the pod cannot be removed: {error}");
        thread::sleep(Duration::from_millis(100));
    }
    ensure_eq!(later.len(), asked, "questions after the kill: {later:?}");
    ensure!(!observer.saw_address(internet.other()), "something was sent to the other server");
    ensure!(log.contains("listed ok") && !log.contains("other ok"), "what the client got: {log}");
    Ok(())
}
