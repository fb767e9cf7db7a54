//! One line of a profile: what happens to one call, and who says so.

use std::collections::BTreeSet;

use crate::{Action, Clause, Decision};

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The profile's name among those that others are built on; empty for the file itself.
    pub file: String,
    /// The line in it, from 1 on.
    pub line: usize,
}

/// What is written about one call.
#[derive(Debug, Clone)]
pub struct Line {
    /// Who needs the call, or what it would open; may be empty in a list of somebody's own.
    pub why: String,
    /// Alternatives: the first one that holds decides.
    pub rules: Vec<Rule>,
    /// The answer if none holds.
    pub otherwise: Action,
    /// Where it is.
    pub place: Place,
    /// `otherwise` means nothing: what was there before stays.
    pub(super) partial: bool,
}

/// One alternative.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Knobs that have to be on.
    pub on: Vec<String>,
    /// Knobs that have to be off.
    pub off: Vec<String>,
    /// Under which arguments what is answered.
    pub clause: Clause,
    /// A reason of its own.
    pub why: Option<String>,
    /// The rule as it is written.
    pub written: String,
    /// Where it is.
    pub place: Place,
}

impl Rule {
    /// Does it count with these knobs switched on?
    #[must_use]
    pub fn active(&self, on: &BTreeSet<&str>) -> bool {
        let holds = |knob: &String| on.contains(knob.as_str());
        self.on.iter().all(holds) && !self.off.iter().any(holds)
    }
}

impl Line {
    /// The same as a decision about arguments, with these knobs switched on.
    #[must_use]
    pub fn decision(&self, on: &BTreeSet<&str>) -> Decision {
        let mut decision = Decision::always(self.otherwise);
        for rule in self.rules.iter().filter(|rule| rule.active(on)) {
            if rule.clause.conditions.is_empty() {
                decision.otherwise = rule.clause.action;
                break;
            }
            decision.clauses.push(rule.clause.clone());
        }
        decision
    }

    /// The rule that decides a call with these arguments; `None` if none holds.
    #[must_use]
    pub fn deciding(&self, on: &BTreeSet<&str>, args: &[u64; 6]) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.active(on) && rule.clause.applies(args))
    }
}
