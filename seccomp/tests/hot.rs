//! Calls that programs make often and that a preset looks at stand near the root of the filter's tree: what they cost above the least
//! that any filter costs is the way to their answer. benches/calls.rs has the time.

use zerocap_seccomp::opcode as op;
use zerocap_seccomp::preset::{LastLayer, Preset, last_layer};
use zerocap_seccomp::{Arch, Insn, SeccompData, interpret, lookup};

/// How many instructions are run, the answer included.
fn way(insns: &[Insn], data: &SeccompData) -> usize {
    let word = |offset: u32| match offset {
        0 => data.nr,
        4 => data.arch,
        _ => (data.args[(offset as usize - 16) / 8] >> (8 * (offset % 8))) as u32,
    };
    let (mut at, mut a, mut steps) = (0, 0u32, 0);
    loop {
        let insn = insns[at];
        steps += 1;
        let jump = |holds: bool| usize::from(if holds { insn.jt } else { insn.jf });
        at += 1 + match insn.code {
            op::LD_ABS => {
                a = word(insn.k);
                0
            }
            op::AND => {
                a &= insn.k;
                0
            }
            op::JA => insn.k as usize,
            op::JEQ => jump(a == insn.k),
            op::JGE => jump(a >= insn.k),
            op::JGT => jump(a > insn.k),
            op::JSET => jump(a & insn.k != 0),
            op::RET_K => {
                assert_eq!(Ok(insn.k), interpret(insns, data).map_err(|_| ()), "not the interpreter's way");
                return steps;
            }
            other => panic!("{other:#x} in a filter without a gate"),
        };
    }
}

#[test]
fn the_way_of_a_hot_call_is_short() {
    for native in Arch::NATIVE {
        for preset in [Preset::General, Preset::Strict, Preset::ModelBackend] {
            let layer = LastLayer { preset, ..LastLayer::default() };
            let filter = last_layer(native, &layer).expect("a native architecture");
            for (name, args) in [
                ("ioctl", [0, 0x541b, 0, 0, 0, 0]),
                ("prctl", [3, 0, 0, 0, 0, 0]),
                ("sendto", [0, 0, 0, 0x4000, 0, 0]),
                ("sendmsg", [0, 0, 0x4000, 0, 0, 0]),
            ] {
                let nr = lookup(name).and_then(|call| call.number(native)).expect("the call exists");
                let data = SeccompData { nr, arch: native.audit(), instruction_pointer: 0, args };
                let steps = way(filter.insns, &data);
                println!("{name} under {preset:?} on {}: {steps} instructions", native.name());
                assert!(steps <= MOST, "{name} under {preset:?} on {}: {steps} instructions", native.name());
            }
        }
    }
}

/// Architecture, number and argument are loaded, the first and the last are looked at, and the answer is returned: 6, and two more for
/// the list of commands that ioctl refuses. The rest is the tree.
const MOST: usize = 14;
