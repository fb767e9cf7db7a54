//! What the launcher still calls under its filters passes every one of them, and only with the cookie: proven with the
//! interpreter, for both architectures, whichever of them this machine has.

use std::collections::BTreeSet;

use zerocap_launcher::{CALLS, LAST_CALLS};
use zerocap_seccomp::preset::{self, LastLayer};
use zerocap_seccomp::{Action, Arch, Gate, LAUNCHER_CALLS, Profile, Program, SeccompData, compile, interpret, lookup};

const ARCHS: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

/// Pointers, counts and descriptors that the calls have beside the cookie.
const OTHERS: [[u64; 3]; 3] = [[4, 0x7ffc_0000_1000, 192], [0; 3], [u64::MAX; 3]];

/// No word of it is zero, and no two are equal.
const COOKIE: [u64; 3] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x8000_0001_4000_0002];

/// The program as the launcher loads it: the operands are the cookie's words, even ones the low halves.
fn patched(program: &Program, cookie: [u64; 3]) -> Program {
    let mut program = program.clone();
    for site in &program.cookie {
        let argument = cookie[usize::from(site.word / 2)];
        program.insns[usize::from(site.insn)].k = (argument >> (32 * (site.word % 2))) as u32;
    }
    program
}

fn verdict(program: &Program, arch: Arch, call: &str, [a, b, c]: [u64; 3], [d, e, f]: [u64; 3]) -> Action {
    let nr = lookup(call).and_then(|call| call.number(arch)).unwrap_or_else(|| panic!("{call}"));
    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0x20_1000, args: [a, b, c, d, e, f] };
    Action::from_ret(interpret(&program.insns, &data).unwrap())
}

/// Every filter that the launcher may be the first to live under, with a name: each built-in last layer, and profiles that
/// refuse everything, as the pod's own may.
fn filters(arch: Arch) -> Vec<(String, Program)> {
    let layers = LastLayer::all().map(|layer| {
        let program = preset::last_layer(arch, &layer).unwrap().to_program();
        (format!("{arch:?} {layer:?}"), program)
    });
    let own = [Action::Errno(1), Action::KillProcess, Action::Trap].map(|action| {
        let program = compile(&Profile::new(action), arch, Gate::LastCalls).unwrap();
        (format!("{arch:?} everything {action:?}"), program)
    });
    layers.chain(own).collect()
}

#[test]
fn the_last_calls_pass_every_filter_with_the_cookie() {
    for arch in ARCHS {
        for (name, program) in filters(arch) {
            let program = patched(&program, COOKIE);
            for call in LAST_CALLS {
                for others in OTHERS {
                    assert_eq!(verdict(&program, arch, call, others, COOKIE), Action::Allow, "{name}: {call}");
                }
            }
        }
    }
}

#[test]
fn one_wrong_bit_is_as_good_as_no_cookie() {
    for arch in ARCHS {
        for (name, program) in filters(arch) {
            let program = patched(&program, COOKIE);
            for call in LAST_CALLS {
                for others in OTHERS {
                    // Registers are zero in a new program.
                    let without = verdict(&program, arch, call, others, [0; 3]);
                    for bit in 0..192 {
                        let mut wrong = COOKIE;
                        wrong[bit / 64] ^= 1 << (bit % 64);
                        assert_eq!(verdict(&program, arch, call, others, wrong), without, "{name}: {call} bit {bit}");
                    }
                }
            }
        }
    }
}

/// Where everything is refused, so are these calls: the gate is what admits them, and it admits nothing else.
#[test]
fn the_gate_admits_nothing_else() {
    for arch in ARCHS {
        for action in [Action::Errno(1), Action::KillProcess] {
            let program = patched(&compile(&Profile::new(action), arch, Gate::LastCalls).unwrap(), COOKIE);
            let last: BTreeSet<u32> =
                LAST_CALLS.iter().filter_map(|call| lookup(call).and_then(|call| call.number(arch))).collect();
            for call in zerocap_seccomp::names().filter_map(|call| call.number(arch)) {
                let data = |nr, arch| {
                    let [d, e, f] = COOKIE;
                    SeccompData { nr, arch, instruction_pointer: 0, args: [0, 0, 0, d, e, f] }
                };
                let native = Action::from_ret(interpret(&program.insns, &data(call, arch.audit())).unwrap());
                assert_eq!(native == Action::Allow, last.contains(&call), "{arch:?} {call}");
                assert!(native == Action::Allow || native == action, "{arch:?} {call} {native:?}");
                for foreign in [Arch::I386, Arch::Arm].map(|foreign| data(call, foreign.audit())) {
                    let foreign = Action::from_ret(interpret(&program.insns, &foreign).unwrap());
                    assert_ne!(foreign, Action::Allow, "{arch:?} {call}");
                }
            }
        }
    }
}

#[test]
fn what_the_oci_layer_admits_is_what_the_launcher_calls() {
    let calls: BTreeSet<&str> = CALLS.iter().chain(LAST_CALLS).copied().collect();
    assert_eq!(calls, LAUNCHER_CALLS.iter().copied().collect());
    for arch in ARCHS {
        assert!(calls.iter().all(|call| lookup(call).is_some_and(|call| call.number(arch).is_some())), "{arch:?}");
    }
}

/// The list above against the program: each number in its tables is in the list, under its name.
#[test]
fn the_lists_are_what_the_program_contains() {
    for (arch, source) in [
        (Arch::X86_64, include_str!("../program/arch/x86_64.rs")),
        (Arch::Aarch64, include_str!("../program/arch/aarch64.rs")),
    ] {
        let mut listed: BTreeSet<&str> = CALLS.iter().chain(LAST_CALLS).copied().collect();
        for line in source.lines().filter_map(|line| line.trim().strip_prefix("pub const ")) {
            let Some((name, number)) = line.split_once(": usize = ") else { continue };
            if name.starts_with("STAT_") {
                continue;
            }
            let number: u32 = number.trim_end_matches(';').parse().unwrap();
            let name = name.to_lowercase();
            assert_eq!(lookup(&name).and_then(|call| call.number(arch)), Some(number), "{name}");
            assert!(listed.remove(name.as_str()), "{name} is not listed");
        }
        assert_eq!(listed, BTreeSet::new(), "{arch:?}");
    }
}
