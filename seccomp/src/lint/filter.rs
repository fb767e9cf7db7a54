//! The compiled filter as the linter asks it: what happens to this call, with which arguments does that change, and does
//! the kernel need to run the filter at all.

use std::cell::RefCell;

use crate::algebra::example;
use crate::opcode as op;
use crate::walk::{Leaf, Walk, WalkError};
use crate::{Action, Arch, Insn, SeccompData, Syscall, X32_BIT, interpret};

/// In the upper half of a register, where the kernel does not look for an `int`.
pub(super) const HIGH: u64 = 0xdead_beef_0000_0000;

/// Arguments, and the answer to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) args: [u64; 6],
    pub(super) answer: Action,
}

/// A filter that the kernel would load.
#[derive(Debug)]
pub(super) struct Filter {
    insns: Vec<Insn>,
    walk: RefCell<Walk>,
}

impl Filter {
    pub(super) fn new(insns: Vec<Insn>) -> Result<Self, WalkError> {
        let walk = RefCell::new(Walk::new(&insns)?);
        Ok(Self { insns, walk })
    }

    pub(super) fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// The answer to a number of an ABI (x32: without its bit).
    pub(super) fn answer(&self, abi: Arch, number: u32, args: [u64; 6]) -> Action {
        let nr = if abi == Arch::X32 { number | X32_BIT } else { number };
        let data = SeccompData { nr, arch: abi.audit(), instruction_pointer: 0, args };
        // A program that was checked always returns; the kernel's own answer to a faulty one is to kill.
        interpret(&self.insns, &data).map_or(Action::KillProcess, Action::from_ret)
    }

    /// The answer to a call by name; `None` if the ABI has no such call.
    pub(super) fn call(&self, abi: Arch, call: Syscall, args: [u64; 6]) -> Option<Action> {
        Some(self.answer(abi, call.number(abi)?, args))
    }

    /// The answers to a call, with arguments for each way that it can take through the filter. Together they cover all
    /// arguments.
    pub(super) fn cases(&self, abi: Arch, number: u32) -> Vec<Case> {
        let plain = || Case { args: [0; 6], answer: self.answer(abi, number, [0; 6]) };
        // What is too entangled to be put into words is asked with plain arguments only.
        let Ok(leaves) = self.walk.borrow_mut().leaves(abi, number) else { return vec![plain()] };
        let case = |leaf: &Leaf| {
            let args = example(&leaf.conditions).ok().flatten()?;
            Some(Case { args, answer: leaf.action })
        };
        leaves.iter().filter_map(case).collect()
    }

    /// The only answer to a call, if it does not depend on the arguments.
    pub(super) fn always(&self, abi: Arch, number: u32) -> Option<Action> {
        let cases = self.cases(abi, number);
        let first = cases.first()?.answer;
        cases.iter().all(|case| case.answer == first).then_some(first)
    }

    /// Does the kernel answer this call from its bitmap, without running the filter? Only where the answer is Allow and
    /// the way to it looks at nothing but architecture and number (`seccomp_is_const_allow`).
    pub(super) fn on_bitmap(&self, abi: Arch, number: u32) -> bool {
        let nr = if abi == Arch::X32 { number | X32_BIT } else { number };
        let (mut pc, mut a) = (0usize, None);
        while let Some(insn) = self.insns.get(pc) {
            pc += 1;
            match (insn.code, a) {
                (op::LD_ABS, _) if insn.k == 0 => a = Some(nr),
                (op::LD_ABS, _) if insn.k == 4 => a = Some(abi.audit()),
                (op::RET_K, _) => return Action::from_ret(insn.k) == Action::Allow,
                (op::JA, _) => pc = pc.saturating_add(insn.k as usize),
                (op::JEQ | op::JGT | op::JGE | op::JSET, Some(value)) => {
                    let skip = if holds(insn.code, value, insn.k) { insn.jt } else { insn.jf };
                    pc += usize::from(skip);
                }
                (op::AND, Some(value)) => a = Some(value & insn.k),
                _ => return false,
            }
        }
        false
    }
}

fn holds(compare: u16, a: u32, k: u32) -> bool {
    match compare {
        op::JEQ => a == k,
        op::JGT => a > k,
        op::JGE => a >= k,
        _ => a & k != 0,
    }
}
