//! Filters that somebody else compiled: read from bytes, walked exactly, and turned back into a [`Profile`].
//!
//! A seccomp filter has no loops and sees 64 bytes, so what it answers to *every* call can be computed, not sampled: a
//! [`Walk`] is that, whatever the program does with its registers. What cannot be decided within bounds is an error.

mod bitmap;
mod machine;
mod profile;
mod raw;
mod word;

pub use bitmap::on_bitmap;
use machine::{Answer, Machine};
pub use profile::ConvertError;
pub use raw::{MAX_RAW, RawError, read_raw, write_raw};

use crate::graph::{ARCH_TOP, Bit, Graph, IP_TOP, NR_TOP, Node, TooComplex, arg_top};
use crate::{Action, Arch, CheckError, Condition, Insn, SeccompData, check};

/// How many ranges of numbers a filter may tell apart.
const MAX_RANGES: usize = 1 << 16;

/// A program that cannot be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The kernel would refuse it.
    #[error("the kernel would refuse this filter: {0}")]
    Check(#[from] CheckError),
    /// It does things to its registers that take too long to follow.
    #[error("the filter cannot be walked: {0}")]
    TooComplex(#[from] TooComplex),
}

/// One way through a filter that a call can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Which arguments take it: all must hold.
    pub conditions: Vec<Condition>,
    /// The answer.
    pub action: Action,
    /// The value as it is returned; it may hold data that the action does not use.
    pub ret: u32,
    /// Index of the instruction that returns it.
    pub insn: usize,
    /// Whether this way is taken depends on the address that the call was made from as well.
    pub by_address: bool,
}

/// What a filter answers to every call.
#[derive(Debug)]
pub struct Walk {
    graph: Graph,
    root: Node,
    answers: Vec<Answer>,
}

impl Walk {
    /// Walk a program.
    ///
    /// # Errors
    ///
    /// [`WalkError`] if the kernel would refuse it, or it takes too long to follow.
    pub fn new(insns: &[Insn]) -> Result<Self, WalkError> {
        check(insns)?;
        let mut machine = Machine::new(insns);
        let root = machine.run()?;
        Ok(Self { graph: machine.graph, root, answers: machine.answers })
    }

    /// The answer to a call. The same as interpreting the program.
    #[must_use]
    pub fn action(&self, data: &SeccompData) -> Action {
        let set = |bit: Bit| {
            let word = |value: u64, top: Bit, bits: Bit| value >> (bits - 1 - (bit - top)) & 1 == 1;
            match bit {
                ARCH_TOP..NR_TOP => word(u64::from(data.arch), ARCH_TOP, 32),
                _ if bit < arg_top(0) => word(u64::from(data.nr), NR_TOP, 32),
                _ if bit < IP_TOP => {
                    let arg = (bit - arg_top(0)) / 64;
                    word(data.args[usize::from(arg)], arg_top(arg as u8), 64)
                }
                _ => word(data.instruction_pointer, IP_TOP, 64),
            }
        };
        self.answer(self.graph.follow(self.root, set))
            .map_or(Action::KillProcess, |answer| Action::from_ret(answer.ret))
    }

    /// Every way that calls with this number take (x32: without its bit). Together they cover all arguments.
    ///
    /// # Errors
    ///
    /// [`TooComplex`] if their conditions cannot be put into words within bounds.
    pub fn leaves(&mut self, arch: Arch, number: u32) -> Result<Vec<Leaf>, TooComplex> {
        self.graph.begin();
        let node = self.call(arch, number);
        let mut leaves = Vec::new();
        for region in self.graph.regions(node)? {
            let ends = self.graph.ends(region.to);
            let by_address = ends.len() > 1;
            for end in ends {
                let Some(answer) = self.answer(end) else { continue };
                leaves.push(Leaf {
                    conditions: region.conditions.clone(),
                    action: Action::from_ret(answer.ret),
                    ret: answer.ret,
                    insn: answer.at,
                    by_address,
                });
            }
        }
        Ok(leaves)
    }

    /// Ranges of numbers (as the kernel presents them, with the x32 bit) that a value of `seccomp_data.arch` treats alike.
    ///
    /// # Errors
    ///
    /// [`TooComplex`] if there are more than 65536.
    pub fn ranges(&mut self, audit: u32) -> Result<Vec<(u32, u32)>, TooComplex> {
        self.graph.begin();
        let node = self.graph.follow_until(self.root, NR_TOP, |bit| audit >> (NR_TOP - 1 - bit) & 1 == 1);
        let ranges = self.graph.ranges(node, NR_TOP)?;
        Ok(ranges.into_iter().map(|(first, last, _)| (first, last)).collect())
    }

    fn answer(&self, node: Node) -> Option<Answer> {
        self.answers.get(usize::try_from(node.answer()?).ok()?).copied()
    }

    /// What is left to ask once ABI and number are known.
    fn call(&self, arch: Arch, number: u32) -> Node {
        let data = arch.call(number, [0; 6]);
        self.graph.follow_until(self.root, arg_top(0), |bit| {
            if bit < NR_TOP { data.arch >> (31 - bit) & 1 == 1 } else { data.nr >> (63 - bit) & 1 == 1 }
        })
    }
}

impl Graph {
    /// Every end that a graph can come to.
    fn ends(&self, node: Node) -> Vec<Node> {
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            if seen.insert(node) && node.answer().is_none() {
                let (low, high) = self.ways(node, self.bit(node));
                waiting.extend([low, high]);
            }
        }
        seen.into_iter().filter(|node| node.answer().is_some()).collect()
    }

    /// The values of a 32-bit word in ranges that lead to one place: `(first, last, place)`.
    fn ranges(&mut self, node: Node, top: Bit) -> Result<Vec<(u32, u32, Node)>, TooComplex> {
        let mut out = Vec::new();
        self.ranges_below(node, top, top, 0, &mut out)?;
        Ok(out)
    }

    fn ranges_below(
        &mut self,
        node: Node,
        top: Bit,
        bit: Bit,
        first: u32,
        out: &mut Vec<(u32, u32, Node)>,
    ) -> Result<(), TooComplex> {
        self.step()?;
        if self.bit(node) >= top + 32 {
            let last = first | u32::MAX.checked_shr(u32::from(bit - top)).unwrap_or(0);
            match out.last_mut() {
                Some(before) if before.2 == node => before.1 = last,
                _ => out.push((first, last, node)),
            }
            return if out.len() > MAX_RANGES { Err(TooComplex) } else { Ok(()) };
        }
        let (low, high) = self.ways(node, bit);
        self.ranges_below(low, top, bit + 1, first, out)?;
        self.ranges_below(high, top, bit + 1, first | 1 << (31 - (bit - top)), out)
    }
}
