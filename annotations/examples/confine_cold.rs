//! What `confine` costs in a process that has never run it: one call, then out.
//!
//! `cargo run --release -p zerocap-annotations --example confine_cold [RUNS]` starts itself RUNS times (default 21) and
//! prints the median; it fails where that is over the budget of 300 µs. With `seccomp-deny` and `seccomp-allow` a filter has to
//! be compiled, which has no budget: it is printed beside.

#[path = "../tests/host/mod.rs"]
mod host;

use std::process::{Command, ExitCode};
use std::time::Instant;

use host::host;
use serde_json::Value;
use zerocap_annotations::{Floor, PodPolicy, Target, confine};

const SPEC: &str = include_str!("../tests/data/workload.json");
const BUDGET_US: u128 = 300;
/// Set in the processes that measure.
const ONCE: &str = "CONFINE_COLD_ONCE";
/// With names of system calls.
const NAMES: &str = "names";

fn once(names: bool) -> Result<(u128, u128), Box<dyn std::error::Error>> {
    let mut spec: Value = serde_json::from_str(SPEC)?;
    if names {
        spec["annotations"]["zerocap.io/seccomp-deny"] = "mkdir,mkdirat".into();
        spec["annotations"]["zerocap.io/seccomp-allow"] = "ptrace".into();
    }
    let host = host();
    let start = Instant::now();
    let policy = PodPolicy::from_sandbox(&spec, &Floor::none())?.container_of(&spec)?;
    let policy_us = start.elapsed().as_micros();
    let start = Instant::now();
    let confined = confine(&spec, Target::Init, &policy, &host)?;
    let confine_us = start.elapsed().as_micros();
    if confined.plan.is_none() {
        return Err("the policy is not active".into());
    }
    Ok((policy_us, confine_us))
}

fn median(mut values: Vec<u128>) -> u128 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(u128::MAX)
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(which) = std::env::var_os(ONCE) {
        let (policy, confine) = once(which == NAMES)?;
        println!("{policy} {confine}");
        return Ok(ExitCode::SUCCESS);
    }
    let runs: usize = std::env::args().nth(1).map_or(Ok(21), |runs| runs.parse())?;
    let measure = |which: &str| -> Result<(u128, u128), Box<dyn std::error::Error>> {
        let (mut policy, mut confine) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let output = Command::new(std::env::current_exe()?).env(ONCE, which).output()?;
            let line = String::from_utf8(output.stdout)?;
            let (a, b) = line.trim().split_once(' ').ok_or("a run printed nothing")?;
            policy.push(a.parse()?);
            confine.push(b.parse()?);
        }
        Ok((median(policy), median(confine)))
    };
    let (policy, confine) = measure("plain")?;
    println!(
        "cold, median of {runs} fresh processes: policy {policy} µs, confine {confine} µs (budget {BUDGET_US} µs)"
    );
    let (_, names) = measure(NAMES)?;
    println!("cold, the same with seccomp-deny and seccomp-allow: confine {names} µs");
    Ok(if confine <= BUDGET_US { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
