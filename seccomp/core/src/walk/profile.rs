//! From a walked filter to the profile that it means.

use super::Walk;
use crate::graph::{Graph, IP_TOP, NR_TOP, Node, TooComplex};
use crate::{Action, Arch, Decision, Profile, Table, X32_BIT, name_of};

/// Ranges of numbers up to this length become entries, longer ones the answer to numbers without an entry.
const SHORT: u32 = 64;
/// How many numbers one range of entries may have.
const MAX_RANGE: u32 = 1024;
/// How many entries a table may have.
const MAX_ENTRIES: usize = 1 << 16;

/// A filter that no profile can express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The answer depends on where the program was when it made the call.
    #[error("{}: the answer depends on the address that the call is made from", call(*.arch, *.number))]
    Address {
        /// The ABI.
        arch: Arch,
        /// The number (x32: without its bit).
        number: u32,
    },
    /// Conditions on the arguments of calls of very many numbers, or no pattern in the numbers.
    #[error("{}, numbers {first} to {last}: no table has so many entries", arch.name())]
    Numbers {
        /// The ABI.
        arch: Arch,
        /// The first number.
        first: u32,
        /// The last number.
        last: u32,
    },
    /// The conditions of a call cannot be put into words.
    #[error("{}: {source}", call(*.arch, *.number))]
    Conditions {
        /// The ABI.
        arch: Arch,
        /// The number (x32: without its bit).
        number: u32,
        /// Why.
        source: TooComplex,
    },
    /// The filter as a whole.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

fn call(arch: Arch, number: u32) -> String {
    let name = name_of(arch, number).map_or_else(|| number.to_string(), str::to_owned);
    format!("{} {name}", arch.name())
}

impl Walk {
    /// The profile that answers every call as this filter does on a kernel of this native architecture. Such a kernel
    /// knows its own ABIs only; the answer to others is the filter's most common one.
    ///
    /// # Errors
    ///
    /// [`ConvertError`] names the call that a profile cannot express.
    pub fn profile(&mut self, native: Arch) -> Result<Profile, ConvertError> {
        self.graph.begin();
        let answers = &self.answers;
        let code = |index: u32| {
            let answer = usize::try_from(index).ok().and_then(|index| answers.get(index));
            answer.map_or(Action::KillProcess, |answer| Action::from_ret(answer.ret)).code()
        };
        let root = self.graph.map(self.root, &mut |index| code(index))?;
        let elsewhere = most(&self.graph.ranges(root, 0)?).unwrap_or(root);
        let foreign = match elsewhere.answer() {
            Some(code) => Action::from_code(code),
            // No check of the architecture at all: the same table for every ABI.
            None => background(&self.graph.ranges(elsewhere, NR_TOP)?),
        };
        let mut profile = Profile::new(foreign);
        for arch in native.family() {
            let node = self.graph.follow_until(root, NR_TOP, |bit| arch.audit() >> (NR_TOP - 1 - bit) & 1 == 1);
            let base = if *arch == Arch::X32 { X32_BIT } else { 0 };
            let end = arch.last_number();
            let ranges = self.graph.ranges(node, NR_TOP)?.into_iter();
            // The ABI's part of the number space, counted from its first number on.
            let ranges: Vec<(u32, u32, Node)> = ranges
                .filter_map(|(first, last, node)| {
                    Some((first.saturating_sub(base), last.checked_sub(base)?.min(end), node))
                })
                .filter(|(first, last, _)| first <= last)
                .collect();
            let table = table(&mut self.graph, *arch, &ranges)?;
            if table != Table::new(foreign) {
                profile.set_table(*arch, table);
            }
        }
        Ok(profile)
    }

    /// What happens to calls of a number (x32: without its bit), in the fewest clauses.
    ///
    /// # Errors
    ///
    /// [`ConvertError`] if the answer depends on more than arguments, or on them in ways that are too entangled.
    pub fn decision(&mut self, arch: Arch, number: u32) -> Result<Decision, ConvertError> {
        self.graph.begin();
        let node = Walk::call(self, arch, number);
        let answers = &self.answers;
        let node = self.graph.map(node, &mut |index| {
            let answer = usize::try_from(index).ok().and_then(|index| answers.get(index));
            answer.map_or(Action::KillProcess, |answer| Action::from_ret(answer.ret)).code()
        })?;
        decision(&mut self.graph, arch, number, node)
    }
}

fn decision(graph: &mut Graph, arch: Arch, number: u32, node: Node) -> Result<Decision, ConvertError> {
    graph.begin();
    if graph.asks_from(node, IP_TOP) {
        return Err(ConvertError::Address { arch, number });
    }
    graph.decision(node).map_err(|source| ConvertError::Conditions { arch, number, source })
}

/// The place that most values lead to.
fn most(ranges: &[(u32, u32, Node)]) -> Option<Node> {
    let mut counts: Vec<(u64, Node)> = Vec::new();
    for (first, last, node) in ranges {
        let count = u64::from(last - first) + 1;
        match counts.iter_mut().find(|(_, known)| known == node) {
            Some(known) => known.0 += count,
            None => counts.push((count, *node)),
        }
    }
    counts.into_iter().max_by_key(|(count, _)| *count).map(|(_, node)| node)
}

/// The answer that most numbers get whatever their arguments.
fn background(ranges: &[(u32, u32, Node)]) -> Action {
    let fixed: Vec<_> = ranges.iter().copied().filter(|(.., node)| node.answer().is_some()).collect();
    most(&fixed).and_then(Node::answer).map_or(Action::KillProcess, Action::from_code)
}

fn table(graph: &mut Graph, arch: Arch, ranges: &[(u32, u32, Node)]) -> Result<Table, ConvertError> {
    let long = |first: u32, last: u32, node: Node| {
        let action = node.answer().map(Action::from_code)?;
        (last - first >= SHORT).then_some(action)
    };
    // The answer to numbers without an entry, from the first long range on; before it, short ones are all entries.
    let first = ranges.iter().find_map(|(first, last, node)| long(*first, *last, *node));
    let mut table = Table::new(first.unwrap_or_else(|| background(ranges)));
    let mut steps = Vec::new();
    let mut entries = Vec::new();
    let mut now = table.missing(0);
    for (first, last, node) in ranges.iter().copied() {
        if let Some(action) = long(first, last, node) {
            if action != now {
                steps.push((first, action));
                now = action;
            }
            continue;
        }
        if last - first >= MAX_RANGE || entries.len() >= MAX_ENTRIES {
            return Err(ConvertError::Numbers { arch, first, last });
        }
        let decision = decision(graph, arch, first, node)?;
        if decision == Decision::always(now) {
            continue;
        }
        entries.extend((first..=last).map(|number| (number, decision.clone())));
    }
    for (first, action) in steps {
        table.set_from(first, action);
    }
    for (number, decision) in entries {
        table.set(number, decision);
    }
    Ok(table)
}

impl Graph {
    /// Does a graph ask about this bit or a later one?
    fn asks_from(&self, node: Node, bit: u16) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            if node.answer().is_none() && seen.insert(node) {
                if self.bit(node) >= bit {
                    return true;
                }
                let (low, high) = self.ways(node, self.bit(node));
                waiting.extend([low, high]);
            }
        }
        false
    }
}
