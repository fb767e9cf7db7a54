//! What the launcher adds to a start: `cargo bench -p zerocap-launcher`.
//!
//! The same program is started without it and with it, in turn, on whatever the machine does besides. GO is there from the
//! beginning, so that no wake-up of this process is counted. The kernel's own loading of the filters is the difference
//! between the last two lines.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Start, bare};
use zerocap_plan::{CookieSite, Filter, Insn, Landlock, LaunchPlan, PortRule};
use zerocap_seccomp::Arch;
use zerocap_seccomp::preset::{LastLayer, last_layer};

const ROUNDS: usize = 300;

fn main() {
    // `cargo test --benches` runs this too, to see that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 3 };
    let program = "/bin/true";
    let plans =
        [("launcher, nothing asked", bare()), ("with Landlock, connect", domain()), ("with the filter", full())];
    let mut direct = Vec::new();
    let mut behind = plans.each_ref().map(|_| Vec::new());
    for _ in 0..rounds {
        direct.push(time(Start::new(&bare(), [""; 0]).by_path(program)));
        for ((_, plan), times) in plans.iter().zip(&mut behind) {
            times.push(time(Start::new(plan, [program])));
        }
    }
    let base = median(&mut direct);
    println!("{:<26} {:>9}   {:>9}", "median of starts", "µs", "added µs");
    println!("{program:<26} {:>9.1}", micros(base));
    for ((name, _), times) in plans.iter().zip(&mut behind) {
        let median = median(times);
        println!("{name:<26} {:>9.1}   {:>9.1}", micros(median), micros(median) - micros(base));
    }
}

/// From just before the child is made until it has ended.
fn time(start: Start) -> Duration {
    let start = start.go_at_once();
    let begin = Instant::now();
    let mut running = start.spawn();
    let status = running.child.wait();
    let time = begin.elapsed();
    assert!(status.is_ok_and(|status| status.success()));
    time
}

/// What platform mode asks of Landlock.
fn domain() -> LaunchPlan {
    const BIND_TCP: u64 = 1;
    const CONNECT_TCP: u64 = 2;
    let landlock = Landlock {
        handled_net: BIND_TCP | CONNECT_TCP,
        scoped: 3,
        ports: vec![PortRule { port: 3128, access: CONNECT_TCP }],
        ..Landlock::default()
    };
    LaunchPlan { landlock: Some(landlock), forbidden_connect: Some(1), native_abi_only: true, ..bare() }
}

fn full() -> LaunchPlan {
    let arch = Arch::native().expect("an architecture with filters");
    let program = last_layer(arch, &LastLayer::default()).expect("a filter").to_program();
    let insns =
        program.insns.iter().map(|insn| Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k }).collect();
    let cookie = program.cookie.iter().map(|site| CookieSite { insn: site.insn, word: site.word }).collect();
    LaunchPlan { filters: vec![Filter { insns, cookie, spec_allow: true }], ..domain() }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
