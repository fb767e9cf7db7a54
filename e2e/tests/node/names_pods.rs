//! Names in pods of every kind, and over what happens to a node: a shim that dies, a containerd that is restarted, an address that moves in.

use std::fs;
use std::net::IpAddr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_e2e::internet::Internet;
use zerocap_e2e::verdict::{fail, skip};
use zerocap_e2e::{Container, Node, Outcome, TestResult, ensure, ensure_eq};

use crate::fence::shim_of;
use crate::names::{CLIENT, TCP, client, egress, internet, pod};
use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    // containerd offers user namespaces to runtimes of runc's type alone.
    suite.each("names::in_a_user_namespace", &["zerocap", "zerocap-runtimepath"], in_a_user_namespace);
    suite.each("names::with_shared_processes", &ENGINES[..3], with_shared_processes);
    suite.each("names::two_lists_in_one_pod", &ENGINES, two_lists_in_one_pod);
    suite.each("names::what_becomes_the_nodes", &ENGINES[1..2], what_becomes_the_nodes);
    suite.each("names::the_api_server_is_no_name", &ENGINES[1..2], the_api_server_is_no_name);
    suite.each("names::over_a_restart_of_containerd", &ENGINES[..2], over_a_restart_of_containerd);
    suite.each("names::a_killed_shim_beside_a_stopped_containerd", &ENGINES[..2], killed_beside_a_stopped_containerd);
    suite.each("egress::names", &ENGINES, shown);
    suite.each("egress::landlock_refuses_first", &ENGINES[..1], landlock_refuses_first);
}

const SHORT: &str = r#"
t("listed", lambda: hello("api.names.test", 7443))
t("wild", lambda: hello("deep.er.models.test", 7443))
t("unlisted", lambda: hello("other.names.test", 7443))
t("unlisted_address", lambda: hello(other, 7443))
"#;
const SHORT_SAID: &str = "listed ok\nwild ok\nunlisted no name\nunlisted_address EACCES";

/// containerd 1.7 makes the image's copy for other users once for all containers, and two that begin at the same time refuse one another.
static ONE_COPY: Mutex<()> = Mutex::new(());

fn in_a_user_namespace(node: &Node, handler: &str) -> TestResult {
    let _alone = ONE_COPY.lock();
    let internet = internet(node)?;
    let pod = match pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).own_users().start() {
        Ok(pod) => pod,
        Err(error) if error.message().contains("user namespace") || error.message().contains("idmap") => {
            return skip(format!("no user namespaces here: {}", error.message()));
        }
        Err(error) => return Err(error.into()),
    };
    let main = pod.python("main")?;
    let map = main.sh("cat /proc/self/uid_map")?.stdout;
    ensure!(map.split_whitespace().nth(1) == Some("1048576"), "no user namespace: {map}");
    // By the engine where root may limit such processes, else inherited from it.
    let limits = main.sh("grep -h core /proc/1/limits /proc/self/limits")?.stdout;
    let limits = limits.lines().filter(|line| line.split_whitespace().skip(4).take(2).eq(["1", "1"])).count();
    ensure_eq!(limits, 2, "processes that leave no core");
    ensure_eq!(client(&main, &internet, SHORT)?, SHORT_SAID, "what the client got");
    let files = main.sh("cat /etc/resolv.conf; echo x >>/etc/resolv.conf; echo x >>/etc/hosts")?;
    ensure!(files.stdout.contains("nameserver 127.53.") && files.code != 0, "the private files: {files:?}");
    Ok(())
}

/// One PID namespace for all, and still a responder, a fence and files for each.
fn with_shared_processes(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet).shared_pid().annotate("egress.zerocap.io/main", &egress()).start()?;
    let (main, neighbour) = (pod.python("main")?, pod.python("neighbour")?);
    ensure_eq!(client(&main, &internet, SHORT)?, SHORT_SAID, "what the client got");
    let said = client(&neighbour, &internet, SHORT)?;
    ensure!(!said.contains(" ok"), "the neighbour: {said}");
    // The other container's files are beside its processes in /proc, and are the kernel's to refuse.
    let pid = neighbour
        .sh("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep -q time.sleep && echo ${p#/proc/}; done")?;
    for pid in pid.stdout.lines() {
        let file = neighbour.sh(&format!("grep 127.53 /proc/{pid}/root/etc/resolv.conf"))?;
        ensure!(file.code != 0, "the neighbour reads {pid}'s files: {}", file.stdout);
    }
    Ok(())
}

/// A responder each, and neither reaches what the other one lists.
fn two_lists_in_one_pod(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet)
        .annotate("egress.zerocap.io/one", &format!("api.names.test:{TCP}"))
        .annotate("egress.zerocap.io/two", &format!("other.names.test:{TCP}"))
        .start()?;
    let (one, two) = (pod.python("one")?, pod.python("two")?);
    let (of_one, of_two) = (responder(&one)?, responder(&two)?);
    ensure!(of_one != of_two, "they share the responder {of_one}");
    let script = |cross: &str| {
        format!(
            "{DNS}t('api', lambda: hello('api.names.test', {TCP}))\nt('other', lambda: hello('other.names.test', {TCP}))\n\
             t('api_address', lambda: hello(server, {TCP}))\nt('other_address', lambda: hello(other, {TCP}))\n\
             t('udp', lambda: by_udp('{cross}'))\nt('tcp', lambda: by_tcp('{cross}'))"
        )
    };
    ensure_eq!(
        client(&one, &internet, &script(&of_two))?,
        "api ok\nother no name\napi_address ok\nother_address EACCES\nudp EACCES\ntcp EACCES",
        "the first container"
    );
    ensure_eq!(
        client(&two, &internet, &script(&of_one))?,
        "api no name\nother ok\napi_address EACCES\nother_address ok\nudp EACCES\ntcp EACCES",
        "the second container"
    );
    Ok(())
}

/// Asking a nameserver by hand.
const DNS: &str = r#"
Q = bytes.fromhex("123401000001000000000000") + b"\x03api\x05names\x04test\0\0\x01\0\x01"
def by_udp(at):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4); s.sendto(Q, (at, 53)); s.recv(512)
def by_tcp(at):
    s = socket.create_connection((at, 53), 4); s.sendall(len(Q).to_bytes(2, "big") + Q); assert s.recv(2)
"#;

fn responder(container: &Container<'_>) -> Result<String, Outcome> {
    let line = container.sh("grep nameserver /etc/resolv.conf")?.stdout;
    Ok(line.trim().trim_start_matches("nameserver ").to_owned())
}

/// An address that becomes the node's while a container runs: no name has it any more, and what was permitted is taken back.
fn what_becomes_the_nodes(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let main = pod.python("main")?;
    internet.name("later.models.test", &[internet.server()]);
    ensure_eq!(client(&main, &internet, SHORT)?, SHORT_SAID, "before");
    let address = format!("{}/32", internet.server());
    let moved = node.exec(&["ip", "addr", "add", &address, "dev", "lo"])?;
    ensure!(moved.status.success(), "ip: {}", String::from_utf8_lossy(&moved.stderr));
    thread::sleep(Duration::from_millis(1100));
    // The question for one more name is the moment at which the node is looked at again.
    let script = "t('later', lambda: hello('later.models.test', 7443))\nt('by_address', lambda: hello(server, 7443))";
    let said = client(&main, &internet, script);
    node.exec(&["ip", "addr", "del", &address, "dev", "lo"])?;
    ensure_eq!(said?, "later no name\nby_address EACCES", "what is the node's now");
    let view = blocked(node, &main.id)?;
    ensure_eq!(view["names"]["blocked"][0]["name"], "later.models.test", "{view:#}");
    Ok(())
}

fn the_api_server_is_no_name(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    let list = format!("other.names.test:{TCP}");
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &list).start()?;
    // As the kubelet writes it; and without it the same starts.
    let with =
        pod.container("with").command(&["sleep", "1000"]).env("KUBERNETES_SERVICE_HOST", &internet.other().to_string());
    let Err(error) = with.start() else { return fail("a name that is the API server's was accepted") };
    ensure!(error.message().contains("ZC1303") && error.message().contains("other.names.test"), "{}", error.message());
    pod.container("without").command(&["sleep", "1000"]).start()?;
    Ok(())
}

/// The shim holds resolver and responder; containerd has no part in them.
fn over_a_restart_of_containerd(_: &Node, handler: &str) -> TestResult {
    let mut node = Node::start()?;
    node.import("python")?;
    restarted(&node, handler)?;
    Ok(node.down()?)
}

fn restarted(node: &Node, handler: &str) -> TestResult {
    let internet = names_of(node)?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let main = pod.python("main")?;
    ensure_eq!(client(&main, &internet, SHORT)?, SHORT_SAID, "before the restart");
    let at = responder(&main)?;
    node.restart_containerd()?;
    // The old connection notices at its first use that it is closed, and the next makes a new one.
    let _ = main.status();
    ensure_eq!(client(&main, &internet, SHORT)?, SHORT_SAID, "after the restart");
    ensure_eq!(responder(&main)?, at, "the responder");
    // What was never asked for, and a container that starts now.
    internet.name("new.models.test", &[internet.server()]);
    let script = "t('new', lambda: hello('new.models.test', 7443))";
    ensure_eq!(client(&main, &internet, script)?, "new ok", "a new name after the restart");
    let second = pod.python("second")?;
    ensure_eq!(client(&second, &internet, SHORT)?, SHORT_SAID, "a container made after the restart");
    ensure!(responder(&second)? != at, "the new container shares the responder");
    Ok(())
}

/// The internet of a node that is not the shared one.
fn names_of(node: &Node) -> Result<Internet, Outcome> {
    let internet = Internet::new(node, &[TCP], &[])?;
    for (name, address) in [
        ("api.names.test", internet.server()),
        ("time.names.test", internet.server()),
        ("deep.er.models.test", internet.server()),
        ("other.names.test", internet.other()),
        ("short.in.cluster.test", internet.server()),
    ] {
        internet.name(name, &[address]);
    }
    Ok(internet)
}

/// With nobody left who could clean up, the container runs on. Its responder is gone, no question leaves, nothing new is opened; what was
/// permitted runs out in the kernel.
fn killed_beside_a_stopped_containerd(_: &Node, handler: &str) -> TestResult {
    let mut node = Node::start()?;
    node.import("python")?;
    killed(&node, handler)?;
    Ok(node.down()?)
}

/// A containerd that goes on when this is dropped: before the pods that it has to remove.
struct Stopped<'n>(&'n Node);

impl<'n> Stopped<'n> {
    fn new(node: &'n Node) -> Result<Self, Outcome> {
        node.exec(&["sh", "-c", "kill -STOP $(cat /run/node/containerd.pid)"])?;
        Ok(Self(node))
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // The node's end tells if this did not work.
        let _ = self.0.exec(&["sh", "-c", "kill -CONT $(cat /run/node/containerd.pid)"]);
    }
}

fn killed(node: &Node, handler: &str) -> TestResult {
    let internet = names_of(node)?;
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let script = format!(
        "{CLIENT}{DNS}import itertools, time\nsys.stdout = open('/out/log', 'w')\nfor n in itertools.count():\n    print('round', n, flush=True)\n    \
         t('listed', lambda: hello('api.names.test', {TCP}))\n    t('other', lambda: hello(other, {TCP}))\n    \
         t('nameserver', lambda: by_udp(nameserver))\n    t('new', lambda: hello(f'k{{n}}.models.test', {TCP}))\n    \
         t('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (other, 7123)))\n    time.sleep(0.05)"
    );
    let addresses = [internet.server(), internet.other(), internet.nameserver()].map(|address| address.to_string());
    let mut command = vec!["/usr/bin/python3", "-c", &script];
    command.extend(addresses.iter().map(String::as_str));
    let volume = pod.volume("out")?;
    let main = pod.container("main").image("python").command(&command).mount(&volume, "/out", false).start()?;
    let file = node.path(&format!("{volume}/log"));
    let log = || fs::read_to_string(&file).unwrap_or_default();
    let rounds = |log: &str| log.lines().filter(|line| line.starts_with("round ")).count();
    let until = |wanted: usize| -> TestResult {
        let begin = Instant::now();
        while rounds(&log()) < wanted {
            ensure!(begin.elapsed() < Duration::from_secs(60), "no round {wanted}: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    until(5)?;
    ensure!(log().contains("listed ok") && !log().contains("other ok"), "before: {}", log());
    let init = main.pid()?;
    let shim = shim_of(node, init)?;
    let _stopped = Stopped::new(node)?;
    node.exec(&["kill", "-KILL", &shim.to_string()])?;
    // What was on its way arrives.
    thread::sleep(Duration::from_millis(200));
    let observer = internet.observer()?;
    let (asked, so_far) = (internet.asked().len(), rounds(&log()));
    until(so_far + 2)?;
    let sockets = fs::read_to_string(node.path(&format!("/proc/{init}/net/udp")))?;
    ensure!(!sockets.contains(":0035 00000000"), "somebody still has the responder's socket: {sockets}");
    let later = internet.asked();
    ensure_eq!(later.len(), asked, "questions after the kill: {later:?}");
    let told = log();
    let after: Vec<&str> = told.lines().skip_while(|line| *line != format!("round {so_far}")).collect();
    for line in &after {
        let fine = line.starts_with("round ")
            || line.ends_with(" EACCES")
            || line.ends_with(" no name")
            || line.starts_with("listed ");
        ensure!(fine, "after the kill: {line} in {after:?}");
    }
    ensure!(after.contains(&"new no name") && after.contains(&"other EACCES"), "{after:?}");
    for address in [internet.other(), internet.nameserver()] {
        ensure!(!observer.saw_address(address), "something was sent to {address}");
    }
    // Whoever looks is told that nobody resolves any more; the fence is there and counts.
    let view = view(node, &main.id)?;
    ensure_eq!(view["state"], "in-force", "{view:#}");
    ensure!(view["counters"]["refused"]["connect"].as_u64() > Some(0), "{view:#}");
    Ok(())
}

fn view(node: &Node, id: &str) -> Result<Value, Outcome> {
    let output = node.exec(&["zerocap", "egress", id, "--output", "json"])?;
    ensure!(output.status.success(), "zerocap egress: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What is shown as soon as an address was blocked.
fn blocked(node: &Node, id: &str) -> Result<Value, Outcome> {
    let begin = Instant::now();
    loop {
        let view = view(node, id)?;
        if view["names"]["blocked"].as_array().is_some_and(|all| !all.is_empty()) {
            return Ok(view);
        }
        ensure!(begin.elapsed() < Duration::from_secs(5), "it is not written down within a second: {view:#}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// `zerocap egress` of a container with names: addresses, ages, what was asked for in vain, and what would permit it.
fn shown(node: &Node, handler: &str) -> TestResult {
    let internet = internet(node)?;
    internet.name("bad.models.test", &["169.254.169.254".parse::<IpAddr>()?]);
    let pod = pod(node, handler, &internet).annotate("zerocap.io/egress", &egress()).start()?;
    let main = pod.python("main")?;
    let script = format!(
        "{SHORT}t('again', lambda: hello('other.names.test', 7443))\nt('bad', lambda: hello('bad.models.test', 7443))\n{DNS}\n\
         Q = bytes.fromhex('123401000001000000000000') + b'\\x07\\x1b[31m\\n\"\\x04test\\0\\0\\x01\\0\\x01'\n\
         t('odd', lambda: by_udp('{}'))\nt('other_port', lambda: hello(server, 7501 + 6))",
        responder(&main)?
    );
    let said = client(&main, &internet, &script)?;
    ensure!(said.ends_with("again no name\nbad no name\nodd ok\nother_port EACCES"), "what the client got: {said}");
    let view = blocked(node, &main.id)?;
    let names = view["names"]["names"].as_array().cloned().unwrap_or_default();
    let named = |name: &str| names.iter().find(|it| it["name"] == name).cloned().unwrap_or_default();
    let api = named("api.names.test");
    ensure_eq!(api["addresses"][0]["address"], internet.server().to_string(), "{view:#}");
    ensure!(api["addresses"][0]["permitted-seconds"].as_u64() > Some(60), "{view:#}");
    ensure!(api["state"] == "resolved" && api["below"].is_null() && api["last-answer"].is_string(), "{api:#}");
    ensure_eq!(named("short")["asked"], "short.in.cluster.test", "{view:#}");
    ensure_eq!(named("deep.er.models.test")["below"], "models.test", "{view:#}");
    let unlisted = view["names"]["unlisted"].as_array().cloned().unwrap_or_default();
    ensure_eq!(unlisted.len(), 1, "names that are no host names are not kept: {view:#}");
    ensure_eq!(unlisted[0]["permit"]["entry"], "other.names.test:443", "{view:#}");
    ensure_eq!(view["names"]["blocked"][0]["network"], "169.254.0.0/16", "{view:#}");
    let shown = |arguments: &[&str]| -> Result<String, Outcome> {
        Ok(String::from_utf8(node.exec(&[&["zerocap", "egress"], arguments].concat())?.stdout)?)
    };
    let table = shown(&[&main.id])?;
    for part in ["api.names.test", "resolved", "(*.models.test)", "other.names.test", "169.254.169.254", "127.53."] {
        ensure!(table.contains(part), "{part} is not in {table}");
    }
    ensure!(table.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{table:?}");
    let suggested = shown(&[&main.id, "--suggest"])?;
    ensure!(suggested.contains("other.names.test:443"), "{suggested}");
    let metrics = shown(&["--output", "prometheus"])?;
    let of_us = |what: &str| metrics.lines().any(|line| line.contains(&main.id) && line.contains(what));
    ensure!(of_us("name=\"api.names.test\",state=\"resolved\"} 1") && of_us("what=\"blocked\"} 1"), "{metrics}");
    Ok(())
}

/// The order of the kernel's hooks, as the documentation has it: what Landlock refuses is in no counter, and the tool says so.
fn landlock_refuses_first(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", "192.0.2.1:443").start()?;
    let main = pod.python("main")?;
    let script = "import socket, errno\nfor port in (443, 444):\n    try: socket.create_connection(('192.0.2.2', port), 3)\n    except OSError as e: print(port, errno.errorcode[e.errno])";
    ensure_eq!(main.exec(&["python3", "-c", script])?.stdout.trim(), "443 EACCES\n444 EACCES", "both are refused");
    let view = view(node, &main.id)?;
    ensure_eq!(view["landlock-first"], true, "{view:#}");
    ensure_eq!(view["counters"]["refused"]["connect"], 1, "what the fence counted: {view:#}");
    let table = node.exec(&["zerocap", "egress", &main.id])?;
    ensure!(
        String::from_utf8_lossy(&table.stdout).contains("Landlock refuses them before"),
        "the table does not say it"
    );
    // Over its number of ports Landlock is left out, and everything is counted.
    let wide = node.pod(handler).platform().annotate("zerocap.io/egress", "192.0.2.1:1-1000").start()?;
    let main = wide.python("main")?;
    main.exec(&["python3", "-c", &script.replace("444", "4444")])?;
    let view = self::view(node, &main.id)?;
    ensure_eq!(
        (&view["landlock-first"], &view["counters"]["refused"]["connect"]),
        (&false.into(), &2.into()),
        "{view:#}"
    );
    Ok(())
}
