//! Profiles as a person writes them: TOML, by name, with a reason on every line. docs/seccomp.md has the schema for users.
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
//!
//! A list of somebody's own is the same, built on a preset:
//!
//! ```toml
//! version = 1
//! base = "general"
//!
//! [allow]
//! clone = { flags = { none-of = ["CLONE_NEWUSER"] } }    # where it does not hold, refused
//!
//! [deny]
//! mount = "no mounts"
//! ioctl = { cmd = "FIONREAD", then = "EACCES" }          # where it does not hold, as the base has it
//!
//! [arch.aarch64.deny]
//! memfd_create = "a reason for this architecture only"
//! ```

mod arguments;
mod condition;
mod constants;
mod errnos;
mod error;
mod line;
mod node;
mod read;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

pub use arguments::{Argument, arguments};
pub use constants::{all as constants, constant, errno, errno_name};
pub use error::IntentError;
pub use line::{Line, Place, Rule};

pub use crate::near::closest;
use crate::{Action, Arch, Decision, Profile, Syscall, Table, names};

/// The most that a file may have, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// A profile read from TOML.
#[derive(Debug, Clone)]
pub struct Intent {
    /// What it is for.
    pub summary: String,
    /// What may be switched on.
    pub knobs: Vec<String>,
    /// What is on where nobody says otherwise.
    pub on: Vec<String>,
    known: Action,
    unknown: Action,
    foreign: Action,
    /// For every architecture.
    lines: BTreeMap<&'static str, Line>,
    /// For one architecture, instead.
    own: BTreeMap<(Arch, &'static str), Line>,
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
        read::intent(text, "", bases, 0)
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

    /// Every line, those for single architectures last.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, Option<Arch>, &Line)> {
        let own = self.own.iter().map(|((arch, name), line)| (*name, Some(*arch), line));
        self.lines.iter().map(|(name, line)| (*name, None, line)).chain(own)
    }

    /// The line that decides a call on this architecture, if there is one.
    #[must_use]
    pub fn line(&self, native: Arch, call: Syscall) -> Option<&Line> {
        self.own.get(&(native, call.name())).or_else(|| self.lines.get(call.name()))
    }

    /// The profile for kernels of a native architecture, with these knobs switched on.
    #[must_use]
    pub fn profile(&self, native: Arch, on: &BTreeSet<&str>) -> Profile {
        let calls =
            names().filter_map(|call| Some((call.number(native)?, self.decision_on(native, call, on)))).collect();
        let table = Table::with(self.unknown, calls);
        let mut profile = Profile::new(self.foreign);
        profile.flags.spec_allow = true;
        profile.set_table(native, table);
        profile
    }

    /// What happens to a call with these knobs switched on, where no section for an architecture says otherwise.
    #[must_use]
    pub fn decision(&self, call: Syscall, on: &BTreeSet<&str>) -> Decision {
        self.lines.get(call.name()).map_or_else(|| Decision::always(self.known), |line| line.decision(on))
    }

    /// What happens to a call on this architecture with these knobs switched on.
    #[must_use]
    pub fn decision_on(&self, native: Arch, call: Syscall, on: &BTreeSet<&str>) -> Decision {
        self.line(native, call).map_or_else(|| Decision::always(self.known), |line| line.decision(on))
    }

    /// Calls of the native ABIs that are refused whatever their arguments, on each of them that has the call.
    #[must_use]
    pub fn refused(&self, on: &BTreeSet<&str>) -> Vec<&'static str> {
        let refused =
            |call: Syscall, arch: Arch| self.decision_on(arch, call, on).unconditional().is_some_and(Action::refuses);
        names()
            .filter(|call| Arch::NATIVE.iter().any(|arch| call.number(*arch).is_some()))
            .filter(|call| {
                let mut having = Arch::NATIVE.into_iter().filter(|arch| call.number(*arch).is_some());
                having.all(|arch| refused(*call, arch))
            })
            .map(Syscall::name)
            .collect()
    }
}
