//! An assembler that works from the end of the program to its beginning.
//!
//! Classic BPF jumps forward only, and conditionally by at most 255 instructions. Emitting backwards means that every
//! target is known when a jump to it is made; one that is out of reach gets a long jump in between.

use crate::Insn;
use crate::insn::opcode::{JA, RET_K};

/// A place in the program: how many instructions were emitted before the one that stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pos(usize);

/// How far a conditional jump reaches, less room for the two instructions that [`Asm::branch`] may put in between.
const REACH: usize = 255 - 2;

#[derive(Debug, Default)]
pub(crate) struct Asm {
    /// Last instruction of the program first.
    reversed: Vec<Insn>,
    /// The youngest return instruction for each value.
    returns: Vec<(u32, Pos)>,
}

impl Asm {
    /// Put an instruction in front of everything emitted so far; it falls through to the youngest one.
    pub(crate) fn push(&mut self, insn: Insn) -> Pos {
        self.reversed.push(insn);
        Pos(self.reversed.len() - 1)
    }

    /// How many instructions a jump from the next instruction to `to` skips.
    fn distance(&self, to: Pos) -> usize {
        self.reversed.len() - to.0 - 1
    }

    /// A return of this value, within reach of the next instruction.
    pub(crate) fn ret(&mut self, value: u32) -> Pos {
        let known = self.returns.iter().position(|(v, _)| *v == value);
        if let Some(index) = known
            && self.distance(self.returns[index].1) <= REACH
        {
            return self.returns[index].1;
        }
        let pos = self.push(Insn::stmt(RET_K, value));
        match known {
            Some(index) => self.returns[index].1 = pos,
            None => self.returns.push((value, pos)),
        }
        pos
    }

    /// The same place, or something within reach that leads to it.
    fn near(&mut self, to: Pos) -> Pos {
        if self.distance(to) <= REACH {
            return to;
        }
        let target = self.reversed[to.0];
        if target.code == RET_K {
            return self.ret(target.k);
        }
        self.jump(to)
    }

    /// An unconditional jump.
    pub(crate) fn jump(&mut self, to: Pos) -> Pos {
        let distance = self.distance(to);
        // A program of more than 2^32 instructions does not fit into memory.
        self.push(Insn::stmt(JA, u32::try_from(distance).unwrap_or(u32::MAX)))
    }

    /// A conditional jump. Both targets may be anywhere.
    pub(crate) fn branch(&mut self, code: u16, k: u32, yes: Pos, no: Pos) -> Pos {
        if yes == no {
            return self.fall_to(yes);
        }
        let yes = self.near(yes);
        let no = self.near(no);
        // REACH leaves room for what `near` may have put in between.
        let skip = |asm: &Self, to| u8::try_from(asm.distance(to)).unwrap_or(u8::MAX);
        let (jt, jf) = (skip(self, yes), skip(self, no));
        self.push(Insn { code, jt, jf, k })
    }

    /// Something that falls through to `to`: `to` itself if it is the youngest instruction, else a jump.
    pub(crate) fn fall_to(&mut self, to: Pos) -> Pos {
        if self.distance(to) == 0 { to } else { self.jump(to) }
    }

    /// How many instructions there are.
    pub(crate) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// Where an instruction stands, counted from the beginning of the finished program.
    pub(crate) fn index(&self, pos: Pos) -> usize {
        self.distance(pos)
    }

    /// The program in execution order.
    pub(crate) fn finish(mut self) -> Vec<Insn> {
        self.reversed.reverse();
        self.reversed
    }
}
