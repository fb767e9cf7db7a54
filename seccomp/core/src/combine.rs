//! Profiles out of profiles, by meaning: the answer of the result to every call is made of both answers.

use std::collections::BTreeSet;

use crate::{Action, Arch, Clause, Decision, Flags, Profile, Table, stack};

const EPERM: Action = Action::Errno(1);

impl Profile {
    /// What both allow: to every call the stricter answer, and of two answers of one kind this profile's. The same as
    /// loading `other` and then this one.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        self.combine(other, &|ours, theirs| stack([ours, theirs]))
    }

    /// What either allows: to every call the laxer answer, and of two answers of one kind this profile's.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, &|ours, theirs| if ours.stricter_than(theirs) { theirs } else { ours })
    }

    /// What this profile allows and the other does not: calls that `other` permits fail with EPERM, or as this profile
    /// refuses them already.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.combine(other, &|ours, theirs| if theirs.permits() { stack([ours, EPERM]) } else { ours })
    }

    fn combine(&self, other: &Self, answer: &impl Fn(Action, Action) -> Action) -> Self {
        let mut result = Self::new(answer(self.foreign, other.foreign));
        result.flags = Flags {
            log: self.flags.log || other.flags.log,
            spec_allow: self.flags.spec_allow && other.flags.spec_allow,
        };
        let absent = (Table::new(self.foreign), Table::new(other.foreign));
        for arch in Arch::ALL {
            let (ours, theirs) = (self.table(arch), other.table(arch));
            if ours.is_some() || theirs.is_some() {
                let (ours, theirs) = (ours.unwrap_or(&absent.0), theirs.unwrap_or(&absent.1));
                result.set_table(arch, ours.combine(theirs, answer));
            }
        }
        result
    }
}

impl Table {
    fn combine(&self, other: &Self, answer: &impl Fn(Action, Action) -> Action) -> Self {
        let numbers: BTreeSet<u32> = self.entries().chain(other.entries()).map(|(number, _)| number).collect();
        let calls = numbers.into_iter().map(|number| {
            let decision = |table: &Self| match table.get(number) {
                Some(decision) => decision.clone(),
                None => Decision::always(table.missing(number)),
            };
            (number, decision(self).combine(&decision(other), answer))
        });
        let mut table = Self::with(answer(self.missing(0), other.missing(0)), calls.collect());
        let steps: BTreeSet<u32> = self.steps().chain(other.steps()).map(|(first, _)| first).collect();
        for first in steps {
            table.set_from(first, answer(self.missing(first), other.missing(first)));
        }
        table
    }
}

impl Decision {
    /// Every clause of ours with every clause of theirs, ours first: the first pair that applies is made of the first
    /// clause that applies on either side.
    fn combine(&self, other: &Self, answer: &impl Fn(Action, Action) -> Action) -> Self {
        let with_rest = |decision: &Self| {
            let rest = Clause { conditions: Vec::new(), action: decision.otherwise };
            decision.clauses.iter().cloned().chain([rest]).collect::<Vec<_>>()
        };
        let (ours, theirs) = (with_rest(self), with_rest(other));
        let mut clauses: Vec<Clause> = ours
            .iter()
            .flat_map(|a| theirs.iter().map(move |b| (a, b)))
            .map(|(a, b)| Clause {
                conditions: a.conditions.iter().chain(&b.conditions).cloned().collect(),
                action: answer(a.action, b.action),
            })
            .collect();
        // The last pair is both rests, without conditions.
        let otherwise = clauses.pop().map_or(Action::KillProcess, |rest| rest.action);
        let pairs = Self { clauses, otherwise };
        // Most pairs of two conditional decisions never apply, and filters have a largest size.
        if self.clauses.is_empty() || other.clauses.is_empty() { pairs } else { pairs.simplified() }
    }
}
