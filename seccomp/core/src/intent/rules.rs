//! What is written about one call.

use super::condition::condition;
use super::error::IntentError;
use super::node::Node;
use super::read::Result;
use super::{Line, Place, Rule, constants, errno};
use crate::{Action, Clause, MAX_ERRNO};

const EPERM: Action = Action::Errno(1);
const ACTIONS: [&str; 5] = ["allow", "log", "trap", "kill-thread", "kill-process"];

/// How many rules a call may have: with more the filter would be too large anyway.
const MAX_RULES: usize = 256;

/// The two sections that only say one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Allow,
    Deny,
}

impl Kind {
    /// What a line does that says nothing else.
    pub(super) const fn action(self) -> Action {
        match self {
            Self::Allow => Action::Allow,
            Self::Deny => EPERM,
        }
    }
}

impl Line {
    pub(super) fn always(action: Action, why: String, place: Place) -> Self {
        Self { why, rules: Vec::new(), otherwise: action, place, partial: false }
    }

    /// This line's rules first, then those of another. Its own answer to the rest goes, unless it is all that it has.
    pub(super) fn over(mut self, kept: Self, node: &Node<'_>) -> Result<Self> {
        if !self.partial {
            return Ok(self);
        }
        self.rules.extend(kept.rules);
        if self.rules.len() > MAX_RULES {
            return Err(too_many(node));
        }
        Ok(Self { rules: self.rules, ..kept })
    }
}

/// `conditional.CALL`.
pub(super) fn conditional(knobs: &[String], call: &str, node: &Node<'_>, place: Place) -> Result<Line> {
    let body = node.fields()?.only(&["why", "otherwise", "when"])?;
    let otherwise = action(body.need("otherwise", "write the answer where no entry holds")?)?;
    let why = reason(body.need("why", "write who needs the call, or what it would open")?)?;
    let when = body.need("when", "write an array of tables")?;
    let rules = rules(knobs, call, &when.array("tables")?, when, None, &place)?;
    Ok(Line { why, rules, otherwise, place, partial: false })
}

/// `allow.CALL` or `deny.CALL` with a table or several. What is allowed under conditions is refused without them; what is
/// denied under conditions stays as it was without them.
pub(super) fn simple(
    knobs: &[String],
    known: Action,
    call: &str,
    node: &Node<'_>,
    kind: Kind,
    place: Place,
) -> Result<Line> {
    let single = [node.clone()];
    let elements = node.elements();
    let tables = match &elements {
        Some(tables) => tables.as_slice(),
        None if node.is_table() => &single,
        None => return Err(node.wrong("expected the reason as a string, or a table with conditions")),
    };
    if tables.is_empty() {
        return Err(node.wrong("no rule is written"));
    }
    let rules = rules(knobs, call, tables, node, Some(kind), &place)?;
    let why = rules.iter().find_map(|rule| rule.why.clone()).unwrap_or_default();
    let otherwise = match kind {
        Kind::Allow if known.refuses() => known,
        Kind::Allow | Kind::Deny => EPERM,
    };
    Ok(Line { why, rules, otherwise, place, partial: kind == Kind::Deny })
}

fn rules(
    knobs: &[String],
    call: &str,
    tables: &[Node<'_>],
    whole: &Node<'_>,
    kind: Option<Kind>,
    place: &Place,
) -> Result<Vec<Rule>> {
    if tables.len() > MAX_RULES {
        return Err(too_many(whole));
    }
    tables.iter().map(|table| rule(knobs, call, table, kind, place)).collect()
}

fn too_many(node: &Node<'_>) -> IntentError {
    node.wrong(format!("more than {MAX_RULES} rules for one call")).hint("write values in one list: { in = […] }")
}

fn rule(knobs: &[String], call: &str, node: &Node<'_>, kind: Option<Kind>, place: &Place) -> Result<Rule> {
    let mut clause = Clause { conditions: Vec::new(), action: kind.map_or(Action::Allow, Kind::action) };
    let (mut on, mut off, mut why) = (Vec::new(), Vec::new(), None);
    for (key, value) in node.fields()?.entries {
        match key {
            "if" => on = knob_list(knobs, &value)?,
            "unless" => off = knob_list(knobs, &value)?,
            "then" => clause.action = answer(&value, kind)?,
            "why" => why = Some(reason(&value)?),
            argument => clause.conditions.push(condition(call, argument, &value)?),
        }
    }
    let place = Place { file: place.file.clone(), line: node.line() };
    Ok(Rule { on, off, clause, why, written: node.written(), place })
}

/// `then`, which must not turn the section's meaning round.
fn answer(node: &Node<'_>, kind: Option<Kind>) -> Result<Action> {
    let action = action(node)?;
    match kind {
        Some(Kind::Allow) if !action.permits() => {
            Err(node.wrong("what is refused stands under `deny`").hint("here write \"allow\" or \"log\""))
        }
        Some(Kind::Deny) if !action.refuses() => Err(node
            .wrong("what is permitted stands under `allow`")
            .hint("here write an errno, \"trap\" or \"kill-process\"")),
        _ => Ok(action),
    }
}

pub(super) fn action(node: &Node<'_>) -> Result<Action> {
    if let Some(number) = node.integer() {
        let number = number?;
        return u16::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_ERRNO).contains(number))
            .map(Action::Errno)
            .ok_or_else(|| node.wrong(format!("an errno is a number from 1 to {MAX_ERRNO}")));
    }
    action_named(node.str()?, &node.wrong(""))
}

/// An action by name; `error` is completed where it is none.
pub(super) fn action_named(name: &str, error: &IntentError) -> Result<Action> {
    Ok(match name {
        "allow" => Action::Allow,
        "log" => Action::Log,
        "trap" => Action::Trap,
        "kill-thread" => Action::KillThread,
        "kill-process" | "kill" => Action::KillProcess,
        other => Action::Errno(errno(other).ok_or_else(|| {
            let problem = format!("{other} is neither an errno nor {}", ACTIONS.join(", "));
            let known = constants().map(|(name, _)| name).filter(|name| errno(name).is_some()).chain(ACTIONS);
            IntentError { problem, ..error.clone() }.meant(other, known)
        })?),
    })
}

pub(super) fn reason(node: &Node<'_>) -> Result<String> {
    let text = node.str()?;
    if text.trim().is_empty() {
        return Err(node.wrong("every line needs a reason"));
    }
    Ok(text.to_owned())
}

pub(super) fn knob_list(knobs: &[String], node: &Node<'_>) -> Result<Vec<String>> {
    node.strings()?
        .into_iter()
        .map(|knob| match knobs.iter().any(|known| known == knob) {
            true => Ok(knob.to_owned()),
            false => {
                let error = node.wrong(format!("the profile has no knob {knob}"));
                Err(error.meant(knob, knobs.iter().map(String::as_str)))
            }
        })
        .collect()
}
