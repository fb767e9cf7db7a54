//! A rule of the linter.

use super::finding::{Note, Severity};
use super::options::Options;
use super::subject::Subject;
use crate::Insn;
use crate::walk::write_raw;

/// A rule: what it looks for and what its page says.
pub struct Rule {
    /// As in `SL05`; never given a second meaning.
    pub id: &'static str,
    /// A name that says what it is about.
    pub slug: &'static str,
    /// How bad its findings are at worst.
    pub severity: Severity,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What happens, and why.
    pub why: &'static str,
    /// What to write instead.
    pub advice: &'static str,
    /// A profile in which it fires.
    pub fires: Sample,
    /// The same profile put right.
    pub silent: Sample,
    /// The check itself.
    pub(super) check: fn(&Subject<'_>, &mut Vec<Note>),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.slug)
    }
}

/// A profile as an example.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The file.
    pub content: Content,
    /// The options beside it, as on the command line; empty for none.
    pub words: &'static str,
    /// The same as a change of the default options.
    pub options: fn(&mut Options),
}

/// A file.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// JSON or TOML.
    Text(&'static str),
    /// A compiled filter.
    Raw(&'static [Insn]),
}

impl Sample {
    pub(super) const fn text(text: &'static str) -> Self {
        Self { content: Content::Text(text), words: "", options: |_| {} }
    }

    pub(super) const fn raw(insns: &'static [Insn]) -> Self {
        Self { content: Content::Raw(insns), words: "", options: |_| {} }
    }

    pub(super) const fn with(self, words: &'static str, options: fn(&mut Options)) -> Self {
        Self { words, options, ..self }
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self.content {
            Content::Text(text) => text.as_bytes().to_vec(),
            Content::Raw(insns) => write_raw(insns),
        }
    }
}
