//! What names in `egress` cost: a cached answer as a client in the pod gets it, and the memory that resolver and responder take in the shim.
//!
//! Beside it, a bare echo of datagrams over the same loopback: what of an answer is not ours.

use std::error::Error;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use zerocap_e2e::internet::Internet;
use zerocap_e2e::{Container, Node, netns};

use super::traffic::{IDLE_PROGRAM, PLACE, PROGRAM, lay_out, micros};
use super::{column, percentile, shim_memory};

/// How the program is called in the pod.
pub const CLIENT: &str = "ask";
const QUESTIONS: usize = 2000;
/// Seconds that an answer may be kept: what large sites give.
const TTL: u32 = 300;
/// As the goal has it.
const NAMES: [&str; 4] = ["api.names.test", "two.names.test", "three.names.test", "four.names.test"];
/// Where the bare echo is.
const ECHO: &str = "127.0.0.1:5353";

/// Measures and prints a table.
pub fn run(node: &Node, rounds: usize) -> Result<(), Box<dyn Error>> {
    node.import("python")?;
    lay_out(node)?;
    let internet = Internet::new(node, &[], &[])?;
    internet.keep_answers(TTL);
    NAMES.iter().for_each(|name| internet.name(name, &[internet.server()]));
    let (times, memory) = (times(node, &internet, rounds)?, memory(node, &internet, rounds)?);
    table(rounds, &times, &memory);
    Ok(())
}

/// Two figures of each round, of what is compared: median and 10th percentile of a bare echo in a plain pod and of a cached answer in a
/// confined one, or PSS and private dirty memory of a shim without and with names.
type Pairs = [Vec<(f64, f64)>; 2];

fn times(node: &Node, internet: &Internet, rounds: usize) -> Result<Pairs, Box<dyn Error>> {
    let plain = node.pod("runc").start()?;
    echo(&plain.netns()?)?;
    let egress = NAMES.map(|name| format!("{name}:443")).join(",");
    let confined = node.pod("zerocap-runc").platform().dns(internet.nameserver(), &[]);
    let confined = confined.annotate("zerocap.io/egress", &egress).start()?;
    let mut containers = Vec::new();
    for pod in [&plain, &confined] {
        let builder = pod.container("main").image("python").command(&IDLE_PROGRAM);
        containers.push(builder.mount(PLACE, "/bench", true).start()?);
    }
    let conf = containers[1].sh("sed -n 's/^nameserver //p' /etc/resolv.conf")?.stdout;
    let to = [ECHO.to_owned(), format!("{}:53", conf.trim())];
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for turn in 0..2 {
            let which = (turn + round) % 2;
            let sample = one(&containers[which], &to[which])?;
            // Round 0 warms everything up.
            if round > 0 {
                samples[which].push(sample);
            }
        }
        eprint!("\rnames: round {round} of {rounds}");
    }
    eprintln!();
    Ok(samples)
}

fn one(container: &Container<'_>, to: &str) -> Result<(f64, f64), Box<dyn Error>> {
    let output = container.exec(&[PROGRAM, CLIENT, to])?;
    let values: Vec<f64> = output.stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match values[..] {
        [median, tenth] => Ok((median, tenth)),
        _ => Err(format!("the client said {:?} {:?}", output.stdout, output.stderr).into()),
    }
}

/// Sends back what comes, in a pod without us.
fn echo(namespace: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let socket = netns::within(namespace, || UdpSocket::bind(ECHO))?;
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    Ok(())
}

/// PSS and private dirty memory of a shim without and with names, in KiB.
fn memory(node: &Node, internet: &Internet, rounds: usize) -> Result<Pairs, Box<dyn Error>> {
    let with = NAMES.map(|name| format!("{name}:443")).join(",");
    let egress = ["192.0.2.1:443", &with];
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for turn in 0..2 {
            let which = (turn + round) % 2;
            let pod = node.pod("zerocap-runc").platform().dns(internet.nameserver(), &[]);
            let pod = pod.annotate("zerocap.io/egress", egress[which]).start()?;
            let main = pod.sleeper("main")?;
            // Answered once, as in use.
            main.sh(&format!("nslookup {}", NAMES[0]))?;
            let sample = shim_memory(&pod)?;
            if round > 0 {
                samples[which].push(sample);
            }
        }
        eprint!("\rnames, memory: round {round} of {rounds}");
    }
    eprintln!();
    Ok(samples)
}

fn table(rounds: usize, times: &Pairs, memory: &Pairs) {
    println!("## Names\n");
    println!(
        "A container with {} names in egress, TTL {TTL} s; n = {rounds} rounds, taking turns. Times: {QUESTIONS} questions a round, by UDP,",
        NAMES.len()
    );
    println!(
        "from the client's side in the pod; median over rounds. Memory: the idle shim of such a pod beside one without names.\n"
    );
    println!("| | median | 10th percentile | goal |");
    println!("|---|---|---|---|");
    for (title, samples, goal) in [
        ("cached answer (µs)", &times[1], "≤ 100"),
        ("of this a bare echo over loopback, in a plain pod (µs)", &times[0], "–"),
    ] {
        let (median, _) = column(samples.iter().map(|sample| sample.0));
        let (tenth, _) = column(samples.iter().map(|sample| sample.1));
        println!("| {title} | {median:.1} | {tenth:.1} | {goal} |");
    }
    for (title, of, goal) in
        [("added to the shim's PSS (KiB)", 0, "≤ 400"), ("added to its private dirty memory (KiB)", 1, "–")]
    {
        let all = |samples: &[(f64, f64)]| column(samples.iter().map(|it| if of == 0 { it.0 } else { it.1 })).0;
        println!("| {title} | {:.0} | | {goal} |", all(&memory[1]) - all(&memory[0]));
    }
    println!();
}

/// The client's side: prints median and 10th percentile, in µs.
pub fn client(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [to] = arguments else { return Err("no address".into()) };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to.as_str())?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut question = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NAMES[0].split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let (mut times, mut buffer) = (Vec::with_capacity(QUESTIONS), [0; 512]);
    for number in 0..QUESTIONS {
        question[..2].copy_from_slice(&(number as u16).to_be_bytes());
        let begin = Instant::now();
        socket.send(&question)?;
        let length = socket.recv(&mut buffer)?;
        times.push(micros(begin.elapsed()));
        if buffer[..2] != question[..2] || length < question.len() {
            return Err("an answer to another question".into());
        }
    }
    times.sort_by(f64::total_cmp);
    println!("{} {}", percentile(&times, 0.5), percentile(&times, 0.1));
    Ok(())
}
