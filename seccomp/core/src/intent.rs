//! Profiles as a person writes them: TOML, by name, with a reason on every line.
//!
//! ```toml
//! version = 1
//! summary = "what it is for"
//! knobs = ["listen"]                  # what a user of the profile may switch on
//!
//! [answers]
//! known = "EPERM"                     # calls of the tables that no line allows
//! unknown = "ENOSYS"                  # numbers that the tables do not have
//! foreign = "ENOSYS"                  # calls of another ABI
//!
//! [allow]
//! read = "every program"
//!
//! [refuse.EPERM]
//! ptrace = "reads and writes other processes"
//!
//! [conditional.listen]
//! why = "only where inbound connections are wanted"
//! otherwise = "EACCES"
//! when = [{ if = ["listen"] }]        # the first entry that holds decides; `then` is "allow" unless given
//! ```

mod arguments;
mod constants;
mod error;
mod near;
mod read;

use std::collections::{BTreeMap, BTreeSet};

pub use arguments::{Argument, arguments};
pub use constants::{all as constants, constant, errno, errno_name};
pub use error::IntentError;
pub use near::closest;

use crate::{Action, Arch, Clause, Decision, Profile, Syscall, Table, names};

/// A profile read from TOML.
#[derive(Debug, Clone)]
pub struct Intent {
    /// What it is for.
    pub summary: String,
    /// What may be switched on.
    pub knobs: Vec<String>,
    known: Action,
    unknown: Action,
    foreign: Action,
    lines: BTreeMap<&'static str, Line>,
}

/// What is written about one call.
#[derive(Debug, Clone)]
struct Line {
    why: String,
    entries: Vec<Entry>,
    otherwise: Action,
}

/// One alternative.
#[derive(Debug, Clone)]
struct Entry {
    on: Vec<String>,
    off: Vec<String>,
    clause: Clause,
}

impl Intent {
    /// Read a profile.
    ///
    /// # Errors
    ///
    /// [`IntentError`] names the place and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, IntentError> {
        Self::parse_with(text, &|_| None)
    }

    /// Read a profile that may be built on others: `base = "general"` takes over every line of `general` that this file
    /// does not write itself. `bases` gives the text of a profile by name.
    ///
    /// # Errors
    ///
    /// [`IntentError`] names the place and what is wrong there.
    pub fn parse_with(text: &str, bases: &dyn Fn(&str) -> Option<String>) -> Result<Self, IntentError> {
        read::intent(text, bases, 0)
    }

    /// The answer to calls of the tables that have no line.
    #[must_use]
    pub fn known(&self) -> Action {
        self.known
    }

    /// The answer to numbers that the tables do not have.
    #[must_use]
    pub fn unknown(&self) -> Action {
        self.unknown
    }

    /// The answer to calls of another ABI.
    #[must_use]
    pub fn foreign(&self) -> Action {
        self.foreign
    }

    /// Calls that the profile says something about, with the reason.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.lines.iter().map(|(name, line)| (*name, line.why.as_str()))
    }

    /// The profile for kernels of a native architecture, with these knobs switched on.
    #[must_use]
    pub fn profile(&self, native: Arch, on: &BTreeSet<&str>) -> Profile {
        let calls = names().filter_map(|call| Some((call.number(native)?, self.decision(call, on)))).collect();
        let table = Table::with(self.unknown, calls);
        let mut profile = Profile::new(self.foreign);
        profile.flags.spec_allow = true;
        profile.set_table(native, table);
        profile
    }

    /// What happens to a call with these knobs switched on.
    #[must_use]
    pub fn decision(&self, call: Syscall, on: &BTreeSet<&str>) -> Decision {
        let Some(line) = self.lines.get(call.name()) else { return Decision::always(self.known) };
        let mut decision = Decision::always(line.otherwise);
        for entry in &line.entries {
            let holds = |knob: &String| on.contains(knob.as_str());
            if !entry.on.iter().all(holds) || entry.off.iter().any(holds) {
                continue;
            }
            if entry.clause.conditions.is_empty() {
                decision.otherwise = entry.clause.action;
                break;
            }
            decision.clauses.push(entry.clause.clone());
        }
        decision
    }

    /// Calls of the native ABIs that are refused whatever their arguments.
    #[must_use]
    pub fn refused(&self, on: &BTreeSet<&str>) -> Vec<&'static str> {
        names()
            .filter(|call| Arch::NATIVE.iter().any(|arch| call.number(*arch).is_some()))
            .filter(|call| self.decision(*call, on).unconditional().is_some_and(Action::refuses))
            .map(Syscall::name)
            .collect()
    }
}
