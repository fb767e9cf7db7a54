//! Filters as text: instructions in the kernel's assembler notation, with what they mean beside them.
//!
//! ```text
//!        ld [4]                          ; architecture
//!        jeq #0xc000003e, l2, l6         ; x86_64
//! l2:    ld [0]                          ; number
//! ```

use std::fmt::{self, Write as _};

use crate::insn::opcode as op;
use crate::interpret::{ARCH, NR};
use crate::{Action, Arch, Insn, X32_BIT, arguments, name_of};

/// One instruction as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its index in the program.
    pub index: usize,
    /// Does any jump lead here? Then its label is `l` and the index.
    pub target: bool,
    /// The instruction.
    pub text: String,
    /// What it loads, compares with or returns; may be empty.
    pub comment: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = if self.target { format!("l{}:", self.index) } else { String::new() };
        if self.comment.is_empty() {
            write!(f, "{label:<7}{}", self.text)
        } else {
            write!(f, "{label:<7}{:<31} ; {}", self.text, self.comment)
        }
    }
}

/// Every instruction of a program as text. Takes programs that the kernel would refuse as well: then some lines say so.
#[must_use]
pub fn disassemble(insns: &[Insn]) -> Vec<Line> {
    let mut lines = Vec::with_capacity(insns.len());
    // What is known when control comes to an instruction; None: it does not come there.
    let mut known: Vec<Option<Known>> = vec![None; insns.len()];
    if let Some(first) = known.first_mut() {
        *first = Some(Known::default());
    }
    let mut target = vec![false; insns.len()];
    for (index, insn) in insns.iter().enumerate() {
        let here = known[index];
        let comment = here.map_or_else(|| "never reached".to_owned(), |here| here.comment(insn));
        lines.push(Line { index, target: false, text: text(insn, index), comment });
        let Some(here) = here else { continue };
        for (to, then) in here.after(insn, index) {
            if let Some(slot) = known.get_mut(to) {
                *slot = Some(slot.map_or(then, |before| before.either(then)));
            }
        }
        for to in targets(insn, index) {
            if let Some(slot) = target.get_mut(to) {
                *slot = true;
            }
        }
    }
    for (line, target) in lines.iter_mut().zip(target) {
        line.target = target;
    }
    lines
}

fn is_branch(insn: &Insn) -> bool {
    matches!(insn.code & !op::SRC_X, op::JEQ | op::JGT | op::JGE | op::JSET)
}

fn targets(insn: &Insn, index: usize) -> Vec<usize> {
    let skip = |skip: usize| index.saturating_add(1).saturating_add(skip);
    match insn.code {
        op::JA => vec![skip(usize::try_from(insn.k).unwrap_or(usize::MAX))],
        _ if is_branch(insn) => vec![skip(usize::from(insn.jt)), skip(usize::from(insn.jf))],
        _ => Vec::new(),
    }
}

fn text(insn: &Insn, index: usize) -> String {
    let k = insn.k;
    let to = targets(insn, index);
    let operand = if insn.code & op::SRC_X == 0 { format!("#{k:#x}") } else { "x".to_owned() };
    let plain = |name: &str| name.to_owned();
    match insn.code {
        op::LD_ABS => format!("ld [{k}]"),
        op::LD_IMM => format!("ld #{k:#x}"),
        op::LD_LEN => plain("ld len"),
        op::LD_MEM => format!("ld M[{k}]"),
        op::LDX_IMM => format!("ldx #{k:#x}"),
        op::LDX_LEN => plain("ldx len"),
        op::LDX_MEM => format!("ldx M[{k}]"),
        op::ST => format!("st M[{k}]"),
        op::STX => format!("stx M[{k}]"),
        op::TAX => plain("tax"),
        op::TXA => plain("txa"),
        op::NEG => plain("neg"),
        op::RET_K => format!("ret #{k:#x}"),
        op::RET_A => plain("ret a"),
        op::JA => format!("jmp l{}", to[0]),
        code => {
            let name = match code & !op::SRC_X {
                op::ADD => "add",
                op::SUB => "sub",
                op::MUL => "mul",
                op::DIV => "div",
                op::OR => "or",
                op::AND => "and",
                op::XOR => "xor",
                op::LSH => "lsh",
                op::RSH => "rsh",
                op::JEQ => "jeq",
                op::JGT => "jgt",
                op::JGE => "jge",
                op::JSET => "jset",
                _ => return format!(".word {code:#06x}, {}, {}, {k:#x}", insn.jt, insn.jf),
            };
            match to[..] {
                [yes, no] => format!("{name} {operand}, l{yes}, l{no}"),
                _ => format!("{name} {operand}"),
            }
        }
    }
}

/// What is certain when control comes to an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Which word of the data A holds as it was loaded.
    a: Option<u32>,
    /// The value of `seccomp_data.arch`.
    arch: Option<u32>,
    /// The smallest and the largest number that come here.
    numbers: (u32, u32),
}

impl Default for Known {
    fn default() -> Self {
        Self { a: None, arch: None, numbers: (0, u32::MAX) }
    }
}

impl Known {
    fn either(self, other: Self) -> Self {
        Self {
            a: self.a.filter(|a| other.a == Some(*a)),
            arch: self.arch.filter(|arch| other.arch == Some(*arch)),
            numbers: (self.numbers.0.min(other.numbers.0), self.numbers.1.max(other.numbers.1)),
        }
    }

    /// Where control goes from here, and what is known there.
    fn after(self, insn: &Insn, index: usize) -> Vec<(usize, Self)> {
        let next = index + 1;
        match insn.code {
            op::LD_ABS => vec![(next, Self { a: Some(insn.k), ..self })],
            op::RET_K | op::RET_A => Vec::new(),
            op::LDX_IMM | op::LDX_LEN | op::LDX_MEM | op::ST | op::STX | op::TAX => vec![(next, self)],
            op::JA => targets(insn, index).into_iter().map(|to| (to, self)).collect(),
            _ if is_branch(insn) => {
                let ways = [self.compared(insn, true), self.compared(insn, false)];
                targets(insn, index).into_iter().zip(ways).filter_map(|(to, known)| Some((to, known?))).collect()
            }
            _ => vec![(next, Self { a: None, ..self })],
        }
    }

    /// What a comparison tells; `None` if no call goes this way.
    fn compared(mut self, insn: &Insn, holds: bool) -> Option<Self> {
        let k = insn.k;
        match (insn.code, self.a) {
            (op::JEQ, Some(ARCH)) if holds => {
                if self.arch.is_some_and(|arch| arch != k) {
                    return None;
                }
                self.arch = Some(k);
            }
            (op::JEQ | op::JGT | op::JGE, Some(NR)) => {
                let (first, last) = self.numbers;
                let (from, to) = match (insn.code, holds) {
                    (op::JEQ, true) => (k, k),
                    (op::JEQ, false) if k == first => (first.checked_add(1)?, last),
                    (op::JEQ, false) if k == last => (first, last.checked_sub(1)?),
                    (op::JEQ, false) => (first, last),
                    (op::JGE, true) => (k, u32::MAX),
                    (op::JGE, false) => (0, k.checked_sub(1)?),
                    (_, true) => (k.checked_add(1)?, u32::MAX),
                    (_, false) => (0, k),
                };
                self.numbers = (first.max(from), last.min(to));
                if self.numbers.0 > self.numbers.1 {
                    return None;
                }
            }
            _ => {}
        }
        Some(self)
    }

    fn comment(self, insn: &Insn) -> String {
        match (insn.code, self.a) {
            (op::LD_ABS, _) => self.loads(insn.k),
            (op::RET_K, _) => returns(insn.k),
            (op::JEQ, Some(ARCH)) => {
                Arch::ALL.into_iter().find(|arch| arch.audit() == insn.k).map_or("", Arch::name).to_owned()
            }
            (op::JEQ | op::JGE | op::JGT, Some(NR)) => self.call(insn.k).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// What a number means where only one architecture comes here.
    fn call(self, number: u32) -> Option<String> {
        let arch = Arch::ALL.into_iter().find(|arch| Some(arch.audit()) == self.arch)?;
        if arch != Arch::X86_64 || number < X32_BIT {
            return name_of(arch, number).map(str::to_owned);
        }
        match number {
            X32_BIT => Some("x32".to_owned()),
            _ => name_of(Arch::X32, number - X32_BIT).map(|name| format!("{name} (x32)")),
        }
    }

    fn loads(self, offset: u32) -> String {
        let half = if offset.is_multiple_of(8) { "low" } else { "high" };
        match offset {
            NR => "number".to_owned(),
            ARCH => "architecture".to_owned(),
            8 | 12 => format!("instruction pointer, {half} half"),
            16..64 => {
                let place = (offset - 16) / 8;
                let mut text = format!("argument {place}, {half} half");
                if self.numbers.0 == self.numbers.1
                    && let Some(call) = self.call(self.numbers.0)
                {
                    let arch = Arch::ALL.into_iter().find(|arch| Some(arch.audit()) == self.arch);
                    let list = arch.map_or(&[][..], |arch| arguments::of(arch, &call));
                    let argument = usize::try_from(place).ok().and_then(|place| list.get(place));
                    let _ = match argument {
                        Some(argument) => write!(text, ": {call}, {}", argument.name),
                        None => write!(text, ": {call}"),
                    };
                }
                text
            }
            _ => String::new(),
        }
    }
}

fn returns(ret: u32) -> String {
    match Action::from_ret(ret) {
        Action::Allow => "allow".to_owned(),
        Action::Log => "log".to_owned(),
        Action::Trace(data) => format!("trace {data}"),
        Action::Notify => "notify".to_owned(),
        Action::Errno(errno) => format!("errno {errno}"),
        Action::Trap => "trap".to_owned(),
        Action::KillThread => "kill thread".to_owned(),
        Action::KillProcess => "kill process".to_owned(),
    }
}
