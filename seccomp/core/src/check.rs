//! What the kernel checks before it takes a filter, for programs that are not loaded here: of another architecture, or
//! from a file.

use crate::compile::MAX_INSNS;
use crate::insn::opcode as op;
use crate::interpret::DATA_LEN;
use crate::{Insn, InterpretError};

/// Words of scratch memory (`BPF_MEMWORDS`).
pub(crate) const MEMORY: u32 = 16;

/// Why the kernel would refuse a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Empty, or longer than the kernel takes.
    #[error("a filter has 1 to {MAX_INSNS} instructions, this one {0}")]
    Length(usize),
    /// A word of scratch memory is read that not every way there has written.
    #[error("instruction {at}: scratch word {word} may not have been written")]
    Unwritten {
        /// Index of the instruction.
        at: usize,
        /// Which word.
        word: u32,
    },
    /// An instruction that could not be executed.
    #[error(transparent)]
    Insn(#[from] InterpretError),
}

/// Would the kernel load this program as a seccomp filter? (`bpf_check_classic` and `seccomp_check_filter`)
///
/// # Errors
///
/// [`CheckError`] names the instruction.
pub fn check(insns: &[Insn]) -> Result<(), CheckError> {
    if insns.is_empty() || insns.len() > MAX_INSNS {
        return Err(CheckError::Length(insns.len()));
    }
    // For each instruction the scratch words that every way to it has written; nobody has come yet: all.
    let mut written = vec![u16::MAX; insns.len()];
    written[0] = 0;
    for (at, insn) in insns.iter().enumerate() {
        let mut now = written[at];
        let k = insn.k;
        let word = || if k < MEMORY { Ok(1u16 << k) } else { Err(InterpretError::Bounds { at, offset: k }) };
        let mut targets = [Some(1), None];
        match insn.code {
            op::LD_ABS if !k.is_multiple_of(4) || k >= DATA_LEN => {
                return Err(InterpretError::Bounds { at, offset: k }.into());
            }
            op::LD_ABS | op::LD_IMM | op::LD_LEN | op::LDX_IMM | op::LDX_LEN | op::TAX | op::TXA | op::NEG => {}
            op::ST | op::STX => now |= word()?,
            op::LD_MEM | op::LDX_MEM if now & word()? == 0 => return Err(CheckError::Unwritten { at, word: k }),
            op::LD_MEM | op::LDX_MEM => {}
            // The kernel goes on to the next instruction here as well: what follows a return counts as reached from it.
            op::RET_K | op::RET_A if at + 1 < insns.len() => {}
            op::RET_K | op::RET_A => targets = [None, None],
            // Saturated, a distance is out of every program.
            op::JA => targets = [Some(usize::try_from(k).unwrap_or(usize::MAX).saturating_add(1)), None],
            code => match code & !op::SRC_X {
                op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::XOR => {}
                op::DIV if code == op::DIV && k == 0 => return Err(InterpretError::Operand { at, operand: k }.into()),
                op::LSH | op::RSH if code & op::SRC_X == 0 && k >= 32 => {
                    return Err(InterpretError::Operand { at, operand: k }.into());
                }
                op::DIV | op::LSH | op::RSH => {}
                op::JEQ | op::JGT | op::JGE | op::JSET => {
                    targets = [Some(usize::from(insn.jt) + 1), Some(usize::from(insn.jf) + 1)];
                }
                _ => return Err(InterpretError::Code { at, code }.into()),
            },
        }
        for skip in targets.into_iter().flatten() {
            let to = at.checked_add(skip).and_then(|to| written.get_mut(to)).ok_or(InterpretError::End { at })?;
            *to &= now;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: Insn = Insn::stmt(op::RET_K, 0x7fff_0000);

    fn refused(insns: &[Insn]) -> CheckError {
        check(insns).expect_err("the kernel refuses it")
    }

    #[test]
    fn what_the_kernel_refuses() {
        assert_eq!(refused(&[]), CheckError::Length(0));
        assert_eq!(refused(&vec![ALLOW; MAX_INSNS + 1]), CheckError::Length(MAX_INSNS + 1));
        assert!(check(&vec![ALLOW; MAX_INSNS]).is_ok());
        // The end without a return; a jump beyond it, also by a distance that overflows.
        assert_eq!(refused(&[Insn::stmt(op::TAX, 0)]), InterpretError::End { at: 0 }.into());
        for distance in [1, u32::MAX] {
            assert_eq!(refused(&[Insn::stmt(op::JA, distance), ALLOW]), InterpretError::End { at: 0 }.into());
        }
        let branch = |jt, jf| Insn { code: op::JEQ, jt, jf, k: 0 };
        assert!(check(&[branch(1, 0), ALLOW, ALLOW]).is_ok());
        assert_eq!(refused(&[branch(0, 2), ALLOW, ALLOW]), InterpretError::End { at: 0 }.into());
        // Loads outside the data, half words, packets.
        for offset in [1, 2, 64, u32::MAX] {
            assert_eq!(
                refused(&[Insn::stmt(op::LD_ABS, offset), ALLOW]),
                InterpretError::Bounds { at: 0, offset }.into()
            );
        }
        for code in [0x28, 0x30, 0x40, 0xb1, 0x94, 0x1d | 0x80, 0x0d] {
            assert_eq!(refused(&[Insn::stmt(code, 0), ALLOW]), InterpretError::Code { at: 0, code }.into());
        }
        assert!(matches!(refused(&[Insn::stmt(op::DIV, 0), ALLOW]), CheckError::Insn(InterpretError::Operand { .. })));
        assert!(matches!(refused(&[Insn::stmt(op::LSH, 32), ALLOW]), CheckError::Insn(InterpretError::Operand { .. })));
        assert!(check(&[Insn::stmt(op::LSH, 31), Insn::stmt(op::DIV | op::SRC_X, 0), ALLOW]).is_ok());
    }

    #[test]
    fn scratch_memory_has_to_be_written_on_every_way() {
        let load = Insn::stmt(op::LD_MEM, 3);
        let store = Insn::stmt(op::ST, 3);
        assert_eq!(refused(&[load, ALLOW]), CheckError::Unwritten { at: 0, word: 3 });
        assert!(check(&[store, load, ALLOW]).is_ok());
        let skip = Insn { code: op::JEQ, jt: 1, jf: 0, k: 0 };
        assert_eq!(refused(&[skip, store, load, ALLOW]), CheckError::Unwritten { at: 2, word: 3 });
        assert_eq!(refused(&[Insn::stmt(op::ST, 16), ALLOW]), InterpretError::Bounds { at: 0, offset: 16 }.into());
    }
}
