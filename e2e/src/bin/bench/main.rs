//! Time and memory of the whole path beside containerd-shim-runc-v2: the same pod over CRI on one private node, the
//! runtimes taking turns within every round, so that a slower minute of the machine hits all of them.
//!
//! usage: bench [ROUNDS]        prints a Markdown table; `make bench` writes it to docs/bench.md
//!        bench traffic|kubernetes ROUNDS   that part alone

mod alone;
mod kubernetes;
mod many;
mod names;
mod traffic;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zerocap_e2e::node::obstacle;
use zerocap_e2e::{Node, Pod};

/// Rounds without an argument; the floor is 20.
const ROUNDS: usize = 25;
/// Execs measured per pod; the first one is the warm-up.
const EXECS: usize = 4;

/// One way to run the pod: a containerd handler, confined or not.
struct Runtime {
    title: &'static str,
    engine: &'static str,
    handler: &'static str,
    platform: bool,
}

const RUNTIMES: [Runtime; 4] = [
    Runtime { title: "containerd-shim-runc-v2", engine: "runc", handler: "runc", platform: false },
    Runtime { title: "zerocap, platform mode", engine: "runc", handler: "zerocap-runc", platform: true },
    Runtime { title: "containerd-shim-runc-v2", engine: "crun", handler: "crun", platform: false },
    Runtime { title: "zerocap, platform mode", engine: "crun", handler: "zerocap-crun", platform: true },
];

/// What one pod cost: milliseconds, then KiB.
const FIGURES: [&str; 7] = [
    "RunPodSandbox (ms)",
    "Create + StartContainer (ms)",
    "pod to running (ms)",
    "ExecSync (ms)",
    "StopContainer (ms)",
    "shim PSS (KiB)",
    "shim private dirty (KiB)",
];
/// After the last call, before memory is looked at.
const IDLE: std::time::Duration = std::time::Duration::from_millis(1500);
type Sample = [f64; FIGURES.len()];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (part, rounds): (fn(usize) -> _, _) = match words[..] {
        [] => (measure, Some(ROUNDS)),
        [traffic::CLIENT, ..] => return told(traffic::client(&arguments[1..])),
        [names::CLIENT, ..] => return told(names::client(&arguments[1..])),
        [alone::INSIDE, rounds] => return told(rounds.parse().map_err(Into::into).and_then(alone::inside)),
        [kubernetes::ALONE, rounds] => (kubernetes::run, rounds.parse().ok()),
        [traffic::ALONE, rounds] => (traffic::run_alone, rounds.parse().ok()),
        [rounds] => (measure, rounds.parse().ok()),
        _ => (measure, None),
    };
    let Some(rounds) = rounds else {
        eprintln!("usage: bench [[traffic|kubernetes] ROUNDS]");
        return ExitCode::from(2);
    };
    if let Some(reason) = obstacle() {
        eprintln!("bench: cannot run here: {reason}");
        return ExitCode::FAILURE;
    }
    told(part(rounds))
}

fn told(end: Result<(), Box<dyn Error>>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut node = Node::start()?;
    node.import("base")?;
    let mut samples = vec![Vec::with_capacity(rounds); RUNTIMES.len()];
    for round in 0..=rounds {
        for turn in 0..RUNTIMES.len() {
            // The order shifts from round to round, so that nobody always follows the same neighbour.
            let which = (turn + round) % RUNTIMES.len();
            let sample = one_pod(&node, &RUNTIMES[which])?;
            // Round 0 warms the page cache.
            if round > 0 {
                samples[which].push(sample);
            }
        }
        eprint!("\rbench: round {round} of {rounds}");
    }
    eprintln!();
    print_tables(rounds, &samples);
    alone::run(&node, rounds)?;
    many::run(&node)?;
    traffic::run(&node, rounds)?;
    names::run(&node, rounds)?;
    node.down()?;
    kubernetes::run(rounds)
}

fn one_pod(node: &Node, runtime: &Runtime) -> Result<Sample, Box<dyn Error>> {
    let builder = node.pod(runtime.handler);
    let builder = if runtime.platform { builder.platform() } else { builder };
    let start = Instant::now();
    let pod = builder.start()?;
    let sandbox = start.elapsed();
    let container = pod.sleeper("main")?;
    let running = start.elapsed();

    let mut execs = Vec::new();
    for _ in 0..EXECS {
        let start = Instant::now();
        let output = container.exec(&["true"])?;
        execs.push(start.elapsed());
        if output.code != 0 {
            return Err(format!("{}: exec failed: {}", runtime.handler, output.stderr).into());
        }
    }
    let exec = execs[1..].iter().sum::<Duration>() / (EXECS as u32 - 1);
    let (pss, dirty) = shim_memory(&pod)?;
    let start = Instant::now();
    container.stop(0)?;
    let stop = start.elapsed();
    pod.remove()?;
    Ok([ms(sandbox), ms(running - sandbox), ms(running), ms(exec), ms(stop), pss, dirty])
}

/// The shim is what adopted the pause process. Its memory, from the kernel's own sums.
fn shim_memory(pod: &Pod<'_>) -> Result<(f64, f64), Box<dyn Error>> {
    let pause = pod.node.path(&format!("/proc/{}/status", pod.pause_pid()?));
    let shim = zerocap_e2e::process::Status::read(&pause)?.get("PPid").to_owned();
    // A shim that has nothing to do, as it is nearly always; both sides get the same rest. The question above was work, too.
    std::thread::sleep(IDLE);
    let rollup = fs::read_to_string(pod.node.path(&format!("/proc/{shim}/smaps_rollup")))?;
    let kib = |name: &str| {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| format!("no line {name} in the shim's smaps_rollup"))
    };
    Ok((kib("Pss:")?, kib("Private_Dirty:")?))
}

fn print_tables(rounds: usize, samples: &[Vec<Sample>]) {
    println!("n = {rounds} pods each, interleaved; median (99th percentile); the ratio is of the medians.\n");
    for (pair, runtimes) in samples.chunks(2).zip(RUNTIMES.chunks(2)) {
        println!("| {} | {} | {} | ratio |", runtimes[0].engine, runtimes[0].title, runtimes[1].title);
        println!("|---|---|---|---|");
        for (index, figure) in FIGURES.iter().enumerate() {
            let of = |samples: &[Sample]| column(samples.iter().map(|sample| sample[index]));
            let ((theirs, their_tail), (ours, our_tail)) = (of(&pair[0]), of(&pair[1]));
            println!("| {figure} | {theirs:.1} ({their_tail:.1}) | {ours:.1} ({our_tail:.1}) | {:.2} |", ours / theirs);
        }
        println!();
    }
}

/// The median and the 99th percentile.
fn column(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (percentile(&values, 0.5), percentile(&values, 0.99))
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
