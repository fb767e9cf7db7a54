//! What compiling costs: a pod's own profile, which may be compiled while a container starts, and the preset `general`
//! for two architectures, which is compiled at build time; and what it costs to read a compiled filter back, to compare
//! profiles by meaning and to make one of two. Medians; `cargo bench -p zerocap-seccomp`.

use std::time::{Duration, Instant};

use serde_json::Value;
use zerocap_seccomp::algebra::{differences, equal};
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::walk::Walk;
use zerocap_seccomp::{Arch, Gate, compile, oci};

const RUNS: usize = 101;

fn median(mut what: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            what();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn main() {
    let seccomp: Value = serde_json::from_str(include_str!("../fixtures/runtime-default.json")).expect("valid JSON");
    let time = median(|| {
        let profile = oci::read(&seccomp).expect("a valid profile");
        compile(&profile, Arch::X86_64, Gate::LastCalls).expect("small");
    });
    println!("RuntimeDefault (352 names, three ABIs), read and compiled: {} µs", time.as_micros());

    let text = include_str!("../presets/general.toml");
    let on = ["platform", "unix"].into();
    let time = median(|| {
        let intent = Intent::parse(text).expect("a valid preset");
        for arch in Arch::NATIVE {
            compile(&intent.profile(arch, &on), arch, Gate::LastCalls).expect("small");
        }
    });
    println!("general, parsed and compiled for two architectures: {} µs", time.as_micros());

    let pod = oci::read(&seccomp).expect("a valid profile");
    let general = Intent::parse(text).expect("a valid preset").profile(Arch::X86_64, &on);
    let program = compile(&pod, Arch::X86_64, Gate::None).expect("small");
    let time = median(|| {
        Walk::new(&program.insns).expect("our own");
    });
    println!("RuntimeDefault ({} instructions), walked: {} µs", program.insns.len(), time.as_micros());
    let time = median(|| {
        let back = Walk::new(&program.insns).expect("our own").profile(Arch::X86_64).expect("a profile");
        assert_eq!(equal(Arch::X86_64, &pod, &back), Ok(true));
    });
    println!("RuntimeDefault, walked, turned into a profile and found equal: {} µs", time.as_micros());
    let time = median(|| assert_eq!(equal(Arch::X86_64, &general, &general.clone()), Ok(true)));
    println!("general, equal to itself: {} µs", time.as_micros());
    let mut found = 0;
    let time = median(|| found = differences(Arch::X86_64, &pod, &general).filter(Result::is_ok).count());
    println!("RuntimeDefault and general, {found} differences with examples: {} µs", time.as_micros());
    let time = median(|| {
        let both = general.intersect(&pod);
        compile(&both, Arch::X86_64, Gate::LastCalls).expect("small");
    });
    println!("RuntimeDefault and general, intersected and compiled: {} µs", time.as_micros());
}
