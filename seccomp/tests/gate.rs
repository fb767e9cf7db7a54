//! The cookie gate: it admits the launcher's last calls, nothing else, and changes no other answer.

mod common;

use common::{argument_classes, governing, interesting_numbers, run};
use proptest::prelude::*;
use zerocap_seccomp::preset::{LastLayer, last_layer};
use zerocap_seccomp::{
    Action, Arch, COOKIE_WORDS, Decision, GATED_CALLS, Gate, Profile, Program, SeccompData, Table, UNPATCHED, compile,
    lookup,
};

/// What the launcher does: words of the cookie into the immediates.
fn patch(program: &Program, cookie: [u64; 3]) -> Program {
    let mut patched = program.clone();
    for site in &program.cookie {
        let word = cookie[usize::from(site.word / 2)] >> (32 * u32::from(site.word % 2));
        let insn = &mut patched.insns[usize::from(site.insn)];
        assert_eq!(insn.k, UNPATCHED, "a site is empty until it is patched");
        insn.k = word as u32;
    }
    patched
}

/// Every gated call refused, in the given way; everything else allowed.
fn refusing(action: Action, native: Arch) -> Profile {
    let mut table = Table::new(Action::Allow);
    for name in GATED_CALLS {
        table.set(number(name, native), Decision::always(action));
    }
    let mut profile = Profile::new(Action::KillThread);
    profile.set_table(native, table);
    profile
}

fn number(name: &str, arch: Arch) -> u32 {
    lookup(name).and_then(|call| call.number(arch)).expect("every ABI has it")
}

fn call(name: &str, native: Arch, tail: [u64; 3]) -> SeccompData {
    SeccompData {
        nr: number(name, native),
        arch: native.audit(),
        instruction_pointer: 7,
        args: [1, 2, 3, tail[0], tail[1], tail[2]],
    }
}

const COOKIES: [[u64; 3]; 4] = [
    [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978],
    [u64::MAX, u64::MAX, u64::MAX],
    [1, 0, 0],
    [0, 0, 1 << 63],
];

/// Profiles that refuse the last calls, one per way of refusing, and whatever built-in layer needs the gate.
fn gated() -> Vec<(String, Arch, Program, Program)> {
    let mut all = Vec::new();
    for native in Arch::NATIVE {
        for action in [Action::Errno(1), Action::KillProcess, Action::KillThread, Action::Trap, Action::Log] {
            let profile = refusing(action, native);
            let with = compile(&profile, native, Gate::LastCalls).expect("small");
            let without = compile(&profile, native, Gate::None).expect("small");
            all.push((format!("{action:?} {native:?}"), native, with, without));
        }
    }
    all
}

#[test]
fn the_right_cookie_passes_and_every_single_bit_error_is_refused() {
    for (what, native, program, without) in gated() {
        assert_eq!(program.cookie.len(), usize::from(COOKIE_WORDS), "{what}");
        for cookie in COOKIES {
            let patched = patch(&program, cookie);
            for name in GATED_CALLS {
                let refused = run(&without.insns, &call(name, native, [0; 3]));
                assert_ne!(refused, Action::Allow);
                assert_eq!(run(&patched.insns, &call(name, native, cookie)), Action::Allow, "{what} {name}");
                for bit in 0..192usize {
                    let mut wrong = cookie;
                    wrong[bit / 64] ^= 1 << (bit % 64);
                    assert_eq!(run(&patched.insns, &call(name, native, wrong)), refused, "{what} {name} bit {bit}");
                }
                // Registers of a new program, and the same words in another order.
                for wrong in [[0; 3], [cookie[1], cookie[0], cookie[2]], [cookie[2], cookie[1], cookie[0]]] {
                    if wrong != cookie {
                        assert_eq!(run(&patched.insns, &call(name, native, wrong)), refused, "{what} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_cookie_admits_nothing_else() {
    for (what, native, program, without) in gated() {
        let cookie = COOKIES[0];
        let patched = patch(&program, cookie);
        let gated = GATED_CALLS.map(|name| number(name, native));
        for arch in common::AUDIT_ARCHES {
            for nr in interesting_numbers() {
                if arch == native.audit() && gated.contains(&nr) {
                    continue;
                }
                let args = [1, 2, 3, cookie[0], cookie[1], cookie[2]];
                let data = SeccompData { nr, arch, instruction_pointer: 0, args };
                assert_eq!(run(&patched.insns, &data), run(&without.insns, &data), "{what} {data:x?}");
            }
        }
    }
}

/// After its last filter the launcher makes these calls only, and they pass under every built-in layer.
#[test]
fn the_last_calls_pass_under_every_built_in_layer() {
    for layer in LastLayer::all() {
        for native in Arch::NATIVE {
            let program = last_layer(native, &layer).expect("a native architecture").to_program();
            for cookie in COOKIES {
                let patched = patch(&program, cookie);
                for name in GATED_CALLS {
                    assert_eq!(run(&patched.insns, &call(name, native, cookie)), Action::Allow, "{layer:?} {name}");
                }
            }
            // Where a layer refuses one of them, every wrong bit is refused.
            for name in GATED_CALLS {
                let patched = patch(&program, COOKIES[0]);
                if run(&patched.insns, &call(name, native, [0; 3])) == Action::Allow {
                    continue;
                }
                for bit in 0..192usize {
                    let mut wrong = COOKIES[0];
                    wrong[bit / 64] ^= 1 << (bit % 64);
                    assert_ne!(
                        run(&patched.insns, &call(name, native, wrong)),
                        Action::Allow,
                        "{layer:?} {name} {bit}"
                    );
                }
            }
        }
    }
}

/// The comparison has one branch, after all six words: the time of a refusal does not depend on which of them is wrong.
#[test]
fn the_comparison_does_not_branch_on_single_words() {
    use zerocap_seccomp::opcode::{JEQ, LD_ABS, OR, SRC_X, TAX, XOR};
    for (what, _, program, _) in gated() {
        let first = usize::from(program.cookie[0].insn) - 1;
        let last = usize::from(program.cookie[5].insn);
        let block = &program.insns[first..=last];
        assert!(block.iter().all(|insn| [LD_ABS, XOR, TAX, OR | SRC_X].contains(&insn.code)), "{what}");
        assert_eq!(block.iter().filter(|insn| insn.code == LD_ABS).count(), 6, "{what}");
        let offsets: Vec<u32> = block.iter().filter(|insn| insn.code == LD_ABS).map(|insn| insn.k).collect();
        assert_eq!(offsets, [40, 44, 48, 52, 56, 60], "{what}");
        assert_eq!(program.insns[last + 1].code, OR | SRC_X, "{what}");
        assert_eq!((program.insns[last + 2].code, program.insns[last + 2].k), (JEQ, 0), "{what}");
    }
}

/// A patch that was forgotten leaves the gate closed to a program as it starts.
#[test]
fn an_unpatched_gate_is_closed_to_zero_registers() {
    for (what, native, program, without) in gated() {
        for name in GATED_CALLS {
            let data = call(name, native, [0; 3]);
            assert_eq!(run(&program.insns, &data), run(&without.insns, &data), "{what} {name}");
        }
    }
}

#[test]
fn no_gate_where_the_profile_allows_the_calls_anyway() {
    let profile = Profile::unconfined();
    for native in Arch::NATIVE {
        assert!(compile(&profile, native, Gate::LastCalls).expect("small").cookie.is_empty());
    }
}

proptest! {
    /// For random profiles: with a wrong cookie every answer of the gated program is the ungated program's.
    #[test]
    fn a_closed_gate_changes_nothing(
        rules in proptest::collection::vec((0u32..470, 0usize..8), 1..60),
        default in 0usize..8,
        cookie in proptest::array::uniform3(1u64..),
    ) {
        const ACTIONS: [Action; 8] = [
            Action::Allow, Action::Log, Action::Trace(1), Action::Notify, Action::Errno(1), Action::Errno(38),
            Action::Trap, Action::KillProcess,
        ];
        let mut table = Table::new(ACTIONS[default]);
        for (nr, action) in rules {
            table.set(nr, Decision::always(ACTIONS[action]));
        }
        let mut profile = Profile::new(Action::KillThread);
        profile.set_table(Arch::X86_64, table);
        let gated = compile(&profile, Arch::X86_64, Gate::LastCalls).expect("small");
        let patched = patch(&gated, cookie);
        for nr in 0..600 {
            let decision = governing(&profile, Arch::X86_64, Arch::X86_64.audit(), nr);
            for args in argument_classes(&decision, 4) {
                let data = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args };
                prop_assert_eq!(run(&patched.insns, &data), profile.action(Arch::X86_64, &data));
            }
        }
    }
}
