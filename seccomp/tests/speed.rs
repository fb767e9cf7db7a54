//! What may happen while a container starts has to be quick. Bounds are for optimised builds; without optimisation the
//! same code runs ten to thirty times slower and is only kept from becoming absurd.

use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::{Arch, Gate, compile, oci};

const SLOWER: u32 = if cfg!(debug_assertions) { 30 } else { 1 };

fn median(mut what: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let start = Instant::now();
            what();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_pods_own_profile_compiles_in_300_microseconds() {
    let seccomp: Value = serde_json::from_str(include_str!("../fixtures/runtime-default.json")).expect("valid JSON");
    let mut insns = 0;
    let time = median(|| {
        let profile = oci::read(&seccomp).expect("a valid profile");
        insns = compile(&profile, Arch::X86_64, Gate::LastCalls).expect("small").insns.len();
    });
    println!("352 names on three ABIs: {time:?}, {insns} instructions");
    assert!(time < Duration::from_micros(300) * SLOWER, "{time:?}");
}

#[test]
fn general_compiles_for_two_architectures_in_5_milliseconds() {
    let text = include_str!("../presets/general.toml");
    let on = ["platform", "unix"].into();
    let time = median(|| {
        let intent = Intent::parse(text).expect("a valid preset");
        for arch in Arch::NATIVE {
            compile(&intent.profile(arch, &on), arch, Gate::LastCalls).expect("small");
        }
    });
    println!("general, parsed and compiled for two architectures: {time:?}");
    assert!(time < Duration::from_millis(5) * SLOWER, "{time:?}");
}
