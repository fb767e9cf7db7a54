//! What a shim adds to its engine: the same bundle by `runc create` and `runc start` alone, and by the task API of each shim, without
//! containerd in between. Runs inside the node.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zerocap_e2e::Node;
use zerocap_e2e::node::repository;
use zerocap_e2e::task::{Run, Shim, engine_path, prepare};

use super::{column, ms};

/// How the program is called inside.
pub const INSIDE: &str = "alone";
/// Create and start of a process that only sleeps.
const PROGRAM: [&str; 2] = ["sleep", "1000"];
const ENGINES: [&str; 2] = ["runc", "crun"];
const WAYS: [Option<Shim>; 4] = [None, Some(Shim::Reference), Some(Shim::Plain), Some(Shim::Confined)];
const TITLES: [&str; 4] =
    ["engine alone", "containerd-shim-runc-v2", "zerocap, no annotation", "zerocap, platform mode"];

/// What one container cost, in milliseconds: `start` of the shim's program until it has told its address; create; start.
#[derive(Clone, Copy)]
struct Sample {
    shim: f64,
    create: f64,
    start: f64,
}

/// Measures inside `node` and prints a table for each engine.
pub fn run(node: &Node, rounds: usize) -> Result<(), Box<dyn Error>> {
    let output = Command::new(repository().join("hack/node"))
        .args(["exec", "--dir"])
        .arg(node.dir())
        .arg(std::env::current_exe()?)
        .args([INSIDE, &rounds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the part inside the node failed".into());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// The part inside the node.
pub fn inside(rounds: usize) -> Result<(), Box<dyn Error>> {
    prepare()?;
    println!("## What the shim adds\n");
    println!(
        "The same bundle by the engine's own commands and by the task API of each shim, without containerd; n = {rounds},"
    );
    println!(
        "taking turns; median (99th percentile) in milliseconds. Added: to the engine alone, by create and start together.\n"
    );
    for engine in ENGINES {
        let mut samples = vec![Vec::with_capacity(rounds); WAYS.len()];
        for round in 0..=rounds {
            for turn in 0..WAYS.len() {
                let which = (turn + round) % WAYS.len();
                let sample = match WAYS[which] {
                    None => by_hand(engine)?,
                    Some(shim) => by_shim(shim, engine)?,
                };
                if round > 0 {
                    samples[which].push(sample);
                }
            }
            eprint!("\rbench: {engine}, round {round} of {rounds}");
        }
        eprintln!();
        table(engine, &samples);
    }
    Ok(())
}

fn table(engine: &str, samples: &[Vec<Sample>]) {
    println!("| {engine} | shim's start | create | start | create + start | added |");
    println!("|---|---|---|---|---|---|");
    let sum = |sample: &Sample| sample.create + sample.start;
    let (alone, _) = column(samples[0].iter().map(sum));
    for (title, samples) in TITLES.iter().zip(samples) {
        let cell = |of: fn(&Sample) -> f64| {
            let (median, tail) = column(samples.iter().map(of));
            if median > 0.0 { format!("{median:.1} ({tail:.1})") } else { "–".to_owned() }
        };
        let cells = [cell(|s| s.shim), cell(|s| s.create), cell(|s| s.start), cell(|s| s.create + s.start)];
        let (both, _) = column(samples.iter().map(sum));
        println!("| {title} | {} | {:.1} |", cells.join(" | "), both - alone);
    }
    println!();
}

fn by_shim(shim: Shim, engine: &'static str) -> Result<Sample, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let run = Run::start(shim, engine).await?;
        // As in a pod: its sandbox comes first, and what a shim does once is done.
        run.run("sandbox", &PROGRAM).await?;
        run.bundle("c", &PROGRAM, |_| {})?;
        let begin = Instant::now();
        run.create_with(run.request("c")).await.ok_or_else(|| format!("{:?}", run.last()))?;
        let created = begin.elapsed();
        run.start_process("c", "").await.ok_or_else(|| format!("{:?}", run.last()))?;
        let started = begin.elapsed() - created;
        let shim = run.started_in();
        run.finish().await?;
        Ok::<_, String>(sample(shim, created, started))
    })?)
}

/// The bundle that a shim would get, by the engine's commands.
fn by_hand(engine: &'static str) -> Result<Sample, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Its shim serves nothing; it is there for the bundle, and for the clean-up.
    let run = runtime.block_on(Run::start(Shim::Reference, engine))?;
    run.bundle("c", &PROGRAM, |_| {})?;
    let root = run.dir.join("by-hand");
    let call = |words: &[&str]| -> Result<Duration, Box<dyn Error>> {
        let mut command = Command::new(engine_path(engine));
        command.arg("--root").arg(&root).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let status = command.status()?;
        let took = begin.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{engine} {}: {status}", words.join(" ")).into()) }
    };
    let bundle = run.bundle_of("c").display().to_string();
    let pid_file = run.dir.join("pid").display().to_string();
    let created = call(&["create", "--bundle", &bundle, "--pid-file", &pid_file, "c"])?;
    let started = call(&["start", "c"])?;
    call(&["delete", "--force", "c"])?;
    runtime.block_on(run.finish())?;
    Ok(sample(Duration::ZERO, created, started))
}

fn sample(shim: Duration, create: Duration, start: Duration) -> Sample {
    Sample { shim: ms(shim), create: ms(create), start: ms(start) }
}
