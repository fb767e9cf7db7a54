//! `make demo`: one restricted pod, twice: under plain runc and under zerocap with `network-enforcement: platform`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use zerocap_e2e::attack::run::{self, Verdict, Verdicts};
use zerocap_e2e::attack::table::World;
use zerocap_e2e::attack::{PROGRAM, echo_listeners};
use zerocap_e2e::internet::Internet;
use zerocap_e2e::process::{CAPABILITY_SETS, Status};
use zerocap_e2e::verdict::{Outcome, Skip};
use zerocap_e2e::{Container, Node, Pod, node};

/// What the demo shows of the corpus: the attack, and what it tries in a person's words.
const SHOWN: &[(&str, &str)] = &[
    ("tcp4", "TCP to another host and port"),
    ("tcp6", "the same over IPv6"),
    ("mapped", "the same, as an IPv4-mapped address"),
    ("loopback4", "TCP to another port on loopback"),
    ("fastopen_sendto4", "TCP Fast Open: connect by sendto()"),
    ("fastopen_option", "TCP Fast Open: by a socket option"),
    ("mptcp", "Multipath TCP"),
    ("int80_connect", "connect() by the 32-bit system call table"),
    ("high_bits_connect", "connect() with garbage in the upper argument bits"),
    ("udp4", "a UDP datagram"),
    ("udplite6", "a UDP-Lite datagram over IPv6"),
    ("ping4", "a ping with a payload"),
    ("option_bind_to_device", "choosing the network device by hand"),
    ("netlink_netfilter", "a netlink socket to the packet filter"),
    ("families", "any socket of any other family or protocol"),
    ("bind_tcp", "listening on a port"),
    ("listen_without_bind", "listening without binding first"),
    ("abstract_stream", "the neighbour container's abstract socket"),
    ("shared_memory", "the neighbour container's shared memory"),
    ("posix_memory", "the neighbour container's /dev/shm"),
    ("proc_environ_init", "reading init's environment from an exec"),
    ("memfd_execveat", "running a program from memory"),
    ("tiocsti", "typing into its own terminal"),
    ("proxy_port_elsewhere4", "the proxy's port, but on another host"),
];

const EGRESS: &str = "api.demo.test:443, *.models.demo.test:443";
const PROXY: [&str; 2] = ["127.0.0.1:3128", "[::1]:3128"];

fn main() -> ExitCode {
    if let Some(obstacle) = node::obstacle() {
        eprintln!("The demo cannot run here: {obstacle}.");
        return ExitCode::FAILURE;
    }
    let begin = Instant::now();
    let result = Node::start().map_err(Outcome::from).and_then(|mut node| {
        let shown = show(&node);
        step("taking the node down");
        node.down()?;
        shown
    });
    match result {
        Ok(()) => {
            println!(
                "\nDone in {:.0} s; nothing is left behind. `make test` runs the whole corpus.",
                begin.elapsed().as_secs_f32()
            );
            ExitCode::SUCCESS
        }
        Err(Outcome::Failed(message) | Outcome::Skipped(Skip(message))) => {
            eprintln!("The demo cannot go on: {message}");
            ExitCode::FAILURE
        }
    }
}

fn step(text: &str) {
    eprintln!("==> {text}");
}

/// One side of the comparison.
struct Side<'p> {
    pod: &'p Pod<'p>,
    main: Container<'p>,
    _neighbour: Option<Container<'p>>,
}

fn show(node: &Node) -> Result<(), Outcome> {
    if node.program("containerd-shim-zerocap-v2").is_none() {
        return Err(Outcome::Failed("zerocap is not built: run `make build`".to_owned()));
    }
    step("building and importing the images (busybox with the attack programs; Python 3 from Debian's packages)");
    node.import(&format!("attacks={PROGRAM}"))?;
    node.import("python")?;

    step(
        "starting the pod under plain runc: uid 65532, no capabilities asked for, no_new_privs, RuntimeDefault seccomp",
    );
    let plain_pod = World::Network.pod(node, "runc").start()?;
    let plain = start(&plain_pod)?;
    step("starting the same pod under zerocap: handler `zerocap-runc`, annotation `network-enforcement: platform`");
    let confined_pod = World::Network.pod(node, "zerocap-runc").start()?;
    let confined = start(&confined_pod)?;

    step("attacking, in both pods, with an observer on the node's network");
    let names: Vec<&str> = SHOWN.iter().map(|(name, _)| *name).collect();
    let under_runc = run::in_container(node, &plain_pod, &plain.main, World::Network, &names)?;
    let under_zerocap = run::in_container(node, &confined_pod, &confined.main, World::Network, &names)?;
    step("running what must keep working, in the zerocap pod");
    let working = working(&confined_pod)?;
    step("fetching by name, in a network of its own, with and without `zerocap.io/egress`");
    let internet = Internet::new(node, &[443, 8443], &[])?;
    let by_name = by_name(node, &internet)?;
    step("asking the kernel and `zerocap status`");

    println!();
    attacks(&under_runc, &under_zerocap);
    println!();
    table(
        ["STILL WORKS IN THE CONFINED POD", "", ""],
        working.iter().map(|(what, how)| [(*what).to_owned(), how.clone(), String::new()]),
    );
    println!();
    table([&format!("WITH zerocap.io/egress: {EGRESS}"), "UNDER RUNC", "UNDER ZEROCAP"], by_name.into_iter());
    println!();
    kernel(&plain, &confined)?;
    println!("\nTHE REPORT (zerocap status {})\n", confined.main.id.get(..12).unwrap_or_default());
    let report = node.exec(&["zerocap", "status", &confined.main.id])?;
    print!("{}", String::from_utf8_lossy(&report.stdout));
    eprint!("{}", String::from_utf8_lossy(&report.stderr));
    Ok(())
}

fn start<'p>(pod: &'p Pod<'p>) -> Result<Side<'p>, Outcome> {
    let neighbour = run::neighbour(pod, World::Network)?;
    let main = World::Network.container(pod)?.command(&["sleep", "100000"]).start()?;
    Ok(Side { pod, main, _neighbour: neighbour })
}

fn attacks(runc: &Verdicts, zerocap: &Verdicts) {
    let word = |verdict: Option<&Verdict>| match verdict {
        Some(Verdict::Succeeded(_)) => "GETS THROUGH".to_owned(),
        Some(Verdict::Refused(why)) => format!("refused ({})", why.split(' ').next().unwrap_or_default()),
        Some(other) => format!("{other:?}"),
        None => "no answer".to_owned(),
    };
    let rows = SHOWN.iter().map(|(name, what)| [(*what).to_owned(), word(runc.get(*name)), word(zerocap.get(*name))]);
    table(["ATTACK FROM INSIDE THE POD", "UNDER RUNC", "UNDER ZEROCAP"], rows);
    let through = |verdicts: &Verdicts| {
        SHOWN.iter().filter(|(name, _)| verdicts.get(*name).is_some_and(Verdict::succeeded)).count()
    };
    println!("\n{} of {} get through under runc, {} under zerocap.", through(runc), SHOWN.len(), through(zerocap));
}

/// What must work, each with how it was seen to.
fn working(pod: &Pod<'_>) -> Result<Vec<(&'static str, String)>, Outcome> {
    echo_listeners(&pod.netns()?, &PROXY)?;
    let app = pod
        .container("app")
        .image("python")
        .command(&["/bin/sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"])
        .start()?;
    let mut rows = Vec::new();
    let mut row = |what, good: bool, how: String| rows.push((what, if good { how } else { format!("BROKEN: {how}") }));

    let connect = "import socket\nfor h in ('127.0.0.1', '::1'):\n s = socket.create_connection((h, 3128), 5); s.sendall(b'hello'); assert s.recv(5) == b'hello'\nprint('answered on 127.0.0.1 and ::1')";
    let output = app.exec(&["python3", "-c", connect])?;
    row("the proxy on loopback", output.code == 0, first_line(&output.stdout, &output.stderr));
    let threads = "import threading, subprocess, socket, sys\nt = [threading.Thread(target=lambda: None) for _ in range(8)]\n[x.start() for x in t]; [x.join() for x in t]\na, b = socket.socketpair(); a.send(b'x'); b.recv(1)\nsocket.getaddrinfo('localhost', 80)\nprint('Python', sys.version.split()[0] + ':', subprocess.run('echo subprocess', shell=True, capture_output=True, text=True).stdout.strip() + ', threads, socketpair, getaddrinfo')";
    let output = app.exec(&["python3", "-c", threads])?;
    row("Python", output.code == 0, first_line(&output.stdout, &output.stderr));
    let output = app.sh("seq 1 100 | grep 7 | sort -r | head -n 3 | tr '\\n' ' '")?;
    row("a shell pipeline", output.stdout.trim() == "97 87 79", first_line(&output.stdout, &output.stderr));
    let output = app.stream(&["sh", "-c", "tty && test -t 0 && echo with a terminal"], true)?.finish()?;
    row(
        "kubectl exec -it",
        output.stdout.contains("with a terminal"),
        output.stdout.replace("\r\n", ", ").trim_end_matches(", ").to_owned(),
    );
    let output = app.exec(&["kill", "-TERM", "1"])?;
    let code = app.wait(Duration::from_secs(5))?;
    row("a preStop hook: kill -TERM 1", output.code == 0 && code == 5, format!("init ended with its own code, {code}"));
    Ok(rows)
}

/// What both pods get of a network in which there are two names and two servers, one of each listed.
fn by_name(node: &Node, internet: &Internet) -> Result<Vec<[String; 3]>, Outcome> {
    internet.name("api.demo.test", &[internet.server()]);
    internet.name("other.demo.test", &[internet.other()]);
    internet.name("evil.models.demo.test", &["169.254.169.254".parse()?]);
    internet.name("small.models.demo.test", &[internet.server()]);
    let fetch = |host: &str, port: u16| {
        format!(
            "import socket, sys\ntry: s = socket.create_connection(('{host}', {port}), 3); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); s.recv(99); print('reached')\n\
             except socket.gaierror: print('no such name')\nexcept TimeoutError: print('no answer')\nexcept OSError as e: print('refused', '(' + e.strerror + ')' if e.strerror else '')"
        )
    };
    let tried = [
        ("the listed name", fetch("api.demo.test", 443)),
        ("a name below the listed domain", fetch("small.models.demo.test", 443)),
        ("another port of the listed name", fetch("api.demo.test", 8443)),
        ("another name", fetch("other.demo.test", 443)),
        ("another address", fetch(&internet.other().to_string(), 443)),
        ("a name that its owner points to the metadata service", fetch("evil.models.demo.test", 443)),
    ];
    let (mut columns, mut questions) = (Vec::new(), Vec::new());
    for pod in [node.pod("runc"), node.pod("zerocap-runc").platform().annotate("zerocap.io/egress", EGRESS)] {
        let pod = pod.dns(internet.nameserver(), &[]).start()?;
        let app = pod.container("app").image("python").command(&["/bin/sh", "-c", "sleep 100000"]).start()?;
        let said = |(_, script): &(&str, String)| -> Result<String, Outcome> {
            let output = app.exec(&["python3", "-c", script])?;
            Ok(first_line(&output.stdout, &output.stderr))
        };
        let before = internet.asked().len();
        columns.push(tried.iter().map(said).collect::<Result<Vec<_>, _>>()?);
        let other = |name: &&String| *name == "other.demo.test";
        questions.push(internet.asked().iter().skip(before).filter(other).count().to_string());
    }
    let cells = |index: usize| [columns[0][index].clone(), columns[1][index].clone()];
    let mut rows: Vec<[String; 3]> = tried
        .iter()
        .enumerate()
        .map(|(index, (what, _))| {
            let [runc, zerocap] = cells(index);
            [(*what).to_owned(), runc, zerocap]
        })
        .collect();
    let [runc, zerocap] = questions.try_into().unwrap_or_default();
    rows.push(["questions for the other name that left the pod".to_owned(), runc, zerocap]);
    Ok(rows)
}

fn first_line(stdout: &str, stderr: &str) -> String {
    let text = if stdout.trim().is_empty() { stderr.lines().last().unwrap_or_default() } else { stdout.trim() };
    text.to_owned()
}

/// What the kernel says of both init processes and of an exec.
fn kernel(plain: &Side<'_>, confined: &Side<'_>) -> Result<(), Outcome> {
    let exec = |side: &Side<'_>| -> Result<Status, Outcome> {
        Ok(Status::parse(&side.main.exec(&["cat", "/proc/self/status"])?.stdout))
    };
    let (runc, ours) = ([plain.main.kernel_status()?, exec(plain)?], [confined.main.kernel_status()?, exec(confined)?]);
    let pause = Status::read(&confined.pod.node.path(&format!("/proc/{}/status", confined.pod.pause_pid()?)))?;
    let capabilities = |status: &Status| {
        let held: Vec<&str> =
            CAPABILITY_SETS.into_iter().filter(|set| status.get(set).bytes().any(|b| b != b'0')).collect();
        if held.is_empty() { "five empty sets".to_owned() } else { held.join(" ") }
    };
    let row = |who: &str, status: &Status| {
        let rest = format!(
            "NoNewPrivs {}, Seccomp {}, {} filter(s)",
            status.get("NoNewPrivs"),
            status.get("Seccomp"),
            status.get("Seccomp_filters")
        );
        [who.to_owned(), capabilities(status), rest]
    };
    let rows = [
        row("runc: init", &runc[0]),
        row("runc: exec", &runc[1]),
        row("zerocap: init", &ours[0]),
        row("zerocap: exec", &ours[1]),
        row("zerocap: pause", &pause),
    ];
    table(["WHAT THE KERNEL SAYS", "CAPABILITIES", ""], rows.into_iter());
    Ok(())
}

fn table(head: [&str; 3], rows: impl Iterator<Item = [String; 3]>) {
    let rows: Vec<[String; 3]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [a, b, c] in &rows {
        println!("{}", format!("  {a:first$}  {b:second$}  {c}").trim_end());
    }
}
