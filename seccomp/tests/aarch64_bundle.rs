//! The filters for 64-bit ARM with calls that show each line of theirs, as `hack/aarch64` gives them to a kernel of that
//! architecture. Here the interpreter answers.
//!
//! Format: 64-bit little-endian words. The number of filters; for each: how many instructions, how many calls, the instructions,
//! the calls. A call is its number, the errno that is meant (0: the kernel's own answer) and six arguments.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::argument_classes;
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::preset::{LastLayer, last_layer};
use zerocap_seccomp::{Action, Arch, SeccompData, Syscall, names};

const NATIVE: Arch = Arch::Aarch64;
const CLONE_THREAD: u64 = 0x1_0000;

/// They end, block or change the child that makes the calls.
const NOT_MADE: [&str; 9] =
    ["exit", "exit_group", "rt_sigreturn", "sync", "vhangup", "reboot", "munmap", "wait4", "rt_sigtimedwait"];
/// With these only refusals are shown: what passes would take the child's memory away, or make processes.
const REFUSALS_ONLY: [&str; 3] = ["mmap", "mprotect", "clone"];

fn intent(layer: &LastLayer) -> Intent {
    let text = |name: &str| fs::read_to_string(format!("{}/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"))).ok();
    Intent::parse_with(&text(layer.preset.name()).expect("the preset"), &text).expect("valid")
}

/// Calls that show what the preset means, with the errno or 0.
fn cases(layer: &LastLayer) -> Vec<(u32, u64, [u64; 6])> {
    let (intent, on) = (intent(layer), layer.knobs().into_iter().collect::<BTreeSet<&str>>());
    let mut all = Vec::new();
    let shown = |call: &Syscall| !NOT_MADE.contains(&call.name());
    for call in names().filter(shown) {
        let Some(number) = call.number(NATIVE) else { continue };
        let decision = intent.decision(call, &on);
        let mut classes = match decision.unconditional() {
            // Not all flags at once: a queue would be made, which outlives the child.
            Some(_) if call.name() == "msgget" => vec![[0x7fff_fff0, 0, 0, 0, 0, 0]],
            Some(_) => vec![[u64::MAX, u64::MAX, u64::MAX, u64::MAX - 1, u64::MAX - 1, u64::MAX - 1]],
            None => argument_classes(&decision, 60),
        };
        if call.name() == "clone" {
            // EINVAL from the kernel: a thread without shared signal handlers.
            classes.push([CLONE_THREAD, 0, 0, 0, 0, 0]);
        }
        for args in classes {
            let errno = match decision.action(&args) {
                Action::Errno(errno) => u64::from(errno),
                _ => 0,
            };
            let made = call.name() == "clone" && args[0] == CLONE_THREAD;
            if errno != 0 || made || !REFUSALS_ONLY.contains(&call.name()) {
                all.push((number, errno, args));
            }
        }
    }
    // Numbers that the tables do not have.
    all.extend([(471, 38, [0; 6]), (u32::MAX, 38, [0; 6])]);
    all
}

#[test]
fn the_filters_for_arm_and_calls_that_show_them() {
    let layers: Vec<LastLayer> = LastLayer::all().collect();
    let mut words: Vec<u64> = vec![layers.len() as u64];
    let mut calls = 0;
    for layer in &layers {
        let filter = last_layer(NATIVE, layer).expect("a native architecture");
        let cases = cases(layer);
        for (nr, errno, args) in &cases {
            let data = SeccompData { nr: *nr, arch: NATIVE.audit(), instruction_pointer: 0, args: *args };
            let meant = u16::try_from(*errno).ok().filter(|errno| *errno != 0).map_or(Action::Allow, Action::Errno);
            assert_eq!(common::run(filter.insns, &data), meant, "{layer:?} {nr} {args:x?}");
        }
        words.extend([filter.insns.len() as u64, cases.len() as u64]);
        // `struct sock_filter`: 16 bits of code, the two jumps, 32 bits of operand.
        words.extend(
            filter
                .insns
                .iter()
                .map(|i| u64::from(i.code) | u64::from(i.jt) << 16 | u64::from(i.jf) << 24 | u64::from(i.k) << 32),
        );
        words.extend(cases.iter().flat_map(|(nr, errno, args)| [u64::from(*nr), *errno].into_iter().chain(*args)));
        calls += cases.len();
        assert!(cases.len() < 4096, "{layer:?}: more calls than the probe has room for");
    }
    assert!(calls > 300 * layers.len(), "{calls} calls");
    if let Some(path) = std::env::var_os("ZEROCAP_AARCH64_BUNDLE") {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(path, bytes).expect("the bundle can be written");
    }
}
