//! The model: for each ABI, what happens to which call under which condition.

use std::collections::BTreeMap;

use crate::{Action, Arch, Condition, SeccompData, X32_BIT};

/// Conditions that must all hold, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause {
    /// All of them must hold. Without any, the clause always applies.
    pub conditions: Vec<Condition>,
    /// The answer if they do.
    pub action: Action,
}

impl Clause {
    /// Does it apply to these argument registers?
    #[must_use]
    pub fn applies(&self, args: &[u64; 6]) -> bool {
        self.conditions.iter().all(|condition| condition.holds(args))
    }
}

/// What happens to one call: the first clause that applies decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// In order.
    pub clauses: Vec<Clause>,
    /// The answer if no clause applies.
    pub otherwise: Action,
}

impl Decision {
    /// The same answer whatever the arguments.
    #[must_use]
    pub const fn always(action: Action) -> Self {
        Self { clauses: Vec::new(), otherwise: action }
    }

    /// The answer to these arguments.
    #[must_use]
    pub fn action(&self, args: &[u64; 6]) -> Action {
        self.clauses.iter().find(|clause| clause.applies(args)).map_or(self.otherwise, |clause| clause.action)
    }

    /// The answer, if it does not depend on the arguments.
    #[must_use]
    pub fn unconditional(&self) -> Option<Action> {
        self.clauses.iter().all(|clause| clause.action == self.otherwise).then_some(self.otherwise)
    }
}

/// The calls of one ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The answers to numbers without an entry: each from this number on. Sorted; the first is from 0 on.
    steps: Vec<(u32, Action)>,
    /// Sorted by number.
    calls: Vec<(u32, Decision)>,
}

impl Table {
    /// A table without entries.
    #[must_use]
    pub fn new(default: Action) -> Self {
        Self { steps: vec![(0, default)], calls: Vec::new() }
    }

    /// A table with these entries. Of several for one number the last counts.
    #[must_use]
    pub fn with(default: Action, mut calls: Vec<(u32, Decision)>) -> Self {
        calls.reverse();
        calls.sort_by_key(|(number, _)| *number);
        calls.dedup_by_key(|(number, _)| *number);
        Self { steps: vec![(0, default)], calls }
    }

    /// Give this answer to numbers without an entry, from this one on (as runc answers ENOSYS to calls that are newer
    /// than the profile).
    pub fn set_from(&mut self, first: u32, action: Action) {
        self.steps.retain(|(from, _)| *from < first);
        if self.steps.last().is_none_or(|(_, before)| *before != action) {
            self.steps.push((first, action));
        }
    }

    /// The answers to numbers without an entry, each from a number on; the first is from 0 on.
    pub fn steps(&self) -> impl Iterator<Item = (u32, Action)> {
        self.steps.iter().copied()
    }

    /// Set the decision for a number (x32: without its bit).
    pub fn set(&mut self, number: u32, decision: Decision) {
        match self.find(number) {
            Ok(index) => self.calls[index].1 = decision,
            Err(index) => self.calls.insert(index, (number, decision)),
        }
    }

    /// The entry for a number, if there is one.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Decision> {
        self.find(number).ok().map(|index| &self.calls[index].1)
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.calls.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// All entries, sorted by number.
    pub fn entries(&self) -> impl Iterator<Item = (u32, &Decision)> {
        self.calls.iter().map(|(number, decision)| (*number, decision))
    }

    /// The answer to a number without an entry.
    #[must_use]
    pub fn missing(&self, number: u32) -> Action {
        let step = self.steps.iter().rev().find(|(from, _)| *from <= number);
        // There is always one from 0 on; the strictest answer if there were none.
        step.map_or(Action::KillProcess, |(_, action)| *action)
    }

    /// The answer to a call.
    #[must_use]
    pub fn action(&self, number: u32, args: &[u64; 6]) -> Action {
        self.get(number).map_or_else(|| self.missing(number), |decision| decision.action(args))
    }
}

/// Flags for loading the filter (`SECCOMP_FILTER_FLAG_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Log every answer but Allow (if the sysctl permits).
    pub log: bool,
    /// Do not switch on the speculative store bypass mitigation.
    pub spec_allow: bool,
}

/// A complete profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    tables: BTreeMap<Arch, Table>,
    /// The answer to calls of an ABI that has no table.
    pub foreign: Action,
    /// How to load the filter.
    pub flags: Flags,
}

impl Profile {
    /// A profile that knows no ABI yet.
    #[must_use]
    pub fn new(foreign: Action) -> Self {
        Self { tables: BTreeMap::new(), foreign, flags: Flags::default() }
    }

    /// A profile that allows everything, of every ABI.
    #[must_use]
    pub fn unconfined() -> Self {
        let mut profile = Self::new(Action::Allow);
        for arch in Arch::ALL {
            profile.set_table(arch, Table::new(Action::Allow));
        }
        profile
    }

    /// Set the table of an ABI.
    pub fn set_table(&mut self, arch: Arch, table: Table) {
        self.tables.insert(arch, table);
    }

    /// The table of an ABI.
    #[must_use]
    pub fn table(&self, arch: Arch) -> Option<&Table> {
        self.tables.get(&arch)
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = (Arch, &Table)> {
        self.tables.iter().map(|(arch, table)| (*arch, table))
    }

    /// What the profile means for a call as the kernel of `native` presents it. The compiled filter answers the same:
    /// that is what the tests compare.
    #[must_use]
    pub fn action(&self, native: Arch, data: &SeccompData) -> Action {
        let (arch, number) = match native.family().iter().find(|arch| arch.audit() == data.arch) {
            Some(Arch::X86_64 | Arch::X32) if data.nr >= X32_BIT => (Arch::X32, data.nr - X32_BIT),
            Some(arch) => (*arch, data.nr),
            None => return self.foreign,
        };
        self.tables.get(&arch).map_or(self.foreign, |table| table.action(number, &data.args))
    }

    /// Does any call get an answer for which this holds?
    pub fn any_action(&self, mut holds: impl FnMut(Action) -> bool) -> bool {
        if holds(self.foreign) {
            return true;
        }
        self.tables.values().any(|table| {
            table.steps.iter().any(|(_, action)| holds(*action))
                || table.calls.iter().any(|(_, decision)| {
                    holds(decision.otherwise) || decision.clauses.iter().any(|clause| holds(clause.action))
                })
        })
    }
}
