//! `zerocap egress` and `mode: audit` with real traffic: what is counted, what is told, what it costs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_e2e::{Container, Node, TestResult, ensure, ensure_eq};

use crate::fence::{HOST, echo, shim_of};
use crate::names::{TCP, client, internet};
use crate::{ENGINES, Suite};

pub fn add(suite: &mut Suite) {
    suite.each("egress::counts_and_tells", &ENGINES, counts_and_tells);
    suite.each("egress::watch", &ENGINES[..1], watch);
    suite.each("egress::hostile_names", &ENGINES[..1], hostile_names);
    suite.each("egress::flood", &ENGINES[..1], flood);
    suite.each("egress::looking_up_is_no_refusal", &ENGINES[..1], looking_up_is_no_refusal);
    suite.each("egress::audit", &ENGINES, audit);
    suite.each("egress::audit_needs_the_floor", &ENGINES[..1], audit_needs_the_floor);
}

type Failed = zerocap_e2e::Outcome;

/// An echo server of the node, whose address comes with the node's first pod.
fn server(node: &Node) -> Result<u16, Failed> {
    drop(node.pod("runc").start()?);
    Ok(echo(node)?)
}

fn shown(node: &Node, arguments: &[&str]) -> Result<String, Failed> {
    let output = node.exec(&[&["zerocap", "egress"], arguments].concat())?;
    if !output.status.success() {
        return Err(format!("zerocap egress {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn view(node: &Node, id: &str) -> Result<Value, Failed> {
    Ok(serde_json::from_str(&shown(node, &[id, "--output", "json"])?)?)
}

/// Waits until the shim has written down what was refused.
fn told(node: &Node, id: &str, enough: impl Fn(&[Value]) -> bool) -> Result<Value, Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let view = view(node, id)?;
        if view["refusals"].as_array().is_some_and(|all| enough(all)) {
            return Ok(view);
        }
        ensure!(Instant::now() < deadline, "it is not told: {view:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn idle<'p>(pod: &'p zerocap_e2e::Pod<'_>) -> Result<Container<'p>, tonic::Status> {
    pod.python("main")
}

/// `connect` to each address and port so often.
const CONNECTS: &str = r#"
import socket, sys
for what in sys.argv[1:]:
    host, port, times = what.split(",")
    for _ in range(int(times)):
        try: socket.create_connection((host, int(port)), 3).close()
        except OSError as e: print(host, port, e.errno)
"#;

fn counts_and_tells(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let port = server(node)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &format!("{HOST}:{port}")).start()?;
    let main = idle(&pod)?;
    let allowed = format!("{HOST},{port},7");
    // Through the listed port, so that Landlock, which knows ports only, does not refuse first.
    let foreign = format!("192.0.2.1,{port},5");
    main.exec(&["python3", "-c", CONNECTS, &allowed, &foreign])?;

    let view = told(node, &main.id, |all| all.iter().any(|it| it["times"] == 5))?;
    ensure_eq!(view["counters"]["approved"], 7, "approved in {view:#}");
    ensure_eq!(view["counters"]["refused"]["connect"], 5, "refused in {view:#}");
    let asked = |to: String, permitted: bool| {
        let all = view["destinations"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|it| it["destination"] == to && it["permitted"] == permitted).map(|it| it["times"].clone())
    };
    ensure_eq!(asked(format!("tcp://{HOST}:{port}"), true), Some(7.into()), "allowed in {view:#}");
    ensure_eq!(asked(format!("tcp://192.0.2.1:{port}"), false), Some(5.into()), "refused in {view:#}");
    let refusal = &view["refusals"][0];
    ensure_eq!(refusal["process"], "python3", "who, in {view:#}");
    ensure_eq!(refusal["rule"], "egress", "why, in {view:#}");
    ensure!(refusal["pid"].as_u64().is_some_and(|pid| pid > 1), "no process in {view:#}");
    ensure_eq!(view["pod"]["uid"].as_str(), pod.config.metadata.as_ref().map(|it| it.uid.as_str()), "the pod");

    let table = shown(node, &[&main.id])?;
    ensure!(table.contains("192.0.2.1") && table.contains("in force"), "the table: {table}");
    let text = shown(node, &["--output", "prometheus"])?;
    let line = text.lines().find(|line| line.contains(&main.id) && line.contains("hook=\"connect\""));
    ensure!(line.is_some_and(|line| line.ends_with("} 5")), "the metrics: {text}");
    let suggested = shown(node, &[&main.id, "--suggest"])?;
    let expected = format!("zerocap.io/egress: \"tcp://{HOST}/32:{port},192.0.2.1:{port}\"");
    ensure_eq!(suggested.trim(), expected, "what is suggested");
    // One line for what is distinct, however often.
    let lines = log_lines(node, &format!("tcp://192.0.2.1:{port}"))?;
    ensure_eq!(lines.len(), 1, "log lines: {lines:#?}");
    let uid = pod.config.metadata.as_ref().map_or("", |it| it.uid.as_str());
    for part in [format!("pod-uid=\"{uid}\""), format!("permit=\"zerocap.io/egress: 192.0.2.1:{port}\"")] {
        ensure!(lines[0].contains(&part), "{part} is not in {}", lines[0]);
    }
    Ok(())
}

/// Lines of containerd's log, into which it copies the shims' own, that have this text.
fn log_lines(node: &Node, text: &str) -> Result<Vec<String>, Failed> {
    let log = fs::read_to_string(node.dir().join("log/containerd.log"))?;
    Ok(log.lines().filter(|line| line.contains("packet fence") && line.contains(text)).map(str::to_owned).collect())
}

/// Resolvers connect sockets of datagrams to every address that they find, to put them in order, and send nothing: what works is not
/// told as refused, and asks for no entry.
fn looking_up_is_no_refusal(node: &Node, handler: &str) -> TestResult {
    permit_audit(node, handler)?;
    let internet = internet(node)?;
    internet.name("both.models.test", &["fd00:99::1".parse()?, internet.server()]);
    for (mode, egress) in [("enforce", format!("*.models.test:{TCP}")), ("audit", format!("*.models.test:{TCP}"))] {
        let pod = node.pod(handler).platform().namespace("zerocap-audit").dns(internet.nameserver(), &[]);
        let pod = pod.annotate("zerocap.io/mode", mode).annotate("zerocap.io/egress", &egress).start()?;
        let main = pod.python("main")?;
        let script = r#"
def sorts(port):
    socket.getaddrinfo("both.models.test", port); return None
def as_others(port):
    # musl and Go have ports of their own for it.
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((server, port))
t("hello", lambda: hello("both.models.test", 7443))
t("sorts", lambda: sorts(7443) or sorts(None))
for port in (9, 65535): t("port%d" % port, lambda: as_others(port))
"#;
        let said = client(&main, &internet, script)?;
        ensure!(said.starts_with("hello ok\nsorts ok\n"), "{mode}: {said}");
        // The one that is meant comes after those that are not.
        let meant = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ntry: s.connect((other, 7443)); s.send(b'x')\nexcept OSError: pass";
        client(&main, &internet, meant)?;
        let view = told(node, &main.id, |all| !all.is_empty())?;
        let other = format!("udp://{}:{TCP}", internet.other());
        let all: Vec<&str> =
            view["refusals"].as_array().into_iter().flatten().filter_map(|it| it["destination"].as_str()).collect();
        ensure_eq!(all, [other.as_str()], "{mode}: what is told");
        let suggested = shown(node, &[&main.id, "--suggest"])?;
        ensure!(
            suggested.trim().ends_with(&format!(",{other}\"")) && suggested.matches("udp://").count() == 1,
            "{mode}: {suggested}"
        );
    }
    Ok(())
}

fn watch(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let port = server(node)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &format!("{HOST}:{port}")).start()?;
    let main = idle(&pod)?;
    let script = zerocap_e2e::node::repository().join("hack/node");
    let mut watcher = Command::new(script)
        .args(["exec", "--dir"])
        .arg(node.dir())
        .args(["zerocap", "egress", &main.id, "--watch", "--output", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    // What was before it looks for the first time does not count.
    thread::sleep(Duration::from_secs(2));
    main.exec(&["python3", "-c", CONNECTS, &format!("{HOST},{port},3"), &format!("192.0.2.9,{port},2")])?;
    thread::sleep(Duration::from_secs(2));
    // The container's end is the watcher's.
    main.stop(0)?;
    main.remove()?;
    let stdout = watcher.stdout.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
    let lines: Vec<Value> =
        BufReader::new(stdout).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_, Failed>>()?;
    ensure!(watcher.wait()?.success(), "the watcher fails: {lines:?}");
    let sum = |permitted: bool| -> u64 {
        lines.iter().filter(|line| line["permitted"] == permitted).filter_map(|line| line["times"].as_u64()).sum()
    };
    ensure_eq!((sum(true), sum(false)), (3, 2), "what was watched: {lines:?}");
    Ok(())
}

/// A process may call itself anything; nothing of it reaches a log or a terminal.
fn hostile_names(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let port = server(node)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &format!("{HOST}:{port}")).start()?;
    let main = idle(&pod)?;
    let script = r#"
import socket, sys
for number, name in enumerate([b'\x1b[31mred\n', b'a" level="error', b'\xff\xfe\x9b', '\u202egnp'.encode(), b"$(id)`id`\\"]):
    open("/proc/self/comm", "wb").write(name)
    try: socket.create_connection(("192.0.2.%d" % (10 + number), int(sys.argv[1])), 1)
    except OSError: pass
"#;
    let ran = main.exec(&["python3", "-c", script, &port.to_string()])?;
    ensure_eq!(ran.code, 0, "the script: {}", ran.stderr);
    told(node, &main.id, |all| all.len() == 5)?;
    for arguments in [&[main.id.as_str()][..], &[&main.id, "--output", "json"], &["--output", "prometheus"]] {
        let text = shown(node, arguments)?;
        ensure!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{arguments:?}: {text:?}");
    }
    let names: Vec<String> = view(node, &main.id)?["refusals"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["process"].as_str().map(str::to_owned))
        .collect();
    ensure!(names.iter().any(|name| name == r"\x1b[31mred\n"), "the names: {names:?}");
    let lines = log_lines(node, "tcp://192.0.2.1")?;
    let ours: Vec<_> = lines.iter().filter(|line| (10..15).any(|n| line.contains(&format!("192.0.2.{n}:")))).collect();
    ensure_eq!(ours.len(), 5, "log lines: {lines:#?}");
    for line in ours {
        ensure!(line.chars().all(|c| (' '..='~').contains(&c)), "{line:?}");
        ensure_eq!(keys(line).iter().filter(|key| **key == "level").count(), 1, "a forged field: {line}");
    }
    Ok(())
}

/// The keys of a line of `key="value"` fields, as whoever reads such logs takes them.
fn keys(line: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut rest = line;
    while let Some((key, value)) = rest.split_once('=') {
        keys.push(key.trim());
        let mut escaped = false;
        let end = match value.strip_prefix('"') {
            None => value.find(' '),
            Some(inner) => inner
                .bytes()
                .position(|byte| {
                    let ends = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                })
                .map(|at| at + 2),
        };
        rest = end.and_then(|end| value.get(end..)).unwrap_or_default();
    }
    keys
}

/// A hundred thousand refusals to ten thousand destinations: neither memory nor log nor the file grows with them.
fn flood(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let port = server(node)?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &format!("{HOST}:{port}")).start()?;
    let main = idle(&pod)?;
    let script = r#"
import socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
for n in range(count):
    s = socket.socket()
    try: s.connect(("198.18.%d.%d" % (n // 250 % 40, n % 250), port))
    except PermissionError: pass
    s.close()
"#;
    let run = |count: &str| main.exec(&["python3", "-c", script, &port.to_string(), count]);
    // So that everything that is allocated once is there.
    run("2000")?;
    thread::sleep(Duration::from_secs(2));
    let shim = shim_of(node, main.pid()?)?;
    let before = private_dirty(node, shim)?;
    let lines_before = log_lines(node, "tcp://198.18.")?.len();
    let begin = Instant::now();
    let ran = run("100000")?;
    ensure_eq!(ran.code, 0, "the flood: {}", ran.stderr);
    let took = begin.elapsed();
    thread::sleep(Duration::from_secs(2));
    let after = private_dirty(node, shim)?;
    let view = view(node, &main.id)?;
    ensure_eq!(view["counters"]["refused"]["connect"], 102_000, "every one is counted");
    let kept = view["refusals"].as_array().map_or(0, Vec::len);
    ensure_eq!(kept, 128, "what is kept");
    let file = node.path(&format!("/run/zerocap/k8s.io/{}/refusals.json", main.id));
    let size = fs::metadata(file)?.len();
    ensure!(size < 64 * 1024, "the file has {size} bytes");
    ensure!(after <= before + 256, "the shim grew from {before} to {after} KiB");
    // A burst, and one line in three seconds.
    let lines = log_lines(node, "tcp://198.18.")?.len() - lines_before;
    let most = 22 + took.as_secs() / 3;
    ensure!(lines as u64 <= most, "{lines} log lines in {took:?}, at most {most}");
    ensure_eq!(main.exec(&["true"])?.code, 0, "the container answers");
    println!(
        "100000 refusals in {took:?}: shim {before} -> {after} KiB, {lines} log lines, {size} bytes kept, lost {}",
        view["counters"]["lost"]
    );
    Ok(())
}

/// KiB that a process of the node alone has written.
fn private_dirty(node: &Node, pid: u32) -> Result<u64, Failed> {
    let rollup = fs::read_to_string(node.path(&format!("/proc/{pid}/smaps_rollup")))?;
    let line =
        rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")?.split_whitespace().next()?.parse().ok());
    line.ok_or_else(|| format!("no Private_Dirty in {rollup}").into())
}

/// A floor that asks nothing of anybody, and permits `mode: audit` in one namespace. In one step: other tests' pods read it.
fn permit_audit(node: &Node, handler: &str) -> std::io::Result<()> {
    let file = node.path("/etc/zerocap/floor.toml");
    if file.exists() {
        return Ok(());
    }
    let beside = file.with_extension(handler);
    fs::write(&beside, "version = 1\n[[section]]\nnamespaces = [\"zerocap-audit\"]\nmodes = [\"audit\"]\n")?;
    fs::rename(beside, file)
}

/// What goes out is let through, counted and suggested; nothing else is.
fn audit(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    permit_audit(node, handler)?;
    let (listed, other) = (server(node)?, server(node)?);
    let pod = node
        .pod(handler)
        .platform()
        .namespace("zerocap-audit")
        .annotate("zerocap.io/mode", "audit")
        .annotate("zerocap.io/egress", &format!("{HOST}:{listed}"))
        .start()?;
    let main = idle(&pod)?;
    let script = r#"
import socket, sys
def said(name, what):
    try: what(); print(name, "ok")
    except OSError as e: print(name, e.errno)
host, listed, other = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def tcp(p):
    s = socket.create_connection((host, p), 3); s.sendall(b"x"); assert s.recv(1) == b"x"
said("listed", lambda: tcp(listed))
said("other", lambda: tcp(other))
said("datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (host, 9)))
said("listen", lambda: socket.socket().listen())
said("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
"#;
    let ran = main.exec(&["python3", "-c", script, HOST, &listed.to_string(), &other.to_string()])?;
    ensure_eq!(ran.stdout.trim(), "listed ok\nother ok\ndatagram ok\nlisten 13\nraw 13", "under audit: {}", ran.stderr);
    let view = told(node, &main.id, |all| all.len() >= 2)?;
    ensure_eq!(view["audit"], true, "{view:#}");
    ensure!(view["refusals"].as_array().is_some_and(|all| all.iter().all(|it| it["refused"] == false)), "{view:#}");
    let suggested = shown(node, &[&main.id, "--suggest"])?;
    ensure!(
        suggested.contains(&format!("{HOST}:{other}")) && suggested.contains(&format!("udp://{HOST}:9")),
        "{suggested}"
    );
    let status = node.exec(&["zerocap", "status", &main.id])?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure_eq!(status.status.code(), Some(1), "the status is no clean one: {text}");
    ensure!(text.contains("AUDIT: egress is NOT enforced"), "{text}");

    // Under what was suggested, and enforced, the same works.
    let egress = suggested.trim().trim_start_matches("zerocap.io/egress: ").trim_matches('"').to_owned();
    let pod = node.pod(handler).platform().annotate("zerocap.io/egress", &egress).start()?;
    let main = idle(&pod)?;
    let again = main.exec(&["python3", "-c", script, HOST, &listed.to_string(), &other.to_string()])?;
    ensure_eq!(again.stdout, ran.stdout, "under the suggestion: {}", again.stderr);
    Ok(())
}

fn audit_needs_the_floor(node: &Node, handler: &str) -> TestResult {
    let refused = node.pod(handler).platform().annotate("zerocap.io/mode", "audit").start();
    let Err(error) = refused else { return Err("mode: audit starts without the floor's permission".to_owned().into()) };
    ensure!(error.message().contains("ZC0208"), "another error: {}", error.message());
    Ok(())
}
