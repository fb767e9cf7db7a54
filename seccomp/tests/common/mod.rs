//! Walking a filter: which system calls, and which arguments around every value that a profile compares with.
#![allow(dead_code)]

pub mod generate;

use std::collections::BTreeSet;

use zerocap_seccomp::{
    Action, Arch, Condition, Decision, Insn, Profile, SeccompData, Test, Width, X32_BIT, interpret, names,
};

/// Values on both sides of everything that a condition compares with, with garbage in the upper half as well.
pub fn boundary_values(condition: &Condition) -> Vec<u64> {
    let around = |value: u64| [value.wrapping_sub(1), value, value.wrapping_add(1)];
    let mut values: BTreeSet<u64> = BTreeSet::from([0, 1, u64::from(u32::MAX), u64::MAX]);
    match condition.test() {
        Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => values.extend(around(*v)),
        Test::MaskedEq { mask, datum } | Test::MaskedNe { mask, datum } => {
            values.extend(around(*datum));
            values.extend([*mask, !*mask, datum | !mask, datum ^ mask]);
            values.extend((0..64).map(|bit| datum ^ (1 << bit)));
        }
        Test::OneOf { mask, values: listed } => {
            for value in listed {
                values.extend(around(*value));
                values.extend([value | !mask, value ^ (mask & mask.wrapping_neg())]);
            }
        }
    }
    if condition.width() == Width::W32 {
        let low: Vec<u64> = values.iter().copied().collect();
        values.extend(low.iter().map(|value| value | 0xdead_beef_0000_0000));
        values.extend(low.iter().map(|value| value | 1 << 32));
    } else {
        let both: Vec<u64> = values.iter().copied().collect();
        values.extend(both.iter().map(|value| value ^ 1 << 32));
        values.extend(both.iter().map(|value| value ^ 1 << 63));
    }
    values.into_iter().collect()
}

/// Argument vectors: every combination of boundary values of the arguments that the decision looks at, up to `limit`
/// (beyond it, a stride that is coprime to the counts), the others filled with a pattern.
pub fn argument_classes(decision: &Decision, limit: usize) -> Vec<[u64; 6]> {
    let mut per_arg: [BTreeSet<u64>; 6] = Default::default();
    for condition in decision.clauses.iter().flat_map(|clause| &clause.conditions) {
        per_arg[usize::from(condition.arg())].extend(boundary_values(condition));
    }
    let lists: Vec<Vec<u64>> =
        per_arg
            .iter()
            .enumerate()
            .map(|(index, set)| {
                if set.is_empty() { vec![0x5a5a_5a5a_a5a5_a5a0 + index as u64] } else { set.iter().copied().collect() }
            })
            .collect();
    let total: usize = lists.iter().map(Vec::len).product();
    let step = if total <= limit { 1 } else { (total / limit).next_power_of_two() * 2 + 1 };
    (0..total)
        .step_by(step)
        .map(|mut index| {
            let mut args = [0; 6];
            for (slot, list) in args.iter_mut().zip(&lists) {
                *slot = list[index % list.len()];
                index /= list.len();
            }
            args
        })
        .collect()
}

/// Every number that any table has, their neighbours, and the corners of the number space.
pub fn interesting_numbers() -> BTreeSet<u32> {
    let mut numbers: BTreeSet<u32> = (0..1024).collect();
    for call in names() {
        for arch in Arch::ALL {
            if let Some(number) = call.number(arch) {
                numbers.extend([number.saturating_sub(1), number, number + 1]);
            }
        }
    }
    let plain: Vec<u32> = numbers.iter().copied().collect();
    numbers.extend(plain.iter().map(|number| number | X32_BIT));
    numbers.extend(plain.iter().map(|number| number | 0x8000_0000));
    numbers.extend([X32_BIT - 1, X32_BIT, u32::MAX, u32::MAX - 1, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff]);
    numbers
}

/// Every `seccomp_data.arch` that our ABIs have, and some that they do not.
pub const AUDIT_ARCHES: [u32; 7] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0, u32::MAX, 0xc000_003f];

/// The decision that governs a call, for choosing arguments.
pub fn governing(profile: &Profile, native: Arch, arch: u32, nr: u32) -> Decision {
    let abi = native.family().iter().find(|abi| abi.audit() == arch);
    let (abi, number) = match abi {
        Some(Arch::X86_64 | Arch::X32) if nr >= X32_BIT => (Arch::X32, nr - X32_BIT),
        Some(abi) => (*abi, nr),
        None => return Decision::always(profile.foreign),
    };
    profile
        .table(abi)
        .and_then(|table| table.get(number).cloned())
        .unwrap_or_else(|| Decision::always(Action::KillProcess))
}

/// What the program answers.
pub fn run(insns: &[Insn], data: &SeccompData) -> Action {
    Action::from_ret(interpret(insns, data).expect("the compiler emits what the kernel accepts"))
}

/// Compare a program with the profile it was compiled from, over every interesting number, ABI and argument class.
/// Returns how many calls were compared.
pub fn assert_means(insns: &[Insn], profile: &Profile, native: Arch, limit: usize, what: &str) -> usize {
    let mut compared = 0;
    for arch in AUDIT_ARCHES {
        for nr in interesting_numbers() {
            for args in argument_classes(&governing(profile, native, arch, nr), limit) {
                let data = SeccompData { nr, arch, instruction_pointer: 0x1234_5678_9abc_def0, args };
                let got = run(insns, &data);
                let meant = profile.action(native, &data);
                assert_eq!(got, meant, "{what}: {data:x?}");
                compared += 1;
            }
        }
    }
    compared
}
