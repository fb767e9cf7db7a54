//! The differences that are meant, and the comparison that knows them.

use serde::Deserialize;

use zerocap_e2e::task::Shim;

/// The list, with a reason for each.
const LIST: &str = include_str!("allowed.toml");
/// More differences than this are not a replacement.
const MOST: usize = 10;

/// One difference that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// A short name.
    pub id: String,
    /// What an operator would notice.
    pub notice: String,
    /// Why it is so.
    pub reason: String,
    /// Beginnings of the names of the scenarios in which it shows.
    pub scenarios: Vec<String>,
    /// The engine with which it shows; both if empty.
    #[serde(default)]
    pub engine: String,
    /// Only in confined containers.
    #[serde(default)]
    pub confined: bool,
    /// What containerd's line contains, and what ours does instead. Empty: the line is only in the other trace.
    pub lines: Vec<(String, String)>,
}

/// Something that confinement itself brings about, which no trace of the task API shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What an operator notices.
    pub notice: String,
    /// Why it is so.
    pub reason: String,
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Differences between traces.
    pub difference: Vec<Allowed>,
    /// What is different where no scenario goes.
    pub beside: Vec<Notice>,
    /// What else is different in confined pods.
    pub confined: Vec<Notice>,
}

/// Reads the list.
pub fn read() -> Result<List, String> {
    toml::from_str(LIST).map_err(|error| error.to_string())
}

/// Holds the list to its bounds.
pub fn check(list: &[Allowed]) -> Result<(), String> {
    if list.len() > MOST {
        return Err(format!("{} differences are allowed, {MOST} at most", list.len()));
    }
    for one in list {
        if one.reason.len() < 40 || one.notice.is_empty() || one.lines.is_empty() {
            return Err(format!("{} says too little", one.id));
        }
    }
    Ok(())
}

impl Allowed {
    fn is_about(&self, scenario: &str, engine: &str, shim: Shim) -> bool {
        (self.engine.is_empty() || self.engine == engine)
            && (!self.confined || shim == Shim::Confined)
            && self.scenarios.iter().any(|beginning| scenario.starts_with(beginning.as_str()))
    }
}

/// Lines in which the traces differ, but for allowed ones. `used` is told the index of each difference that shows.
pub fn differences(
    scenario: &str,
    engine: &str,
    shim: Shim,
    reference: &[String],
    ours: &[String],
    allowed: &[Allowed],
    used: &mut impl FnMut(usize),
) -> Vec<String> {
    let about = allowed.iter().enumerate().filter(|(_, one)| one.is_about(scenario, engine, shim)).collect::<Vec<_>>();
    let (mut left, mut right) = (reference.iter().peekable(), ours.iter().peekable());
    let mut found = Vec::new();
    loop {
        let (theirs, own) =
            (left.peek().map_or("", |line| line.as_str()), right.peek().map_or("", |line| line.as_str()));
        if left.peek().is_none() && right.peek().is_none() {
            return found;
        }
        let both = !theirs.is_empty() && !own.is_empty();
        let pairs = about.iter().flat_map(|(index, one)| one.lines.iter().map(|pair| (*index, pair)));
        let meant = pairs.into_iter().find(|(_, pair)| match (pair.0.as_str(), pair.1.as_str()) {
            ("", text) => own.contains(text),
            (text, "") => theirs.contains(text),
            (one, other) => both && theirs.contains(one) && own.contains(other),
        });
        match meant {
            _ if both && theirs == own => {
                left.next();
                right.next();
            }
            Some((index, pair)) => {
                used(index);
                if !pair.0.is_empty() {
                    left.next();
                }
                if !pair.1.is_empty() {
                    right.next();
                }
            }
            None => {
                found.extend(left.next().map(|line| format!("  - {line}")));
                found.extend(right.next().map(|line| format!("  + {line}")));
            }
        }
    }
}
