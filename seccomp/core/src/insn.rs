//! One instruction of classic BPF, as the kernel takes it.

/// `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Operation, addressing mode and operand source (see [`opcode`]).
    pub code: u16,
    /// How many instructions to skip if the comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not hold.
    pub jf: u8,
    /// Immediate operand, offset, or distance of an unconditional jump.
    pub k: u32,
}

impl Insn {
    /// An instruction that does not jump conditionally.
    #[must_use]
    pub const fn stmt(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
}

/// The operations that the kernel permits in a seccomp filter and that the compiler emits, named as in
/// `linux/bpf_common.h`.
pub mod opcode {
    /// Load the 32-bit word at byte offset k of `struct seccomp_data` into A.
    pub const LD_ABS: u16 = 0x20;
    /// A = k
    pub const LD_IMM: u16 = 0x00;
    /// A = length of the data (always 64)
    pub const LD_LEN: u16 = 0x80;
    /// A = M[k]
    pub const LD_MEM: u16 = 0x60;
    /// X = k
    pub const LDX_IMM: u16 = 0x01;
    /// X = length of the data (always 64)
    pub const LDX_LEN: u16 = 0x81;
    /// X = M[k]
    pub const LDX_MEM: u16 = 0x61;
    /// M[k] = A
    pub const ST: u16 = 0x02;
    /// M[k] = X
    pub const STX: u16 = 0x03;
    /// A = A op k; add 0x08 for the operand X.
    pub const ADD: u16 = 0x04;
    /// A -= k
    pub const SUB: u16 = 0x14;
    /// A *= k
    pub const MUL: u16 = 0x24;
    /// A /= k
    pub const DIV: u16 = 0x34;
    /// A |= k
    pub const OR: u16 = 0x44;
    /// A &= k
    pub const AND: u16 = 0x54;
    /// A <<= k
    pub const LSH: u16 = 0x64;
    /// A >>= k
    pub const RSH: u16 = 0x74;
    /// A = -A
    pub const NEG: u16 = 0x84;
    /// A ^= k
    pub const XOR: u16 = 0xa4;
    /// Added to an arithmetic or jump operation: the operand is X instead of k.
    pub const SRC_X: u16 = 0x08;
    /// Skip k instructions.
    pub const JA: u16 = 0x05;
    /// A == k
    pub const JEQ: u16 = 0x15;
    /// A > k, unsigned
    pub const JGT: u16 = 0x25;
    /// A >= k, unsigned
    pub const JGE: u16 = 0x35;
    /// A & k != 0
    pub const JSET: u16 = 0x45;
    /// Return k.
    pub const RET_K: u16 = 0x06;
    /// Return A.
    pub const RET_A: u16 = 0x16;
    /// X = A
    pub const TAX: u16 = 0x07;
    /// A = X
    pub const TXA: u16 = 0x87;
}
