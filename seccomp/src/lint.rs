//! What is wrong with a seccomp profile: what its author wrote, what the kernel does with it, what to write instead.
//!
//! A profile is read as the engine means it, compiled, and the *compiled filter* is asked: for every call and ABI, over
//! the arguments on both sides of everything that it compares. A rule of the linter fires on what the filter answers, not
//! on how the text looks, wherever the two can be told apart.
//!
//! [`RULES`] has the rules; docs/lint.md is generated from it. [`lint`] judges a profile, [`fix`] corrects what can be
//! corrected without thinking, and never makes a profile permit more than it did.

mod bad_input;
mod deeds;
mod edit;
mod filter;
mod finding;
mod fit;
mod fixing;
mod human;
mod input;
mod machine;
mod options;
mod page;
mod rule;
mod rules;
mod signature;
mod subject;
mod words;
mod written;

use std::cmp::Reverse;

pub use bad_input::BadInput;
pub use edit::Edit;
pub use finding::{Finding, Severity};
pub use fit::Fit;
pub use fixing::{Fixed, fix};
pub use human::human;
pub use input::Form;
pub use machine::machine;
pub use options::{Engine, Options};
pub use page::page;
pub use rule::{Content, Rule, Sample};
pub use rules::RULES;

/// How many findings of one rule are told.
const MOST: usize = 50;

/// What the linter has to say of one profile.
#[derive(Debug)]
pub struct Report {
    /// How the file was named.
    pub name: String,
    /// What it is.
    pub form: Form,
    /// Sorted by place.
    pub findings: Vec<Finding>,
    /// How many more there are of rules that have very many.
    pub omitted: usize,
    /// Which presets come how close to what the author wanted, best first; empty where nothing can be said.
    pub fits: Vec<Fit>,
}

/// Judge a profile: OCI JSON, a whole config.json, Docker's format, a list in TOML, or a compiled filter.
///
/// # Errors
///
/// [`BadInput`] if it cannot be understood: no engine would load it either, or not all alike.
pub fn lint(name: &str, bytes: &[u8], options: &Options) -> Result<Report, BadInput> {
    let input = input::Input::read(bytes)?;
    let subject = subject::Subject::new(&input, options)?;
    Ok(report(name, &input, &subject))
}

fn report(name: &str, input: &input::Input, subject: &subject::Subject<'_>) -> Report {
    let (mut findings, mut omitted) = (Vec::new(), 0);
    for rule in RULES {
        let mut notes = Vec::new();
        (rule.check)(subject, &mut notes);
        // The worst ones are told.
        notes.sort_by_key(|note| Reverse(note.severity));
        omitted += notes.len().saturating_sub(MOST);
        notes.truncate(MOST);
        findings.extend(notes.into_iter().map(|note| Finding::new(rule, note, subject)));
    }
    findings.sort_by(|a, b| (a.place, a.rule.id).cmp(&(b.place, b.rule.id)));
    Report { name: name.to_owned(), form: input.form(), findings, omitted, fits: fit::fits(subject) }
}
