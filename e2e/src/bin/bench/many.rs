//! Many pods at once, as after a node's start: how long until all run, and what their shims need together.

use std::error::Error;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use zerocap_e2e::Node;

use super::{RUNTIMES, Runtime, column, ms, shim_memory};

/// How many pods.
const PODS: usize = 50;
const ROUNDS: usize = 3;

/// Measures and prints a table.
pub fn run(node: &Node) -> Result<(), Box<dyn Error>> {
    let mut samples = vec![Vec::new(); RUNTIMES.len()];
    for round in 0..ROUNDS {
        for turn in 0..RUNTIMES.len() {
            let which = (turn + round) % RUNTIMES.len();
            samples[which].push(one(node, &RUNTIMES[which])?);
            eprint!("\rbench: {PODS} pods at once, round {} of {ROUNDS}", round + 1);
        }
    }
    eprintln!();
    println!("## {PODS} pods at once\n");
    println!(
        "All asked for at the same time; n = {ROUNDS} rounds, taking turns; medians. Memory is the sum over the shims: what they"
    );
    println!("share counts once.\n");
    println!("| | containerd-shim-runc-v2 | zerocap, platform mode | ratio |");
    println!("|---|---|---|---|");
    for (pair, runtimes) in samples.chunks(2).zip(RUNTIMES.chunks(2)) {
        for (index, what) in ["all running (ms)", "PSS of all shims (KiB)"].iter().enumerate() {
            let median = |samples: &[[f64; 2]]| column(samples.iter().map(|sample| sample[index])).0;
            let (theirs, ours) = (median(&pair[0]), median(&pair[1]));
            println!("| {}: {what} | {theirs:.0} | {ours:.0} | {:.2} |", runtimes[0].engine, ours / theirs);
        }
    }
    println!();
    Ok(())
}

/// Milliseconds until the last one runs; KiB of all shims while all run.
fn one(node: &Node, runtime: &Runtime) -> Result<[f64; 2], Box<dyn Error>> {
    let (begin, together) = (Instant::now(), Barrier::new(PODS));
    let ends = thread::scope(|scope| {
        let pods: Vec<_> = (0..PODS).map(|_| scope.spawn(|| one_of_many(node, runtime, begin, &together))).collect();
        pods.into_iter().map(|pod| pod.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect::<Vec<_>>()
    });
    let (mut last, mut memory) = (Duration::ZERO, 0.0);
    for end in ends {
        let (running, pss) = end?;
        last = last.max(running);
        memory += pss;
    }
    Ok([ms(last), memory])
}

fn one_of_many(node: &Node, runtime: &Runtime, begin: Instant, together: &Barrier) -> Result<(Duration, f64), String> {
    let builder = node.pod(runtime.handler);
    let pod = if runtime.platform { builder.platform() } else { builder }.start().map_err(|error| error.to_string());
    let running = pod.as_ref().map(|pod| pod.sleeper("main"));
    let took = begin.elapsed();
    together.wait();
    let memory = pod.as_ref().map(|pod| shim_memory(pod).map_err(|error| error.to_string()));
    // Nobody leaves before all have looked: what is shared would count differently.
    together.wait();
    running.map_err(Clone::clone)?.map_err(|error| error.to_string())?;
    Ok((took, memory.map_err(Clone::clone)?.map(|(pss, _)| pss)?))
}
