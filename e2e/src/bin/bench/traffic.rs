//! What the packet fence costs a workload: the same client in the same pod under plain runc and confined, over the pod's veth, taking turns.
//!
//! The client is this program, mounted into the pods.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_congestion;
use rustix::thread::{CpuSet, sched_setaffinity};
use zerocap_e2e::{Container, Node, netns};

use super::{column, percentile};

/// The node, as pods reach it.
const HOST: &str = "10.88.0.1";
/// Of each, per round and pod.
const CONNECTS: usize = 400;
const TRIPS: usize = 4000;
const STREAMS: usize = 6;
const STREAM: usize = 256 << 20;
/// The kernel's own default. Others pace by what they measured of the path, so that a longer path costs more than its length.
const CONGESTION: &str = "cubic";
/// Where the two ends of the stream run. Left to the scheduler they share a processor or do not, round by round, and the rate differs threefold.
const CLIENT_CPU: usize = 0;
const SERVER_CPU: usize = 1;
/// How this part is asked for alone.
pub const ALONE: &str = "traffic";
/// How the program is called in the pod.
pub const CLIENT: &str = "client";
/// Where it lies there.
pub const PROGRAM: &str = "/bench/bench";
/// And in what folder of the node.
pub const PLACE: &str = "/var/lib/e2e-bench";
/// What a container does in which it is run.
pub const IDLE_PROGRAM: [&str; 3] = ["/usr/bin/python3", "-c", "import time; time.sleep(1000000)"];

/// What one round of one pod gave.
const FIGURES: [&str; 3] = [
    "connect over veth, 10th percentile (µs)",
    "1-byte round trip, 10th percentile (µs)",
    "256 MiB stream, 90th percentile (MiB/s)",
];
/// What the ratio may be at most, or at least.
const GOALS: [&str; 3] = ["≤ 1.15", "≤ 1.05", "≥ 0.98"];
type Sample = [f64; FIGURES.len()];

/// Puts this program where pods can mount it.
pub fn lay_out(node: &Node) -> io::Result<()> {
    let place = node.path(PLACE);
    if place.exists() {
        return Ok(());
    }
    fs::create_dir_all(&place)?;
    fs::copy(std::env::current_exe()?, place.join("bench"))?;
    fs::set_permissions(place.join("bench"), fs::Permissions::from_mode(0o755))
}

/// This part by itself, on a node of its own.
pub fn run_alone(rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut node = Node::start()?;
    run(&node, rounds)?;
    Ok(node.down()?)
}

/// Measures and prints a table.
pub fn run(node: &Node, rounds: usize) -> Result<(), Box<dyn Error>> {
    node.import("python")?;
    // The bridge, and with it the node's address, comes with the first pod.
    let plain = node.pod("runc").start()?;
    let ports = [serve(node, hang_up)?, serve(node, echo)?, serve(node, swallow)?];
    let egress: Vec<String> = ports.iter().map(|port| format!("{HOST}:{port}")).collect();
    lay_out(node)?;
    let confined = node.pod("zerocap-runc").platform().annotate("zerocap.io/egress", &egress.join(",")).start()?;
    let mut containers = Vec::new();
    for pod in [&plain, &confined] {
        let builder = pod.container("main").image("python").command(&IDLE_PROGRAM);
        containers.push(builder.mount(PLACE, "/bench", true).start()?);
    }
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for turn in 0..2 {
            let which = (turn + round) % 2;
            let sample = one(&containers[which], &ports)?;
            // Round 0 warms everything up.
            if round > 0 {
                samples[which].push(sample);
            }
        }
        eprint!("\rtraffic: round {round} of {rounds}");
    }
    eprintln!();
    table(rounds, &samples);
    Ok(())
}

fn table(rounds: usize, samples: &[Vec<Sample>; 2]) {
    println!("## What goes out\n");
    println!(
        "The same client in the same pod, to a server on the node over the pod's veth; n = {rounds} rounds each, taking turns;"
    );
    println!(
        "median over rounds (99th percentile); the ratio is of the medians. The stream's ends have a processor each; it is sent by cubic.\n"
    );
    println!("| | runc | zerocap, platform mode | ratio | goal |");
    println!("|---|---|---|---|---|");
    for (index, (figure, goal)) in FIGURES.iter().zip(GOALS).enumerate() {
        let of = |samples: &[Sample]| column(samples.iter().map(|sample| sample[index]));
        let ((theirs, their_tail), (ours, our_tail)) = (of(&samples[0]), of(&samples[1]));
        let ratio = ours / theirs;
        println!("| {figure} | {theirs:.2} ({their_tail:.2}) | {ours:.2} ({our_tail:.2}) | {ratio:.2} | {goal} |");
    }
    println!();
}

fn one(container: &Container<'_>, ports: &[u16; 3]) -> Result<Sample, Box<dyn Error>> {
    let ports = ports.map(|port| port.to_string());
    let output = container.exec(&[PROGRAM, CLIENT, HOST, &ports[0], &ports[1], &ports[2]])?;
    let values: Vec<f64> = output.stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(values.try_into().map_err(|_| format!("the client said {:?} {:?}", output.stdout, output.stderr))?)
}

/// A server of the node; each connection has a thread.
fn serve(node: &Node, with: fn(TcpStream) -> io::Result<()>) -> io::Result<u16> {
    let listener = netns::within(&node.netns(), || TcpListener::bind((HOST, 0)))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || with(stream));
        }
    });
    Ok(port)
}

fn hang_up(_: TcpStream) -> io::Result<()> {
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// Keeps this thread on one processor.
fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Takes everything, then answers.
fn swallow(mut stream: TcpStream) -> io::Result<()> {
    pin(SERVER_CPU)?;
    let mut buffer = vec![0; 1 << 16];
    let mut left = STREAM;
    while left > 0 {
        left = left.saturating_sub(stream.read(&mut buffer)?.max(1));
    }
    stream.write_all(b"x")
}

/// The client's side: prints the three figures.
pub fn client(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [host, ports @ ..] = arguments else { return Err("no address".into()) };
    let mut to = Vec::new();
    for port in ports {
        to.push(SocketAddr::new(host.parse()?, port.parse()?));
    }
    let [closes, echoes, swallows] = to[..] else { return Err("three ports".into()) };

    let mut connects = Vec::with_capacity(CONNECTS);
    for _ in 0..CONNECTS {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(closes)?;
        connects.push(micros(begin.elapsed()));
        // The server closes first: its side waits for late packets, and our ports are free again.
        let _ = stream.read(&mut [0]);
    }
    let mut stream = TcpStream::connect(echoes)?;
    stream.set_nodelay(true)?;
    let mut trips = Vec::with_capacity(TRIPS);
    let mut byte = [1];
    for _ in 0..TRIPS {
        let begin = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        trips.push(micros(begin.elapsed()));
    }
    pin(CLIENT_CPU)?;
    let block = vec![7; 1 << 16];
    let mut rates = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut stream = TcpStream::connect(swallows)?;
        set_tcp_congestion(&stream, CONGESTION)?;
        let begin = Instant::now();
        for _ in 0..STREAM / block.len() {
            stream.write_all(&block)?;
        }
        stream.read_exact(&mut byte)?;
        rates.push((STREAM >> 20) as f64 / begin.elapsed().as_secs_f64());
    }
    for values in [&mut connects, &mut trips, &mut rates] {
        values.sort_by(f64::total_cmp);
    }
    println!("{} {} {}", percentile(&connects, 0.1), percentile(&trips, 0.1), percentile(&rates, 0.9));
    Ok(())
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
