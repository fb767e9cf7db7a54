//! Comparing profiles by meaning: every answer to every call, not the text.
//!
//! What is compared is what the kernel of a native architecture can present: the calls of its ABIs. A profile's answer to
//! ABIs without a table counts where such an ABI exists.

use std::collections::BTreeSet;

pub use crate::graph::TooComplex;
use crate::graph::{Graph, Node};
use crate::{Action, Arch, Condition, Decision, Profile, SeccompData, Table, X32_BIT, name_of, names};

/// Up to how many clauses each is tried without.
const MAX_TRIED: usize = 32;

/// Which of two answers is laxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The second answer is laxer: something is newly allowed.
    Looser,
    /// The second answer is stricter: something is newly refused.
    Stricter,
    /// Both answers are of one kind and differ in their data, such as the errno.
    Data,
}

/// Calls that two profiles answer differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The ABI.
    pub arch: Arch,
    /// The number of the call, or the first of several (x32: without its bit).
    pub number: u32,
    /// The last of several numbers without a name; else the same as `number`.
    pub last: u32,
    /// The name, if the ABI has this call.
    pub name: Option<&'static str>,
    /// The first profile's answer.
    pub before: Action,
    /// The second profile's answer.
    pub after: Action,
    /// For which arguments: all must hold. Without any, for all.
    pub conditions: Vec<Condition>,
    /// Arguments of which that is true.
    pub witness: [u64; 6],
}

impl Difference {
    /// Is the second answer laxer or stricter?
    #[must_use]
    pub fn change(&self) -> Change {
        if self.before.stricter_than(self.after) {
            Change::Looser
        } else if self.after.stricter_than(self.before) {
            Change::Stricter
        } else {
            Change::Data
        }
    }

    /// The example as the kernel would present it to a filter.
    #[must_use]
    pub fn call(&self) -> SeccompData {
        self.arch.call(self.number, self.witness)
    }
}

/// A call whose conditions could not be decided within bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {}: {source}", arch.name(), name_of(*arch, *number).map_or_else(|| number.to_string(), str::to_owned))]
pub struct Undecided {
    /// The ABI.
    pub arch: Arch,
    /// The number (x32: without its bit).
    pub number: u32,
    /// Why.
    pub source: TooComplex,
}

/// Every difference between two profiles, by ABI and number. An `Err` concerns one call only; the others follow.
pub fn differences<'a>(
    native: Arch,
    a: &'a Profile,
    b: &'a Profile,
) -> impl Iterator<Item = Result<Difference, Undecided>> + 'a {
    native.family().iter().flat_map(move |arch| {
        let absent = [Table::new(a.foreign), Table::new(b.foreign)];
        let classes = classes(a.table(*arch).unwrap_or(&absent[0]), b.table(*arch).unwrap_or(&absent[1]), *arch);
        classes.into_iter().flat_map(move |class| {
            let decision = |profile: &Profile| match profile.table(*arch) {
                Some(table) => table.decision(class.0),
                None => Decision::always(profile.foreign),
            };
            differences_of_call(*arch, class, &decision(a), &decision(b))
        })
    })
}

/// Do both give the same answer to every call, down to the errno?
///
/// # Errors
///
/// [`Undecided`] names the call whose conditions are too entangled.
pub fn equal(native: Arch, a: &Profile, b: &Profile) -> Result<bool, Undecided> {
    holds_everywhere(native, a, b, |a, b| a == b)
}

/// Is every answer of `inner` at least as strict as that of `outer`? Two that contain each other answer every call with
/// the same kind of action.
///
/// # Errors
///
/// [`Undecided`] names the call whose conditions are too entangled.
pub fn contains(native: Arch, outer: &Profile, inner: &Profile) -> Result<bool, Undecided> {
    holds_everywhere(native, outer, inner, |outer, inner| !outer.stricter_than(inner))
}

/// Does this hold for both answers to every call? One call for which it does not is enough to know, even if others cannot
/// be decided.
fn holds_everywhere(
    native: Arch,
    a: &Profile,
    b: &Profile,
    holds: impl Fn(Action, Action) -> bool,
) -> Result<bool, Undecided> {
    let mut undecided = None;
    for arch in native.family() {
        let absent = [Table::new(a.foreign), Table::new(b.foreign)];
        let tables = (a.table(*arch).unwrap_or(&absent[0]), b.table(*arch).unwrap_or(&absent[1]));
        for (number, _) in classes(tables.0, tables.1, *arch) {
            let verdict = holds_for_call(&tables.0.decision(number), &tables.1.decision(number), &holds);
            match verdict {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(source) => undecided = undecided.or(Some(Undecided { arch: *arch, number, source })),
            }
        }
    }
    undecided.map_or(Ok(true), Err)
}

fn holds_for_call(a: &Decision, b: &Decision, holds: &impl Fn(Action, Action) -> bool) -> Result<bool, TooComplex> {
    // Everything that is asked holds between an answer and itself.
    if a == b {
        return Ok(true);
    }
    let mut graph = Graph::default();
    let (x, y) = (graph.decide(a)?, graph.decide(b)?);
    let mut everywhere = true;
    graph.zip(x, y, &mut |a, b| {
        everywhere &= holds(Action::from_code(a), Action::from_code(b));
        0
    })?;
    Ok(everywhere)
}

/// Ranges of numbers that both tables treat alike; a number with an entry is a range of its own.
fn classes(a: &Table, b: &Table, arch: Arch) -> Vec<(u32, u32)> {
    let end = arch.last_number();
    let mut borders = BTreeSet::from([0]);
    for table in [a, b] {
        borders.extend(table.steps().map(|(first, _)| first));
        borders.extend(table.entries().flat_map(|(number, _)| [Some(number), number.checked_add(1)]).flatten());
    }
    let firsts: Vec<u32> = borders.into_iter().filter(|first| *first <= end).collect();
    let lasts = firsts.iter().skip(1).map(|next| next - 1).chain([end]);
    firsts.iter().copied().zip(lasts).collect()
}

fn differences_of_call(
    arch: Arch,
    class: (u32, u32),
    before: &Decision,
    after: &Decision,
) -> Vec<Result<Difference, Undecided>> {
    if before == after {
        return Vec::new();
    }
    let parts = match compared(before, after) {
        Ok(parts) if parts.is_empty() => return Vec::new(),
        Ok(parts) => parts,
        Err(source) => return vec![Err(Undecided { arch, number: class.0, source })],
    };
    let difference = |(number, last): (u32, u32)| {
        let name = if number == last { name_of(arch, number) } else { None };
        parts.iter().map(move |part| {
            let part = part.clone();
            Ok(Difference { arch, number, last, name, ..part })
        })
    };
    named_apart(class, arch).into_iter().flat_map(difference).collect()
}

/// A range of numbers, with those that have names on their own.
fn named_apart((first, last): (u32, u32), arch: Arch) -> Vec<(u32, u32)> {
    if first == last {
        return vec![(first, last)];
    }
    let named: BTreeSet<u32> =
        names().filter_map(|call| call.number(arch)).filter(|number| (first..=last).contains(number)).collect();
    let mut parts = Vec::new();
    let mut next = Some(first);
    for number in named {
        if let Some(from) = next.filter(|from| *from < number) {
            parts.push((from, number - 1));
        }
        parts.push((number, number));
        next = number.checked_add(1);
    }
    if let Some(from) = next.filter(|from| *from <= last) {
        parts.push((from, last));
    }
    parts
}

/// Where two decisions differ; the place is filled in by the caller.
fn compared(before: &Decision, after: &Decision) -> Result<Vec<Difference>, TooComplex> {
    let mut graph = Graph::default();
    let (a, b) = (graph.decide(before)?, graph.decide(after)?);
    if a == b {
        return Ok(Vec::new());
    }
    // End 0: no difference; the others count the pairs of answers from 1 on.
    let mut pairs = Vec::new();
    let both = graph.zip(a, b, &mut |a, b| {
        if a == b {
            return 0;
        }
        let index = pairs.iter().position(|pair| *pair == (a, b)).unwrap_or_else(|| {
            pairs.push((a, b));
            pairs.len() - 1
        });
        index as u32 + 1
    })?;
    let mut found = Vec::new();
    for region in graph.regions(both)? {
        let index = region.to.answer().unwrap_or(0);
        let Some((a, b)) = usize::try_from(index).ok().and_then(|index| pairs.get(index.checked_sub(1)?)) else {
            continue;
        };
        let (before, after) = (Action::from_code(*a), Action::from_code(*b));
        let here = graph.all(&region.conditions)?;
        let witness = graph.example(here);
        let conditions = region.conditions;
        found.push(Difference {
            arch: Arch::X86_64,
            number: 0,
            last: 0,
            name: None,
            before,
            after,
            conditions,
            witness,
        });
    }
    Ok(found)
}

impl Graph {
    /// The answers of a decision; the ends are codes of actions.
    pub(crate) fn decide(&mut self, decision: &Decision) -> Result<Node, TooComplex> {
        let mut node = Node::end(decision.otherwise.code());
        for clause in decision.clauses.iter().rev() {
            let applies = self.all(&clause.conditions)?;
            node = self.choose(applies, Node::end(clause.action.code()), node)?;
        }
        Ok(node)
    }
}

impl Decision {
    /// The same answers without clauses that never decide anything, and, where there are at most 32, without clauses and
    /// conditions that add nothing to the others. Order and wording of the rest stay. A decision that is too entangled stays as it is.
    #[must_use]
    pub fn simplified(&self) -> Self {
        self.try_simplified().unwrap_or_else(|_| self.clone())
    }

    fn try_simplified(&self) -> Result<Self, TooComplex> {
        let never = self.unreachable()?;
        let reached = self.clauses.iter().enumerate().filter(|(index, _)| never.binary_search(index).is_err());
        let clauses = reached.map(|(_, clause)| clause.clone()).collect();
        let mut kept = Self { clauses, otherwise: self.otherwise };
        if kept.clauses.len() > MAX_TRIED {
            return Ok(kept);
        }
        let mut graph = Graph::default();
        let meaning = graph.decide(&kept)?;
        // What can go may depend on what went: until nothing goes any more.
        while let Some(smaller) = kept.without_something(&mut graph, meaning)? {
            kept = smaller;
        }
        Ok(kept)
    }

    /// The same meaning with a clause or a condition less, if there is such a one.
    fn without_something(&self, graph: &mut Graph, meaning: Node) -> Result<Option<Self>, TooComplex> {
        // From the end: a clause that only repeats what follows goes before the one that hides it is looked at.
        for index in (0..self.clauses.len()).rev() {
            let mut without = self.clone();
            without.clauses.remove(index);
            if graph.decide(&without)? == meaning {
                return Ok(Some(without));
            }
        }
        for index in 0..self.clauses.len() {
            for condition in (0..self.clauses[index].conditions.len()).rev() {
                let mut without = self.clone();
                without.clauses[index].conditions.remove(condition);
                if graph.decide(&without)? == meaning {
                    return Ok(Some(without));
                }
            }
        }
        // A last clause that always applies is the rest.
        let rest = self.clauses.last().filter(|last| last.conditions.is_empty()).map(|last| last.action);
        Ok(rest.map(|otherwise| Self { clauses: self.clauses[..self.clauses.len() - 1].to_vec(), otherwise }))
    }

    /// The clauses that decide nothing, by index: their conditions contradict each other, or an earlier clause applies
    /// wherever they do.
    ///
    /// # Errors
    ///
    /// [`TooComplex`] if the conditions are too entangled.
    pub fn unreachable(&self) -> Result<Vec<usize>, TooComplex> {
        let mut graph = Graph::default();
        let mut taken = Node::NO;
        let mut never = Vec::new();
        for (index, clause) in self.clauses.iter().enumerate() {
            let applies = graph.all(&clause.conditions)?;
            let now = graph.or(taken, applies)?;
            if now == taken {
                never.push(index);
            }
            taken = now;
        }
        Ok(never)
    }
}

/// Arguments for which all of these hold, if there are any.
///
/// # Errors
///
/// [`TooComplex`] if the conditions are too entangled.
pub fn example<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Result<Option<[u64; 6]>, TooComplex> {
    let mut graph = Graph::default();
    let all = graph.all(conditions)?;
    Ok((all != Node::NO).then(|| graph.example(all)))
}

impl Table {
    /// What happens to a number, with an entry or without.
    #[must_use]
    pub fn decision(&self, number: u32) -> Decision {
        self.get(number).map_or_else(|| Decision::always(self.missing(number)), Decision::clone)
    }
}

impl Arch {
    /// The largest number that a call of this ABI can have (x32: without its bit).
    #[must_use]
    pub const fn last_number(self) -> u32 {
        match self {
            Self::X86_64 => X32_BIT - 1,
            Self::X32 => u32::MAX - X32_BIT,
            Self::I386 | Self::Aarch64 | Self::Arm => u32::MAX,
        }
    }

    /// A call of this ABI as the kernel presents it to a filter (x32: the number without its bit).
    #[must_use]
    pub const fn call(self, number: u32, args: [u64; 6]) -> SeccompData {
        let nr = if matches!(self, Self::X32) { number.wrapping_add(X32_BIT) } else { number };
        SeccompData { nr, arch: self.audit(), instruction_pointer: 0, args }
    }
}
