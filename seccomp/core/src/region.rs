//! From decision graphs back to conditions that a person can read.
//!
//! A graph is taken apart argument by argument. What leads from one argument's bits to one place is a set of values; it is
//! named by the simplest test that is *the same node*, so a name that fits is exact, and where none fits the set is
//! written as the bit patterns that it consists of.

use std::collections::BTreeSet;

use crate::condition::ARGS;
use crate::graph::{Bit, Graph, Map, Node, Result, TooComplex, arg_top};
use crate::{Action, Clause, Condition, Decision, Test, Width};

/// How many alternatives one set of values may need.
const MAX_ALTERNATIVES: usize = 512;
/// How many values are listed rather than described.
const MAX_LISTED: u128 = 64;
/// How many exceptions a description may have.
const MAX_EXCEPTIONS: u128 = 8;

/// Conditions that must all hold, and where that leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) conditions: Vec<Condition>,
    /// An end, or a question about the instruction pointer.
    pub(crate) to: Node,
}

impl Graph {
    /// Everything that a graph over the arguments tells apart, each with its full conditions. Together they cover every
    /// call, and no two cover the same.
    pub(crate) fn regions(&mut self, node: Node) -> Result<Vec<Region>> {
        let mut regions = Vec::new();
        self.regions_from(node, &mut Vec::new(), &mut regions)?;
        Ok(regions)
    }

    fn regions_from(&mut self, node: Node, so_far: &mut Vec<Condition>, out: &mut Vec<Region>) -> Result<()> {
        let Some(arg) = self.next_arg(node) else {
            out.push(Region { conditions: so_far.clone(), to: node });
            return if out.len() > MAX_ALTERNATIVES * 16 { Err(TooComplex) } else { Ok(()) };
        };
        for (next, values) in self.partition(node, arg)? {
            for alternative in self.describe(values, arg)? {
                let before = so_far.len();
                so_far.extend(alternative);
                self.regions_from(next, so_far, out)?;
                so_far.truncate(before);
            }
        }
        Ok(())
    }

    /// The shortest list of clauses that means this graph, whose ends are codes of actions.
    pub(crate) fn decision(&mut self, node: Node) -> Result<Decision> {
        let Some(arg) = self.next_arg(node) else {
            let code = node.answer().ok_or(TooComplex)?;
            return Ok(Decision::always(Action::from_code(code)));
        };
        let mut parts = Vec::new();
        for (next, values) in self.partition(node, arg)? {
            let alternatives = self.describe(values, arg)?;
            let words: usize = alternatives.iter().map(|all| all.len().max(1)).sum();
            parts.push((words, self.count(values, arg)?, alternatives, next));
        }
        // What takes most words, or else most values, is left for "otherwise".
        parts.sort_by_key(|(words, count, ..)| (*words, *count));
        let mut decision = match parts.pop() {
            Some((.., rest)) => self.decision(rest)?,
            None => return Err(TooComplex),
        };
        let mut clauses = Vec::new();
        for (_, _, alternatives, next) in parts {
            let inner = self.decision(next)?;
            for conditions in alternatives {
                for clause in &inner.clauses {
                    let conditions = conditions.iter().chain(&clause.conditions).cloned().collect();
                    clauses.push(Clause { conditions, action: clause.action });
                }
                clauses.push(Clause { conditions, action: inner.otherwise });
                if clauses.len() > MAX_ALTERNATIVES {
                    return Err(TooComplex);
                }
            }
        }
        clauses.append(&mut decision.clauses);
        // What ends like the rest needs no clause.
        while clauses.last().is_some_and(|last| last.action == decision.otherwise) {
            clauses.pop();
        }
        Ok(Decision { clauses, otherwise: decision.otherwise })
    }

    /// The first argument that a graph asks about.
    fn next_arg(&self, node: Node) -> Option<u8> {
        let bit = self.bit(node);
        (0..ARGS as u8).find(|arg| (arg_top(*arg)..arg_top(*arg) + 64).contains(&bit))
    }

    /// Where the values of an argument lead, and which values lead there.
    fn partition(&mut self, node: Node, arg: u8) -> Result<Vec<(Node, Node)>> {
        let past = arg_top(arg) + 64;
        let mut places = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            if !seen.insert(node) {
                continue;
            }
            self.step()?;
            let bit = self.bit(node);
            if bit >= past {
                places.insert(node);
            } else {
                let (low, high) = self.ways(node, bit);
                waiting.extend([low, high]);
            }
        }
        if places.len() > MAX_ALTERNATIVES {
            return Err(TooComplex);
        }
        let mut parts = Vec::with_capacity(places.len());
        for place in places {
            parts.push((place, self.leading_to(node, place, past, &mut Map::default())?));
        }
        Ok(parts)
    }

    fn leading_to(&mut self, node: Node, place: Node, past: Bit, done: &mut Map<Node, Node>) -> Result<Node> {
        let bit = self.bit(node);
        if bit >= past {
            return Ok(if node == place { Node::YES } else { Node::NO });
        }
        if let Some(known) = done.get(&node) {
            return Ok(*known);
        }
        self.step()?;
        let (low, high) = self.ways(node, bit);
        let low = self.leading_to(low, place, past, done)?;
        let high = self.leading_to(high, place, past, done)?;
        let result = self.ask(bit, low, high)?;
        done.insert(node, result);
        Ok(result)
    }

    /// The bits of an argument that a set of its values depends on.
    fn support(&mut self, values: Node, arg: u8) -> Result<u64> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![values];
        let mut support = 0;
        while let Some(node) = waiting.pop() {
            if node.answer().is_none() && seen.insert(node) {
                self.step()?;
                let bit = self.bit(node);
                support |= 1u64 << (arg_top(arg) + 63 - bit);
                let (low, high) = self.ways(node, bit);
                waiting.extend([low, high]);
            }
        }
        Ok(support)
    }

    /// How many values there are.
    fn count(&mut self, values: Node, arg: u8) -> Result<u128> {
        fn below(graph: &mut Graph, node: Node, from: Bit, past: Bit, done: &mut Map<Node, u128>) -> Result<u128> {
            let bit = graph.bit(node).min(past);
            let here = match (node, done.get(&node)) {
                (Node::YES, _) => 1,
                (_, Some(known)) => *known,
                _ if bit == past => 0,
                _ => {
                    graph.step()?;
                    let (low, high) = graph.ways(node, bit);
                    let sum = below(graph, low, bit + 1, past, done)? + below(graph, high, bit + 1, past, done)?;
                    done.insert(node, sum);
                    sum
                }
            };
            Ok(here << (bit - from))
        }
        below(self, values, arg_top(arg), arg_top(arg) + 64, &mut Map::default())
    }

    /// The smallest value of a set, or the largest.
    fn extreme(&self, values: Node, arg: u8, largest: bool) -> u64 {
        let mut value = 0;
        let mut node = values;
        for bit in arg_top(arg)..arg_top(arg) + 64 {
            let (low, high) = self.ways(node, bit);
            let (wanted, other) = if largest { (high, low) } else { (low, high) };
            let set = if wanted == Node::NO { !largest } else { largest };
            node = if wanted == Node::NO { other } else { wanted };
            value |= u64::from(set) << (arg_top(arg) + 63 - bit);
        }
        value
    }

    /// A set of values of one argument as alternatives of conditions, no two of which overlap.
    fn describe(&mut self, values: Node, arg: u8) -> Result<Vec<Vec<Condition>>> {
        let mut tests = Vec::new();
        if self.in_words(values, arg)?.is_none() {
            // The words of whoever wrote the conditions, as far as they are about this argument.
            for test in self.landmarks().to_vec() {
                if !self.is_about(test, arg)? {
                    continue;
                }
                let not = self.not(test)?;
                if let (Some(yes), Some(no)) = (self.in_words(test, arg)?, self.in_words(not, arg)?) {
                    tests.push((test, yes, no));
                }
            }
        }
        let mut alternatives = Vec::new();
        self.describe_in(values, Node::YES, arg, &tests, &mut Vec::new(), &mut alternatives)?;
        Ok(alternatives)
    }

    /// The part of a set that is in `care`, given that a value is in `care`, which `so_far` says already.
    fn describe_in(
        &mut self,
        values: Node,
        care: Node,
        arg: u8,
        tests: &[(Node, Vec<Condition>, Vec<Condition>)],
        so_far: &mut Vec<Condition>,
        out: &mut Vec<Vec<Condition>>,
    ) -> Result<()> {
        if values == Node::NO {
            return Ok(());
        }
        if out.len() > MAX_ALTERNATIVES {
            return Err(TooComplex);
        }
        let simpler = self.restrict(values, care, &mut Map::default())?;
        if let Some(words) = self.in_words(simpler, arg)? {
            out.push(so_far.iter().cloned().chain(words).collect());
            return Ok(());
        }
        let Some(((test, yes, no), rest)) = tests.split_first() else {
            let mut patterns = Vec::new();
            self.patterns(simpler, arg, 0, 0, &mut patterns)?;
            out.extend(patterns.into_iter().map(|one| so_far.iter().cloned().chain([one]).collect::<Vec<_>>()));
            return Ok(());
        };
        let (with, without) = (self.and(care, *test)?, self.without(care, *test)?);
        if with == Node::NO || without == Node::NO {
            return self.describe_in(values, care, arg, rest, so_far, out);
        }
        let before = so_far.len();
        for (side, words) in [(with, yes), (without, no)] {
            let part = self.and(values, side)?;
            so_far.extend(words.iter().cloned());
            self.describe_in(part, side, arg, rest, so_far, out)?;
            so_far.truncate(before);
        }
        Ok(())
    }

    /// Does a test ask about bits of this argument only?
    fn is_about(&mut self, test: Node, arg: u8) -> Result<bool> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![test];
        while let Some(node) = waiting.pop() {
            if node.answer().is_none() && seen.insert(node) {
                self.step()?;
                let bit = self.bit(node);
                if !(arg_top(arg)..arg_top(arg) + 64).contains(&bit) {
                    return Ok(false);
                }
                let (low, high) = self.ways(node, bit);
                waiting.extend([low, high]);
            }
        }
        Ok(true)
    }

    /// Every path to YES is a bit pattern.
    fn patterns(&self, node: Node, arg: u8, mask: u64, datum: u64, out: &mut Vec<Condition>) -> Result<()> {
        if node == Node::YES {
            out.extend(equal(arg, mask, datum));
            return if out.len() > MAX_ALTERNATIVES { Err(TooComplex) } else { Ok(()) };
        }
        if node == Node::NO {
            return Ok(());
        }
        let bit = self.bit(node);
        let (low, high) = self.ways(node, bit);
        let this = 1u64 << (arg_top(arg) + 63 - bit);
        self.patterns(low, arg, mask | this, datum, out)?;
        self.patterns(high, arg, mask | this, datum | this, out)
    }

    /// A set of values as one conjunction, if one of the forms fits exactly.
    fn in_words(&mut self, values: Node, arg: u8) -> Result<Option<Vec<Condition>>> {
        if values.answer().is_some() {
            return Ok((values == Node::YES).then(Vec::new));
        }
        let top = arg_top(arg);
        let support = self.support(values, arg)?;
        let width = if support <= Width::W32.mask() { Width::W32 } else { Width::W64 };
        let test = |test: Test| Condition::new(arg, width, test);
        let (least, most) = (self.extreme(values, arg, false), self.extreme(values, arg, true) & width.mask());
        if self.masked(top, support, least)? == values {
            return Ok(equal(arg, support, least).map(|one| vec![one]));
        }
        let others = self.not(values)?;
        let least_other = self.extreme(others, arg, false);
        if self.masked(top, support, least_other)? == others {
            return Ok(unequal(arg, support, least_other).map(|one| vec![one]));
        }
        let from = self.above(top, width, least, true)?;
        if from == values {
            return Ok(test(Test::Ge(least)).map(|one| vec![one]));
        }
        let above = self.above(top, width, most, false)?;
        let up_to = self.not(above)?;
        if up_to == values {
            return Ok(test(Test::Le(most)).map(|one| vec![one]));
        }
        let free = 64 - support.count_ones();
        if self.count(values, arg)? >> free <= MAX_LISTED {
            let values = self.list(values, arg, support)?;
            return Ok(test(Test::OneOf { mask: support, values }).map(|one| vec![one]));
        }
        // Between two values, with fixed bits, less a few exceptions.
        let (mask, datum) = self.fixed(values, arg)?;
        let fixed = self.masked(top, mask, datum)?;
        let between = self.and(from, up_to)?;
        let mut conditions = Vec::new();
        let both = self.and(between, fixed)?;
        let mut shortest = None;
        for (hull, by_range, by_bits) in [(between, true, false), (fixed, false, true), (both, true, true)] {
            if shortest.is_none() && !self.excess(hull, values, arg, support)? {
                shortest = Some((hull, by_range, by_bits));
            }
        }
        let Some((hull, by_range, by_bits)) = shortest else { return Ok(None) };
        if by_range {
            if least > 0 {
                conditions.extend(test(Test::Ge(least)));
            }
            if most < width.mask() {
                conditions.extend(test(Test::Le(most)));
            }
        }
        if by_bits && mask != 0 {
            conditions.extend(equal(arg, mask, datum));
        }
        let missing = self.without(hull, values)?;
        for value in self.list(missing, arg, support)? {
            conditions.extend(unequal(arg, support, value));
        }
        Ok(Some(conditions))
    }

    /// Arguments that lead to YES, bits that do not matter clear.
    pub(crate) fn example(&self, node: Node) -> [u64; ARGS] {
        let mut args = [0; ARGS];
        let mut node = node;
        while node.answer().is_none() {
            let bit = self.bit(node);
            let (low, high) = self.ways(node, bit);
            if low == Node::NO {
                let place = bit.saturating_sub(arg_top(0));
                if let Some(arg) = args.get_mut(usize::from(place / 64)) {
                    *arg |= 1u64 << (63 - place % 64);
                }
            }
            node = if low == Node::NO { high } else { low };
        }
        args
    }

    fn without(&mut self, a: Node, b: Node) -> Result<Node> {
        self.choose(b, Node::NO, a)
    }

    /// Are there more values in `hull` than in `values` than exceptions may be written?
    fn excess(&mut self, hull: Node, values: Node, arg: u8, support: u64) -> Result<bool> {
        let missing = self.without(hull, values)?;
        if self.support(missing, arg)? & !support != 0 {
            return Ok(true);
        }
        Ok(self.count(missing, arg)? >> (64 - support.count_ones()) > MAX_EXCEPTIONS)
    }

    /// The bits that are the same in every value: `(which, what)`.
    fn fixed(&mut self, values: Node, arg: u8) -> Result<(u64, u64)> {
        let (mut mask, mut datum) = (0, 0);
        for place in 0..64u16 {
            let this = 1u64 << place;
            let set = self.masked(arg_top(arg), this, this)?;
            let (with, without) = (self.and(values, set)?, self.without(values, set)?);
            if with == Node::NO {
                mask |= this;
            } else if without == Node::NO {
                mask |= this;
                datum |= this;
            }
        }
        Ok((mask, datum))
    }

    /// The values of a small set that depends on these bits only; the other bits are clear.
    fn list(&mut self, values: Node, arg: u8, support: u64) -> Result<Vec<u64>> {
        let clear = self.masked(arg_top(arg), !support, 0)?;
        let mut left = self.and(values, clear)?;
        let mut list = Vec::new();
        while left != Node::NO {
            self.step()?;
            let value = self.extreme(left, arg, false);
            list.push(value);
            let one = self.masked(arg_top(arg), u64::MAX, value)?;
            left = self.without(left, one)?;
        }
        Ok(list)
    }
}

fn equal(arg: u8, mask: u64, datum: u64) -> Option<Condition> {
    match mask {
        0xffff_ffff => Condition::new(arg, Width::W32, Test::Eq(datum)),
        u64::MAX => Condition::new(arg, Width::W64, Test::Eq(datum)),
        _ => Condition::new(arg, width_of(mask), Test::MaskedEq { mask, datum }),
    }
}

fn unequal(arg: u8, mask: u64, datum: u64) -> Option<Condition> {
    match mask {
        0xffff_ffff => Condition::new(arg, Width::W32, Test::Ne(datum)),
        u64::MAX => Condition::new(arg, Width::W64, Test::Ne(datum)),
        _ => Condition::new(arg, width_of(mask), Test::MaskedNe { mask, datum }),
    }
}

fn width_of(mask: u64) -> Width {
    if mask <= Width::W32.mask() { Width::W32 } else { Width::W64 }
}
