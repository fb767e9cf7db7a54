//! The cookie gate: the launcher's last calls pass even where the profile refuses them.
//!
//! Under its filters the launcher still has to load the next one, write READY, read GO and execute the workload. It puts 192 random
//! bits into the argument registers that these calls do not use, and the filter admits a call that carries them. The
//! words are combined by XOR and OR and tested once, so that the time of a refusal tells nothing about a single word.

use crate::asm::{Asm, Pos};
use crate::insn::opcode::{JEQ, LD_ABS, OR, SRC_X, TAX, XOR};
use crate::{Action, Insn, interpret};

/// May calls pass by cookie?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// No. The filter is the profile and nothing else.
    None,
    /// The calls of [`GATED_CALLS`], of the native ABI, pass if their arguments 3, 4 and 5 equal the cookie.
    LastCalls,
}

/// The calls that the gate admits.
pub const GATED_CALLS: [&str; 5] = ["read", "write", "execve", "exit_group", "seccomp"];

/// How many 32-bit words the cookie has.
pub const COOKIE_WORDS: u8 = 6;

/// What a cookie site holds before it is patched.
pub const UNPATCHED: u32 = u32::MAX;

/// A place in a program where a word of the cookie has to be put, as immediate operand, before the program is loaded.
/// Until then it holds [`UNPATCHED`], not zero: registers are zero in a new program, and a forgotten patch must not open
/// the gate to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CookieSite {
    /// Index of the instruction.
    pub insn: u16,
    /// Which word: 0 = low half of argument 3, 1 = its high half, … 5 = high half of argument 5.
    pub word: u8,
}

/// Emit the comparison. Control goes to `closed` with A undefined if the cookie is wrong. Returns where the block begins
/// and the positions of the patched instructions by word.
pub(crate) fn emit(asm: &mut Asm, closed: Pos) -> (Pos, Vec<(Pos, u8)>) {
    let open = asm.ret(Action::Allow.ret());
    let mut sites = Vec::with_capacity(usize::from(COOKIE_WORDS));
    // The program grows from its end: the last instruction first.
    let mut at = asm.branch(JEQ, 0, open, closed);
    for word in (0..COOKIE_WORDS).rev() {
        if word + 1 < COOKIE_WORDS {
            asm.push(Insn::stmt(TAX, 0));
        }
        if word > 0 {
            asm.push(Insn::stmt(OR | SRC_X, 0));
        }
        sites.push((asm.push(Insn::stmt(XOR, UNPATCHED)), word));
        at = asm.push(Insn::stmt(LD_ABS, interpret::arg_word(3, 0) + 4 * u32::from(word)));
    }
    (at, sites)
}
