//! Decision graphs over the bits of a call, the exact half of the algebra.
//!
//! A graph asks one bit after the other, always in the same order, and ends in an answer (a multi-terminal binary
//! decision diagram). Equal questions with equal ends are one node, so two graphs mean the same exactly if they are the
//! same node: equality costs nothing, a difference is a path, and a path is an example. Comparing and masking a value
//! needs one node a bit, because the order is that of comparing: from the top bit down.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::{Condition, Test, Width};

/// How many steps one question to a graph may take: far more than any profile that a person wrote needs, and a fraction of a second of work.
const MAX_STEPS: u32 = 1_000_000;
/// How many nodes one graph may have.
const MAX_NODES: usize = 1 << 19;

/// How many tests are remembered.
const MAX_LANDMARKS: usize = 512;

/// The question is answerable, but not within the bounds that keep an answer quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conditions are too entangled to be decided within {MAX_STEPS} steps")]
pub struct TooComplex;

pub(crate) type Result<T> = std::result::Result<T, TooComplex>;

/// A place in a [`Graph`]: an end, or a question about one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node(u32);

const END: u32 = 1 << 31;

impl Node {
    pub(crate) const NO: Self = Self(END);
    pub(crate) const YES: Self = Self(END | 1);

    /// An end with this answer, below 2^31.
    pub(crate) const fn end(answer: u32) -> Self {
        Self(END | answer)
    }

    /// The answer, if this is an end.
    pub(crate) const fn answer(self) -> Option<u32> {
        if self.0 & END == 0 { None } else { Some(self.0 & !END) }
    }
}

/// Bits in the order in which they are asked: architecture, number, six arguments, instruction pointer, each from its top
/// bit down.
pub(crate) type Bit = u16;

pub(crate) const ARCH_TOP: Bit = 0;
pub(crate) const NR_TOP: Bit = 32;
pub(crate) const IP_TOP: Bit = 64 + 6 * 64;
const PAST_ALL: Bit = IP_TOP + 64;

/// The top bit of an argument.
pub(crate) const fn arg_top(arg: u8) -> Bit {
    64 + 64 * arg as Bit
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    bit: Bit,
    low: Node,
    high: Node,
}

/// Multiplies and folds: the keys are small numbers that nobody chooses to collide, and there are many of them.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

#[derive(Debug, Default)]
pub(crate) struct Graph {
    questions: Vec<Question>,
    known: Map<Question, Node>,
    choices: Map<(Node, Node, Node), Node>,
    steps: u32,
    /// The tests that the graph was made of: the words in which it can be described.
    landmarks: Vec<Node>,
}

impl Graph {
    /// Remember a test, for describing sets of values later on.
    pub(crate) fn landmark(&mut self, node: Node) {
        if node.answer().is_none() && self.landmarks.len() < MAX_LANDMARKS && !self.landmarks.contains(&node) {
            self.landmarks.push(node);
        }
    }

    /// The tests remembered.
    pub(crate) fn landmarks(&self) -> &[Node] {
        &self.landmarks
    }

    /// A new question: its steps are counted from here on. What the graph has learned stays, and its size is bounded for
    /// all questions together.
    pub(crate) fn begin(&mut self) {
        self.steps = 0;
    }

    /// Count one step of work.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.questions.len() >= MAX_NODES { Err(TooComplex) } else { Ok(()) }
    }

    fn question(&self, node: Node) -> Option<Question> {
        self.questions.get(usize::try_from(node.0).ok()?).copied()
    }

    /// Which bit a node asks for; [`PAST_ALL`] for an end.
    pub(crate) fn bit(&self, node: Node) -> Bit {
        self.question(node).map_or(PAST_ALL, |question| question.bit)
    }

    /// Where the answer to `bit` leads from here: `(if clear, if set)`.
    pub(crate) fn ways(&self, node: Node, bit: Bit) -> (Node, Node) {
        match self.question(node) {
            Some(question) if question.bit == bit => (question.low, question.high),
            _ => (node, node),
        }
    }

    /// The node that asks for a bit. Both ways lead to later bits only.
    pub(crate) fn ask(&mut self, bit: Bit, low: Node, high: Node) -> Result<Node> {
        if low == high {
            return Ok(low);
        }
        let question = Question { bit, low, high };
        if let Some(node) = self.known.get(&question) {
            return Ok(*node);
        }
        self.step()?;
        let node = Node(u32::try_from(self.questions.len()).map_err(|_| TooComplex)?);
        self.questions.push(question);
        self.known.insert(question, node);
        Ok(node)
    }

    /// `yes` where the condition holds, else `no`.
    pub(crate) fn choose(&mut self, condition: Node, yes: Node, no: Node) -> Result<Node> {
        match condition {
            Node::YES => return Ok(yes),
            Node::NO => return Ok(no),
            _ if yes == no => return Ok(yes),
            _ if yes == Node::YES && no == Node::NO => return Ok(condition),
            _ => {}
        }
        let key = (condition, yes, no);
        if let Some(node) = self.choices.get(&key) {
            return Ok(*node);
        }
        self.step()?;
        let bit = self.bit(condition).min(self.bit(yes)).min(self.bit(no));
        let (c, y, n) = (self.ways(condition, bit), self.ways(yes, bit), self.ways(no, bit));
        let low = self.choose(c.0, y.0, n.0)?;
        let high = self.choose(c.1, y.1, n.1)?;
        let node = self.ask(bit, low, high)?;
        self.choices.insert(key, node);
        Ok(node)
    }

    pub(crate) fn not(&mut self, a: Node) -> Result<Node> {
        self.choose(a, Node::NO, Node::YES)
    }

    pub(crate) fn and(&mut self, a: Node, b: Node) -> Result<Node> {
        self.choose(a, b, Node::NO)
    }

    pub(crate) fn or(&mut self, a: Node, b: Node) -> Result<Node> {
        self.choose(a, Node::YES, b)
    }

    /// Something simpler that is the same as `node` where `care` holds.
    pub(crate) fn restrict(&mut self, node: Node, care: Node, done: &mut Map<(Node, Node), Node>) -> Result<Node> {
        if care == Node::YES || care == Node::NO || node.answer().is_some() {
            return Ok(node);
        }
        if let Some(known) = done.get(&(node, care)) {
            return Ok(*known);
        }
        self.step()?;
        let (bit, asked) = (self.bit(node), self.bit(care));
        let (low, high) = self.ways(care, asked);
        let result = if asked < bit {
            let either = self.or(low, high)?;
            self.restrict(node, either, done)?
        } else {
            let (low, high) = self.ways(care, bit);
            let (clear, set) = self.ways(node, bit);
            if low == Node::NO {
                self.restrict(set, high, done)?
            } else if high == Node::NO {
                self.restrict(clear, low, done)?
            } else {
                let clear = self.restrict(clear, low, done)?;
                let set = self.restrict(set, high, done)?;
                self.ask(bit, clear, set)?
            }
        };
        done.insert((node, care), result);
        Ok(result)
    }

    /// Both graphs at once: every pair of ends becomes the end that `answer` makes of it.
    pub(crate) fn zip(&mut self, a: Node, b: Node, answer: &mut dyn FnMut(u32, u32) -> u32) -> Result<Node> {
        self.zipped(a, b, answer, &mut Map::default())
    }

    fn zipped(
        &mut self,
        a: Node,
        b: Node,
        answer: &mut dyn FnMut(u32, u32) -> u32,
        done: &mut Map<(Node, Node), Node>,
    ) -> Result<Node> {
        if let (Some(a), Some(b)) = (a.answer(), b.answer()) {
            return Ok(Node::end(answer(a, b)));
        }
        if let Some(node) = done.get(&(a, b)) {
            return Ok(*node);
        }
        self.step()?;
        let bit = self.bit(a).min(self.bit(b));
        let (x, y) = (self.ways(a, bit), self.ways(b, bit));
        let low = self.zipped(x.0, y.0, answer, done)?;
        let high = self.zipped(x.1, y.1, answer, done)?;
        let node = self.ask(bit, low, high)?;
        done.insert((a, b), node);
        Ok(node)
    }

    /// The same graph with other ends.
    pub(crate) fn map(&mut self, node: Node, answer: &mut dyn FnMut(u32) -> u32) -> Result<Node> {
        self.zip(node, Node::NO, &mut |a, _| answer(a))
    }

    /// The bits of `value` that are in `mask`, the top one asked at `top`, are those of `datum`.
    pub(crate) fn masked(&mut self, top: Bit, mask: u64, datum: u64) -> Result<Node> {
        let mut node = Node::YES;
        for place in (0..64u16).filter(|place| mask >> place & 1 == 1) {
            let bit = top + 63 - place;
            node =
                if datum >> place & 1 == 1 { self.ask(bit, Node::NO, node)? } else { self.ask(bit, node, Node::NO)? };
        }
        Ok(node)
    }

    /// The low bits, as many as the width has, are at least `value`, or greater.
    pub(crate) fn above(&mut self, top: Bit, width: Width, value: u64, or_equal: bool) -> Result<Node> {
        let mut node = if or_equal { Node::YES } else { Node::NO };
        for place in (0..64u16).filter(|place| width.mask() >> place & 1 == 1) {
            let bit = top + 63 - place;
            node =
                if value >> place & 1 == 1 { self.ask(bit, Node::NO, node)? } else { self.ask(bit, node, Node::YES)? };
        }
        Ok(node)
    }

    /// Where a condition holds.
    pub(crate) fn condition(&mut self, condition: &Condition) -> Result<Node> {
        let node = self.test(condition)?;
        self.landmark(node);
        Ok(node)
    }

    fn test(&mut self, condition: &Condition) -> Result<Node> {
        let (top, width) = (arg_top(condition.arg()), condition.width());
        match condition.test() {
            Test::Eq(v) => self.masked(top, width.mask(), *v),
            Test::Ne(v) => {
                let equal = self.masked(top, width.mask(), *v)?;
                self.not(equal)
            }
            Test::Ge(v) => self.above(top, width, *v, true),
            Test::Gt(v) => self.above(top, width, *v, false),
            Test::Lt(v) => {
                let above = self.above(top, width, *v, true)?;
                self.not(above)
            }
            Test::Le(v) => {
                let above = self.above(top, width, *v, false)?;
                self.not(above)
            }
            Test::MaskedEq { mask, datum } => self.masked(top, *mask, *datum),
            Test::MaskedNe { mask, datum } => {
                let equal = self.masked(top, *mask, *datum)?;
                self.not(equal)
            }
            Test::OneOf { mask, values } => {
                let mut any = Node::NO;
                for value in values {
                    let one = self.masked(top, *mask, *value)?;
                    any = self.or(one, any)?;
                }
                Ok(any)
            }
        }
    }

    /// Where all of them hold.
    pub(crate) fn all<'a>(&mut self, conditions: impl IntoIterator<Item = &'a Condition>) -> Result<Node> {
        let mut all = Node::YES;
        for condition in conditions {
            let one = self.condition(condition)?;
            all = self.and(one, all)?;
        }
        Ok(all)
    }

    /// Follow the bits that `set` tells, down to an end.
    pub(crate) fn follow(&self, mut node: Node, set: impl Fn(Bit) -> bool) -> Node {
        while let Some(question) = self.question(node) {
            node = if set(question.bit) { question.high } else { question.low };
        }
        node
    }

    /// The same as [`Graph::follow`], for bits before `until` only.
    pub(crate) fn follow_until(&self, mut node: Node, until: Bit, set: impl Fn(Bit) -> bool) -> Node {
        while let Some(question) = self.question(node).filter(|question| question.bit < until) {
            node = if set(question.bit) { question.high } else { question.low };
        }
        node
    }
}
