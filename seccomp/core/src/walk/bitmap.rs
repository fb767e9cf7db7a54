//! The kernel's shortcut: calls that a filter allows whatever their arguments are answered without running it.

use crate::insn::opcode as op;
use crate::interpret::{ARCH, NR};
use crate::{Action, Arch, Insn};

/// Will the kernel answer this call (x32: the number without its bit) from its bitmap? It does, since 5.11, where the
/// filter comes to a plain "allow" by looking at nothing but architecture and number, with the few operations that
/// `seccomp_is_const_allow` knows. A filter that is stacked on others has to be on the bitmap under all of them.
#[must_use]
pub fn on_bitmap(insns: &[Insn], arch: Arch, number: u32) -> bool {
    let data = arch.call(number, [0; 6]);
    let (mut at, mut a) = (0usize, 0u32);
    while let Some(insn) = insns.get(at) {
        let skip = |holds: bool| usize::from(if holds { insn.jt } else { insn.jf });
        let far = match insn.code {
            op::LD_ABS if insn.k == NR => {
                a = data.nr;
                0
            }
            op::LD_ABS if insn.k == ARCH => {
                a = data.arch;
                0
            }
            op::AND => {
                a &= insn.k;
                0
            }
            op::RET_K => return insn.k == Action::Allow.ret(),
            op::JA => usize::try_from(insn.k).unwrap_or(usize::MAX),
            op::JEQ => skip(a == insn.k),
            op::JGE => skip(a >= insn.k),
            op::JGT => skip(a > insn.k),
            op::JSET => skip(a & insn.k != 0),
            _ => return false,
        };
        at = at.saturating_add(1).saturating_add(far);
    }
    false
}
