//! What the launcher adds to a start: `cargo bench -p zerocap-launcher`.
//!
//! The same program is started without it and with it, in turn, and the processor time of each is taken. GO is there from
//! the beginning, so that nothing waits. The kernel's own loading of the filters is the difference between the last two
//! lines.
#![allow(unsafe_code, reason = "processor time of a child")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

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
    let base = quantiles(&mut direct);
    println!("{:<26} {:>9} {:>9}   {:>9} {:>9}", "µs of processor time", "median", "added", "p10", "added");
    println!("{program:<26} {:>9} {:>9}   {:>9}", base[0], "", base[1]);
    for ((name, _), times) in plans.iter().zip(&mut behind) {
        let [median, p10] = quantiles(times);
        println!("{name:<26} {median:>9} {:>9}   {p10:>9} {:>9}", median - base[0], p10 - base[1]);
    }
}

/// Processor time of the child, from fork to its end: it waits for nothing, and other load does not count.
fn time(start: Start) -> Duration {
    let running = start.go_at_once().spawn();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both are writable and outlive the call; the child is reaped nowhere else.
    let reaped = unsafe { libc::wait4(running.pid().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()) };
    assert!(reaped > 0 && status == 0, "{status:#x}");
    // SAFETY: plain numbers, zeroed before the kernel filled them in.
    let usage = unsafe { usage.assume_init() };
    [usage.ru_utime, usage.ru_stime]
        .map(|time| {
            Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
        })
        .iter()
        .sum()
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

/// Median and tenth percentile in microseconds; the second suffers less from a busy machine.
fn quantiles(times: &mut [Duration]) -> [i128; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() / 10].map(|index| times[index].as_micros().cast_signed())
}
