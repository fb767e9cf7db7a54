//! What must keep working in a confined pod. The same tests run on containerd's own shim, unconfined.

use std::time::{Duration, Instant};

use zerocap_e2e::{Container, Node, Outcome, Output, Pod, TestResult, ensure, ensure_eq};

use crate::{ENGINES, REFERENCES, Suite};

pub fn add(suite: &mut Suite) {
    let handlers: Vec<&'static str> = REFERENCES.iter().chain(&ENGINES).copied().collect();
    suite.each("works::exit_codes", &handlers, exit_codes);
    suite.each("works::output_and_input", &handlers, output_and_input);
    suite.each("works::terminal", &handlers, terminal);
    suite.each("works::shell_pipeline", &handlers, shell_pipeline);
    suite.each("works::python", &handlers, python);
    suite.each("works::stop_is_prompt", &handlers, stop_is_prompt);
    suite.each("works::pre_stop_kills_init", &handlers, pre_stop_kills_init);
    suite.each("works::loopback_proxy", &handlers, loopback_proxy);
    suite.each("works::unix_sockets", &handlers, unix_sockets);
    suite.each("works::read_only_files", &ENGINES, read_only_files);
    suite.each("works::path_lists", &ENGINES, path_lists);
    suite.each("works::listen", &handlers, listen);
    suite.each("works::shared_processes", &handlers, shared_processes);
    suite.each("works::big_arguments_and_environment", &handlers, big_arguments);
}

/// A pod of the reference runtimes, or a platform pod of ours.
pub fn pod<'n>(node: &'n Node, handler: &str) -> Result<Pod<'n>, tonic::Status> {
    node.pod(handler).platform().start()
}

fn said(output: &Output, wanted: &str) -> TestResult {
    ensure!(output.code == 0, "exit code {}: {}{}", output.code, output.stdout, output.stderr);
    ensure_eq!(output.stdout.trim(), wanted, "standard output");
    Ok(())
}

fn exit_codes(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = pod.sleeper("main")?;
    for code in [0, 1, 42, 127, 255] {
        ensure_eq!(main.sh(&format!("exit {code}"))?.code, code, "exec");
    }
    ensure_eq!(main.sh("kill -KILL $$")?.code, 137, "a killed exec");
    let short = pod.container("short").command(&["sh", "-c", "exit 7"]).start()?;
    ensure_eq!(short.wait(Duration::from_secs(20))?, 7, "init");
    Ok(())
}

fn output_and_input(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = pod.container("main").command(&["sh", "-c", "echo out; echo err >&2; sleep 100000"]).start()?;
    let mut stream = main.stream(&["sh", "-c", "read line; echo got $line; echo bad >&2; exit 3"], false)?;
    stream.input("this\n")?;
    let output = stream.finish()?;
    ensure_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("got this\n", "bad\n", 3), "stream");
    let long = main.sh("seq 1 20000")?;
    ensure_eq!(long.stdout.lines().count(), 20000, "lines");
    for text in ["out", "err"] {
        ensure!(wait_for_log(&main, text)?, "the log lacks {text}: {}", main.log()?);
    }
    Ok(())
}

fn terminal(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = pod.sleeper("main")?;
    let mut stream = main.stream(
        &["sh", "-c", "test -t 0 && test -t 1 && echo tty; until stty size | grep '33 101'; do sleep 0.05; done; tty"],
        true,
    )?;
    stream.resize(101, 33)?;
    let output = stream.finish()?;
    ensure!(output.stdout.contains("tty") && output.stdout.contains("33 101"), "terminal: {:?}", output.stdout);
    let init =
        pod.container("shell").stdin(true).command(&["sh", "-c", "test -t 0 && echo tty; sleep 100000"]).start()?;
    ensure!(wait_for_log(&init, "tty")?, "init has no terminal: {:?}", init.log()?);
    Ok(())
}

fn wait_for_log(container: &Container<'_>, text: &str) -> std::io::Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if container.log()?.contains(text) {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

fn shell_pipeline(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = pod.sleeper("main")?;
    said(&main.sh("seq 1 100 | grep 7 | sort -r | head -n 3 | tr '\\n' ' '")?, "97 87 79")?;
    said(
        &main.sh(
            "cd /tmp && echo text > f && cat f && mkfifo p && (echo through > p &) && cat p && rm f p && ls | wc -l",
        )?,
        "text\nthrough\n0",
    )?;
    said(&main.sh("(sleep 0.1; echo child) & wait; echo done")?, "child\ndone")?;
    said(&main.sh("id -u; hostname | cut -c1-3")?, "65532\ne2e")
}

const PYTHON: &str = r#"
import os, socket, subprocess, sys, tempfile, threading, multiprocessing, ssl, json, ctypes, select, mmap, signal
out = []
threads = [threading.Thread(target=out.append, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert sorted(out) == list(range(8)), out
assert subprocess.run(["/bin/sh", "-c", "echo sub | tr a-z A-Z"], capture_output=True, text=True).stdout == "SUB\n"
assert subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout == "42\n"
a, b = socket.socketpair()
a.sendall(b"ping"); assert b.recv(4) == b"ping"
assert socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
assert any(name == "lo" for _, name in socket.if_nameindex())
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "f"); open(path, "w").write("x"); os.rename(path, path + "2"); assert os.listdir(folder) == ["f2"]
with multiprocessing.get_context("spawn").Pool(2) as pool:
    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
m = mmap.mmap(-1, 4096); m[:2] = b"ok"
p = select.epoll(); p.register(a, select.EPOLLOUT); assert p.poll(1)
assert os.cpu_count() and os.getrandom(8) and os.sched_getaffinity(0)
signal.signal(signal.SIGUSR1, lambda *_: out.append("signal")); os.kill(os.getpid(), signal.SIGUSR1); assert out[-1] == "signal"
print("python", ".".join(map(str, sys.version_info[:2])), "works")
"#;

fn python(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = pod(node, handler)?;
    let main = pod.python("main")?;
    let output = main.exec(&["python3", "-c", PYTHON])?;
    ensure!(output.code == 0 && output.stdout.ends_with("works\n"), "python: {}{}", output.stdout, output.stderr);
    Ok(())
}

/// A shell that ends with that code on SIGTERM.
fn ends_on_term<'p>(pod: &'p Pod<'_>, code: u8) -> Result<Container<'p>, Outcome> {
    let script = format!("trap 'exit {code}' TERM; echo ready; while :; do sleep 0.05; done");
    let main = pod.container("main").command(&["sh", "-c", &script]).start()?;
    // Before its trap stands, pid 1 ignores the signal.
    ensure!(wait_for_log(&main, "ready")?, "the shell does not get ready");
    Ok(main)
}

fn stop_is_prompt(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = ends_on_term(&pod, 9)?;
    let begin = Instant::now();
    main.stop(30)?;
    ensure!(begin.elapsed() < Duration::from_secs(15), "a stop took {:?}", begin.elapsed());
    ensure_eq!(main.wait(Duration::from_secs(20))?, 9, "the code from the TERM handler");
    Ok(())
}

/// The usual preStop hook.
fn pre_stop_kills_init(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    let main = ends_on_term(&pod, 5)?;
    let output = main.exec(&["kill", "-TERM", "1"])?;
    // 137: init may be gone, and with it its PID namespace, before `kill` has ended.
    ensure!([0, 137].contains(&output.code), "kill -TERM 1: {} {}", output.code, output.stderr);
    ensure_eq!(main.wait(Duration::from_secs(20))?, 5, "init's exit code");
    Ok(())
}

/// The one way out: the proxy on the pod's loopback, over both families, blocking and not.
fn loopback_proxy(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = pod(node, handler)?;
    let main = pod.python("main")?;
    zerocap_e2e::attack::echo_listeners(&pod.netns()?, &["127.0.0.1:3128", "[::1]:3128"])?;
    let script = r#"
import asyncio, socket
for host in ("127.0.0.1", "::1"):
    s = socket.create_connection((host, 3128), 5); s.sendall(b"hello"); assert s.recv(5) == b"hello", host
async def main():
    r, w = await asyncio.open_connection("127.0.0.1", 3128); w.write(b"async"); assert await r.readexactly(5) == b"async"
asyncio.run(main())
print("proxied")
"#;
    said(&main.exec(&["python3", "-c", script])?, "proxied")
}

fn big_arguments(node: &Node, handler: &str) -> TestResult {
    let pod = pod(node, handler)?;
    // 20 kB arguments in many words; 1 MiB of environment in values below the kernel's 128 kiB per string.
    let mut builder = pod.container("main").command(&["sleep", "100000"]);
    let value = "v".repeat(100_000);
    for i in 0..10 {
        builder = builder.env(&format!("BIG{i}"), &value);
    }
    let main = builder.start()?;
    let words: Vec<String> = (0..2000).map(|i| format!("word-{i:05}")).collect();
    let mut command = vec!["sh", "-c", "echo $# ${#BIG9}", "sh"];
    command.extend(words.iter().map(String::as_str));
    said(&main.exec(&command)?, "2000 100000")
}

/// Sockets inside the container, by path and abstract. A stream server needs `listen`: seccomp sees no address family in
/// listen(), so below a packet fence the call is refused for all of them or for none.
fn unix_sockets(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/listen", "8080").start()?;
    let main = pod.python("main")?;
    let script = r#"
import socket, threading
for kind, name in ((socket.SOCK_STREAM, "/tmp/s"), (socket.SOCK_STREAM, "\0own"), (socket.SOCK_SEQPACKET, "/tmp/q")):
    server = socket.socket(socket.AF_UNIX, kind); server.bind(name); server.listen()
    t = threading.Thread(target=lambda: server.accept()[0].sendall(b"hello")); t.start()
    c = socket.socket(socket.AF_UNIX, kind); c.connect(name); assert c.recv(5) == b"hello"; t.join()
a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind("/tmp/d")
b = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); b.sendto(b"datagram", "/tmp/d"); assert a.recv(8) == b"datagram"
print("unix")
"#;
    said(&main.exec(&["python3", "-c", script])?, "unix")
}

fn read_only_files(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().annotate("zerocap.io/filesystem", "read-only").start()?;
    let main =
        pod.container("main").mount(&pod.volume("data")?, "/data", false).command(&["sleep", "100000"]).start()?;
    said(&main.sh("echo x > /data/file && mkdir /data/d && mv /data/file /data/d/ && cat /data/d/file && echo gone > /dev/null && rm -r /data/d")?, "x")?;
    ensure!(main.sh("echo x > /tmp/file")?.code != 0, "/tmp is writable");
    let output = main.stream(&["sh", "-c", "tty && stty size > /dev/null && echo here > $(tty)"], true)?.finish()?;
    ensure!(output.stdout.contains("here"), "the terminal: {output:?}");
    Ok(())
}

fn path_lists(node: &Node, handler: &str) -> TestResult {
    let pod = node
        .pod(handler)
        .platform()
        .annotate("zerocap.io/fs-read", "/bin,/proc,/dev,/etc,/data")
        .annotate("zerocap.io/fs-write", "/data,/dev/null")
        .annotate("zerocap.io/fs-execute", "/bin");
    let pod = pod.start()?;
    let main =
        pod.container("main").mount(&pod.volume("data")?, "/data", false).command(&["sleep", "100000"]).start()?;
    said(
        &main.sh("cat /etc/passwd | head -n 1 | cut -d: -f1; echo x > /data/file; cat /data/file; true > /dev/null")?,
        "root\nx",
    )?;
    ensure!(main.sh("echo x > /tmp/file")?.code != 0, "/tmp is writable");
    ensure!(main.sh("ls /home")?.code != 0, "/home is readable");
    ensure!(
        main.sh("cp /bin/busybox /data/program && /data/program true")?.code != 0,
        "a program in /data was executed"
    );
    Ok(())
}

/// A listed port can be served to the outside.
fn listen(node: &Node, handler: &str) -> TestResult {
    crate::import_once(node, "python")?;
    let pod = node.pod(handler).platform().annotate("zerocap.io/listen", "8080").start()?;
    let server = "import http.server; http.server.ThreadingHTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()";
    let main = pod.container("main").image("python").command(&["/usr/bin/python3", "-c", server]).start()?;
    let address = pod.addresses()?.into_iter().next().unwrap_or_default();
    let begin = Instant::now();
    let answer = loop {
        let asked = zerocap_e2e::netns::within(&node.netns(), || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect((address.as_str(), 8080))?;
            stream.write_all(b"GET /etc/passwd HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        });
        match asked {
            Ok(answer) => break answer,
            Err(error) => {
                ensure!(begin.elapsed() < Duration::from_secs(30), "nobody answers: {error}; {}", main.log()?)
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(answer.contains("200 OK") && answer.contains("nonroot"), "the server said {answer}");
    Ok(())
}

/// A pod whose containers share one PID namespace.
fn shared_processes(node: &Node, handler: &str) -> TestResult {
    let pod = node.pod(handler).platform().shared_pid().start()?;
    let (first, second) = (pod.sleeper("first")?, pod.sleeper("second")?);
    ensure_eq!(first.exec(&["true"])?.code, 0, "exec in the first");
    second.stop(1)?;
    ensure_eq!(first.exec(&["true"])?.code, 0, "exec after the second has ended");
    Ok(())
}
