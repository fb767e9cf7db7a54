//! The kernel's interpreter of seccomp filters, rebuilt to check programs without loading them.

use crate::Insn;
use crate::insn::opcode as op;

/// `struct seccomp_data`: what a filter sees of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeccompData {
    /// System call number, with the x32 bit where the program set it.
    pub nr: u32,
    /// `AUDIT_ARCH_*` of the ABI that was used.
    pub arch: u32,
    /// Where the program was.
    pub instruction_pointer: u64,
    /// The argument registers, all 64 bits of them.
    pub args: [u64; 6],
}

/// Size of `struct seccomp_data` in bytes.
pub(crate) const DATA_LEN: u32 = 64;
/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY: usize = 16;

/// Byte offset of the system call number.
pub(crate) const NR: u32 = 0;
/// Byte offset of the architecture.
pub(crate) const ARCH: u32 = 4;

/// Byte offset of one half (0 = low) of an argument, on a little-endian machine: all that we compile for.
pub(crate) const fn arg_word(arg: u8, half: u32) -> u32 {
    16 + 8 * arg as u32 + 4 * half
}

impl SeccompData {
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
        match offset {
            NR => Some(self.nr),
            ARCH => Some(self.arch),
            8 | 12 => Some(half(self.instruction_pointer)),
            16..DATA_LEN if offset.is_multiple_of(4) => Some(half(self.args[usize::try_from((offset - 16) / 8).ok()?])),
            _ => None,
        }
    }
}

/// A program that the kernel would not accept, or that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InterpretError {
    /// The kernel permits no such instruction in a seccomp filter.
    #[error("instruction {at}: code {code:#06x} is not allowed in a seccomp filter")]
    Code {
        /// Index of the instruction.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A load that is not aligned or outside `struct seccomp_data` or the scratch memory.
    #[error("instruction {at}: offset {offset} is out of bounds")]
    Bounds {
        /// Index of the instruction.
        at: usize,
        /// The offset or index.
        offset: u32,
    },
    /// A shift by 32 or more, or a division by the constant zero.
    #[error("instruction {at}: operand {operand} is not allowed")]
    Operand {
        /// Index of the instruction.
        at: usize,
        /// The operand.
        operand: u32,
    },
    /// A jump beyond the end, or no return at the end.
    #[error("control leaves the program after instruction {at}")]
    End {
        /// Index of the last instruction executed.
        at: usize,
    },
}

/// Run a filter on a call and return what it returns.
///
/// # Errors
///
/// [`InterpretError`] if control reaches something that the kernel would have refused to load.
pub fn interpret(insns: &[Insn], data: &SeccompData) -> Result<u32, InterpretError> {
    let (mut a, mut x) = (0u32, 0u32);
    let mut memory = [0u32; MEMORY];
    let mut pc = 0usize;
    let mut last = 0usize;
    while let Some(insn) = insns.get(pc) {
        last = pc;
        pc += 1;
        let at = last;
        let k = insn.k;
        let scratch = || {
            let index = usize::try_from(k).ok().filter(|index| *index < MEMORY);
            index.ok_or(InterpretError::Bounds { at, offset: k })
        };
        match insn.code {
            op::LD_ABS => a = data.word(k).ok_or(InterpretError::Bounds { at, offset: k })?,
            op::LD_IMM => a = k,
            op::LD_LEN => a = DATA_LEN,
            op::LD_MEM => a = memory[scratch()?],
            op::LDX_IMM => x = k,
            op::LDX_LEN => x = DATA_LEN,
            op::LDX_MEM => x = memory[scratch()?],
            op::ST => memory[scratch()?] = a,
            op::STX => memory[scratch()?] = x,
            op::TAX => x = a,
            op::TXA => a = x,
            op::RET_K => return Ok(k),
            op::RET_A => return Ok(a),
            op::NEG => a = a.wrapping_neg(),
            op::JA => pc = jump(pc, k, at)?,
            code => {
                let operand = if code & op::SRC_X == 0 { k } else { x };
                let constant = code & op::SRC_X == 0;
                match code & !op::SRC_X {
                    op::ADD => a = a.wrapping_add(operand),
                    op::SUB => a = a.wrapping_sub(operand),
                    op::MUL => a = a.wrapping_mul(operand),
                    op::DIV if constant && operand == 0 => return Err(InterpretError::Operand { at, operand }),
                    // The kernel ends the program with 0 on a division by a register that is zero.
                    op::DIV => match a.checked_div(operand) {
                        Some(quotient) => a = quotient,
                        None => return Ok(0),
                    },
                    op::OR => a |= operand,
                    op::AND => a &= operand,
                    op::XOR => a ^= operand,
                    op::LSH | op::RSH if constant && operand >= 32 => {
                        return Err(InterpretError::Operand { at, operand });
                    }
                    op::LSH => a = a.wrapping_shl(operand),
                    op::RSH => a = a.wrapping_shr(operand),
                    compare => {
                        let holds = match compare {
                            op::JEQ => a == operand,
                            op::JGT => a > operand,
                            op::JGE => a >= operand,
                            op::JSET => a & operand != 0,
                            _ => return Err(InterpretError::Code { at, code }),
                        };
                        let skip = if holds { insn.jt } else { insn.jf };
                        pc = jump(pc, u32::from(skip), at)?;
                    }
                }
            }
        }
    }
    Err(InterpretError::End { at: last })
}

fn jump(pc: usize, skip: u32, at: usize) -> Result<usize, InterpretError> {
    usize::try_from(skip).ok().and_then(|skip| pc.checked_add(skip)).ok_or(InterpretError::End { at })
}
