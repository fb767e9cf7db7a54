//! From the model to classic BPF.
//!
//! Shape: architecture first, then a tree, balanced by what is run, over the system call number, then the conditions. A call that is
//! allowed whatever its arguments reaches its answer by looking at nothing but architecture and number: that is what
//! the kernel requires to answer it from its bitmap without running the filter. The kernel runs every number through
//! the filter when it is loaded, so the tree also decides what a start costs.

use crate::asm::{Asm, Pos};
use crate::condition::{Condition, Test, Width};
use crate::gate::{self, CookieSite, GATED_CALLS, Gate};
use crate::insn::opcode::{AND, JEQ, JGE, JGT, JSET, LD_ABS};
use crate::interpret::{ARCH, NR, arg_word};
use crate::{Action, Arch, Decision, Insn, Profile, Table, X32_BIT, lookup};

/// How many instructions the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The instructions.
    pub insns: Vec<Insn>,
    /// Where the words of the cookie have to be put; empty without a gate, and where the profile allows all the gated
    /// calls anyway.
    pub cookie: Vec<CookieSite>,
}

/// Why a profile cannot become a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Filters are compiled for a kernel's native architecture; the other ABIs are part of them.
    #[error("no filter can be compiled for {}: only for x86_64 and aarch64, which include their 32-bit ABIs", .0.name())]
    NotNative(Arch),
    /// The filter is longer than the kernel takes.
    #[error("the filter would have {0} instructions; the kernel takes {MAX_INSNS}")]
    TooLong(usize),
}

/// Compile a profile for kernels of this native architecture.
///
/// # Errors
///
/// [`CompileError`] if `native` is not one of [`Arch::NATIVE`], or the filter gets too long.
pub fn compile(profile: &Profile, native: Arch, gate: Gate) -> Result<Program, CompileError> {
    if !Arch::NATIVE.contains(&native) {
        return Err(CompileError::NotNative(native));
    }
    let mut compiler = Compiler { asm: Asm::default(), blocks: Vec::new() };
    let foreign = compiler.asm.ret(profile.foreign.ret());
    let mut sites = Vec::new();
    // Emitted backwards, so the native ABI, which comes first in a family, ends up next to the beginning.
    let mut chain = foreign;
    let mut groups: Vec<u32> = native.family().iter().map(|arch| arch.audit()).collect();
    groups.dedup();
    for audit in groups.into_iter().rev() {
        let segments = segments(profile, native, audit);
        let mut entry = compiler.numbers(&segments);
        if gate == Gate::LastCalls && audit == native.audit() {
            entry = compiler.gate(profile.table(native), native, entry, &mut sites);
        }
        compiler.asm.fall_to(entry);
        let entry = compiler.asm.push(Insn::stmt(LD_ABS, NR));
        chain = compiler.asm.branch(JEQ, audit, entry, chain);
    }
    compiler.asm.fall_to(chain);
    compiler.asm.push(Insn::stmt(LD_ABS, ARCH));

    let asm = compiler.asm;
    if asm.len() > MAX_INSNS {
        return Err(CompileError::TooLong(asm.len()));
    }
    let mut cookie: Vec<CookieSite> = sites
        .into_iter()
        .filter_map(|(pos, word)| u16::try_from(asm.index(pos)).ok().map(|insn| CookieSite { insn, word }))
        .collect();
    cookie.sort_unstable_by_key(|site| site.insn);
    Ok(Program { insns: asm.finish(), cookie })
}

/// What a range of numbers leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf<'a> {
    Return(Action),
    Decide(&'a Decision),
}

impl<'a> Leaf<'a> {
    fn of(decision: &'a Decision) -> Self {
        decision.unconditional().map_or(Self::Decide(decision), Self::Return)
    }
}

/// Calls that programs make often and whose arguments presets look at: where they have conditions, they stand near the root.
const HOT: [&str; 6] = ["ioctl", "sendto", "sendmsg", "prctl", "mmap", "mprotect"];

/// Numbers from `start` to the next segment's start.
struct Segment<'a> {
    start: u32,
    leaf: Leaf<'a>,
    weight: usize,
}

impl Segment<'_> {
    /// How much the way to it counts. Calls that are allowed whatever their arguments are answered from the kernel's bitmap without
    /// running the filter, so the way to those with conditions is the one to keep short.
    fn weigh(leaf: Leaf<'_>, hot: bool) -> usize {
        match leaf {
            Leaf::Return(_) => 1,
            Leaf::Decide(_) if hot => 64,
            Leaf::Decide(_) => 8,
        }
    }
}

/// The whole number space of one value of `seccomp_data.arch`, in ranges of equal treatment.
fn segments<'a>(profile: &'a Profile, native: Arch, audit: u32) -> Vec<Segment<'a>> {
    let mut out = Vec::with_capacity(512);
    for arch in native.family().iter().filter(|arch| arch.audit() == audit) {
        let (base, end) = match arch {
            Arch::X86_64 => (0, X32_BIT - 1),
            Arch::X32 => (X32_BIT, u32::MAX),
            _ => (0, u32::MAX),
        };
        match profile.table(*arch) {
            None => append(&mut out, base, Leaf::Return(profile.foreign), false),
            Some(table) => table_segments(&mut out, table, &hot(*arch), base, end),
        }
    }
    out
}

/// The numbers of the hot calls under an ABI.
fn hot(arch: Arch) -> Vec<u32> {
    HOT.iter().filter_map(|name| lookup(name)?.number(arch)).collect()
}

fn table_segments<'a>(out: &mut Vec<Segment<'a>>, table: &'a Table, hot: &[u32], base: u32, end: u32) {
    // The first number that has no segment yet; None when the space is used up.
    let mut next = Some(base);
    for (number, decision) in table.entries() {
        let Some(at) = number.checked_add(base).filter(|at| *at <= end) else { break };
        if let Some(from) = next
            && from < at
        {
            gap(out, table, base, from, at - 1);
        }
        append(out, at, Leaf::of(decision), hot.contains(&number));
        next = at.checked_add(1).filter(|n| *n <= end);
    }
    if let Some(from) = next {
        gap(out, table, base, from, end);
    }
}

/// Numbers `from..=to` have no entry.
fn gap(out: &mut Vec<Segment<'_>>, table: &Table, base: u32, from: u32, to: u32) {
    append(out, from, Leaf::Return(table.missing(from - base)), false);
    for (first, action) in table.steps() {
        if let Some(first) = first.checked_add(base)
            && from < first
            && first <= to
        {
            append(out, first, Leaf::Return(action), false);
        }
    }
}

/// Where to part the tree: with as much weight on either side.
fn middle(segments: &[Segment<'_>]) -> usize {
    let total: usize = segments.iter().map(|segment| segment.weight).sum();
    let mut before = 0;
    // The segment in the middle belongs to the lighter side.
    let half = segments.iter().position(|segment| {
        before += segment.weight;
        before * 2 >= total
    });
    half.map_or(1, |index| if before - segments[index].weight > total - before { index } else { index + 1 })
        .clamp(1, segments.len() - 1)
}

fn append<'a>(out: &mut Vec<Segment<'a>>, start: u32, leaf: Leaf<'a>, hot: bool) {
    if out.last().is_none_or(|last| last.leaf != leaf) {
        out.push(Segment { start, leaf, weight: Segment::weigh(leaf, hot) });
    }
}

/// A block of code that can be entered with more or less already in the accumulator.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// With anything in it.
    at: Pos,
    /// With the word at this offset in it.
    raw: Option<(u32, Pos)>,
    /// With the word at this offset, masked by this, in it.
    masked: Option<(u32, u32, Pos)>,
}

impl Entry {
    fn plain(at: Pos) -> Self {
        Self { at, raw: None, masked: None }
    }

    fn with(&self, offset: u32, mask: u32) -> Pos {
        if mask == u32::MAX {
            self.raw.filter(|(o, _)| *o == offset).map_or(self.at, |(_, pos)| pos)
        } else {
            self.masked.filter(|(o, m, _)| *o == offset && *m == mask).map_or(self.at, |(_, _, pos)| pos)
        }
    }
}

/// A test of one 32-bit word, after masking.
enum Word<'a> {
    Eq(u32),
    Gt(u32),
    Ge(u32),
    /// Any bit of the mask is set.
    Any,
    Among(&'a [u32]),
}

struct Compiler<'a> {
    asm: Asm,
    /// Code that was emitted for a decision already: equal decisions share it.
    blocks: Vec<(&'a Decision, Pos)>,
}

impl<'a> Compiler<'a> {
    /// The search tree; A holds the number.
    fn numbers(&mut self, segments: &[Segment<'a>]) -> Pos {
        // Conditions first, that is last in the program, so that the tree stays dense and its jumps short.
        for segment in segments {
            if let Leaf::Decide(decision) = segment.leaf {
                self.decision(decision);
            }
        }
        self.tree(segments)
    }

    fn tree(&mut self, segments: &[Segment<'a>]) -> Pos {
        match segments {
            // The space of numbers is never empty; the strictest answer if it were.
            [] => self.asm.ret(Action::KillProcess.ret()),
            [one] => match one.leaf {
                Leaf::Return(action) => self.asm.ret(action.ret()),
                Leaf::Decide(decision) => self.decision(decision),
            },
            many => {
                let (low, high) = many.split_at(middle(many));
                let above = self.tree(high);
                let below = self.tree(low);
                self.asm.branch(JGE, high[0].start, above, below)
            }
        }
    }

    fn gate(&mut self, table: Option<&Table>, native: Arch, tree: Pos, sites: &mut Vec<(Pos, u8)>) -> Pos {
        let gated: Vec<u32> = GATED_CALLS
            .iter()
            .filter_map(|name| lookup(name)?.number(native))
            .filter(|number| {
                let decision = table.and_then(|table| table.get(*number));
                decision.and_then(Decision::unconditional) != Some(Action::Allow)
                    && !(decision.is_none() && table.is_some_and(|t| t.missing(*number) == Action::Allow))
            })
            .collect();
        if gated.is_empty() {
            return tree;
        }
        let tree = self.asm.fall_to(tree);
        let closed = self.asm.push(Insn::stmt(LD_ABS, NR));
        let (block, mut patched) = gate::emit(&mut self.asm, closed);
        sites.append(&mut patched);
        gated.into_iter().rev().fold(tree, |next, number| self.asm.branch(JEQ, number, block, next))
    }

    fn decision(&mut self, decision: &'a Decision) -> Pos {
        if let Some((_, pos)) = self.blocks.iter().find(|(known, _)| *known == decision) {
            return *pos;
        }
        let mut next = Entry::plain(self.asm.ret(decision.otherwise.ret()));
        for clause in decision.clauses.iter().rev() {
            let mut yes = Entry::plain(self.asm.ret(clause.action.ret()));
            for condition in clause.conditions.iter().rev() {
                yes = self.condition(condition, yes, next);
            }
            next = yes;
        }
        self.blocks.push((decision, next.at));
        next.at
    }

    fn condition(&mut self, condition: &Condition, yes: Entry, no: Entry) -> Entry {
        let arg = condition.arg();
        let wide = condition.width() == Width::W64;
        match condition.test() {
            Test::Eq(v) => self.equal(arg, wide, u64::MAX, *v, yes, no),
            Test::Ne(v) => self.equal(arg, wide, u64::MAX, *v, no, yes),
            Test::Gt(v) => self.greater(arg, wide, *v, false, yes, no),
            Test::Ge(v) => self.greater(arg, wide, *v, true, yes, no),
            Test::Le(v) => self.greater(arg, wide, *v, false, no, yes),
            Test::Lt(v) => self.greater(arg, wide, *v, true, no, yes),
            Test::MaskedEq { mask, datum } => self.equal(arg, wide, *mask, *datum, yes, no),
            Test::MaskedNe { mask, datum } => self.equal(arg, wide, *mask, *datum, no, yes),
            Test::OneOf { mask, values } if wide => {
                values.iter().rev().fold(no, |next, value| self.equal(arg, true, *mask, *value, yes, next))
            }
            Test::OneOf { mask, values } => {
                let values: Vec<u32> = values.iter().map(|value| low(*value)).collect();
                self.word(arg_word(arg, 0), low(*mask), &Word::Among(&values), yes, no)
            }
        }
    }

    fn equal(&mut self, arg: u8, wide: bool, mask: u64, datum: u64, yes: Entry, no: Entry) -> Entry {
        let lower = self.equal_word(arg_word(arg, 0), low(mask), low(datum), yes, no);
        if wide { self.equal_word(arg_word(arg, 1), high(mask), high(datum), lower, no) } else { lower }
    }

    fn equal_word(&mut self, offset: u32, mask: u32, datum: u32, yes: Entry, no: Entry) -> Entry {
        if mask == 0 {
            yes
        } else if datum == 0 && mask != u32::MAX {
            self.word(offset, mask, &Word::Any, no, yes)
        } else {
            self.word(offset, mask, &Word::Eq(datum), yes, no)
        }
    }

    fn greater(&mut self, arg: u8, wide: bool, value: u64, or_equal: bool, yes: Entry, no: Entry) -> Entry {
        let test = if or_equal { Word::Ge(low(value)) } else { Word::Gt(low(value)) };
        let lower = self.word(arg_word(arg, 0), u32::MAX, &test, yes, no);
        if !wide {
            return lower;
        }
        let upper = arg_word(arg, 1);
        let same = self.word(upper, u32::MAX, &Word::Eq(high(value)), lower, no);
        self.word(upper, u32::MAX, &Word::Gt(high(value)), yes, same)
    }

    fn word(&mut self, offset: u32, mask: u32, test: &Word<'_>, yes: Entry, no: Entry) -> Entry {
        // JSET masks by itself and leaves the word in A untouched.
        let and = if matches!(test, Word::Any) { u32::MAX } else { mask };
        let (yes, no) = (yes.with(offset, and), no.with(offset, and));
        let core = match test {
            Word::Eq(v) => self.asm.branch(JEQ, *v, yes, no),
            Word::Gt(v) => self.asm.branch(JGT, *v, yes, no),
            Word::Ge(v) => self.asm.branch(JGE, *v, yes, no),
            Word::Any => self.asm.branch(JSET, mask, yes, no),
            Word::Among(values) => self.among(values, yes, no),
        };
        let core = self.asm.fall_to(core);
        let (raw, masked) = if and == u32::MAX {
            (core, None)
        } else {
            (self.asm.push(Insn::stmt(AND, and)), Some((offset, and, core)))
        };
        let at = self.asm.push(Insn::stmt(LD_ABS, offset));
        Entry { at, raw: Some((offset, raw)), masked }
    }

    /// A holds the value; the list is sorted.
    fn among(&mut self, values: &[u32], yes: Pos, no: Pos) -> Pos {
        if values.len() <= 3 {
            return values.iter().rev().fold(no, |next, value| self.asm.branch(JEQ, *value, yes, next));
        }
        let (lower, upper) = values.split_at(values.len() / 2);
        let above = self.among(upper, yes, no);
        let below = self.among(lower, yes, no);
        self.asm.branch(JGE, upper[0], above, below)
    }
}

const fn low(value: u64) -> u32 {
    value as u32
}

const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
