//! Changing a profile by name only.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::error::Error;
use super::{meaning, rules};
use crate::launcher::example_args;
use crate::{Action, Decision};

const EPERM: u16 = 1;

/// A changed profile and what was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Narrowed {
    /// `linux.seccomp` to be written into the spec.
    pub seccomp: Value,
    /// Names of `add` that the profile did not allow as the launcher makes them, and that are allowed now. If there are
    /// any, the original profile has to be loaded as a further filter, or the result is weaker than it was.
    pub added: Vec<String>,
    /// Names of `deny` that the profile allowed at least under some condition, and that are refused now.
    pub removed: Vec<String>,
}

/// Take the names of `deny` away from a profile, and make sure that those of `add` are allowed (also where `deny` has
/// them). Everything else in the document stays as it is, unknown keys included. Null, or a document that stands for "no seccomp",
/// becomes a profile that allows all but the denied names.
///
/// By name only, since OCI JSON cannot express two conditions on one argument and engines disagree on masked compares.
/// A refused name is *listed* with ERRNO rather than left out: runc answers ENOSYS to calls newer than the newest one
/// listed, and leaving out a name would move that line.
///
/// # Errors
///
/// [`Error`] if the profile is one that [`read`](super::read) refuses.
pub fn narrow(seccomp: &Value, deny: &BTreeSet<&str>, add: &[&str]) -> Result<Narrowed, Error> {
    let deny: BTreeSet<&str> = deny.iter().copied().filter(|name| !add.contains(name)).collect();
    let (default, known) = match rules::parse(seccomp)? {
        None => (Action::Allow, BTreeMap::new()),
        Some(document) => {
            let known = meaning::by_name(&document, |name| deny.contains(name) || add.contains(&name));
            (document.default, known)
        }
    };
    let default_decision = Decision::always(default);
    let decision = |name: &str| known.get(name).unwrap_or(&default_decision);

    let missing: BTreeSet<&str> = add.iter().copied().filter(|name| !allows(name, decision(name))).collect();
    // A name that is refused already, whatever the arguments, keeps its own rules, which may be stricter.
    let refuse: BTreeSet<&str> =
        deny.into_iter().filter(|name| !answers(decision(name)).all(Action::refuses)).collect();

    let mut document = match seccomp {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    let mut syscalls = match document.remove("syscalls") {
        Some(Value::Array(rules)) => rules,
        _ => Vec::new(),
    };
    for rule in &mut syscalls {
        if let Some(Value::Array(names)) = rule.get_mut("names") {
            names.retain(|name| name.as_str().is_none_or(|name| !refuse.contains(name) && !missing.contains(name)));
        }
    }
    syscalls.retain(|rule| rule.get("names").and_then(Value::as_array).is_some_and(|names| !names.is_empty()));
    let mut by_action: BTreeMap<Action, Vec<&str>> = BTreeMap::new();
    for name in &refuse {
        by_action.entry(refusal(decision(name))).or_default().push(name);
    }
    syscalls.extend(by_action.into_iter().map(|(action, names)| refusing_rule(action, &names)));
    if !missing.is_empty() {
        syscalls.push(json!({ "names": missing, "action": "SCMP_ACT_ALLOW" }));
    }
    if document.get("defaultAction").is_none_or(|action| action.as_str().is_none_or(str::is_empty)) {
        document.insert("defaultAction".to_owned(), "SCMP_ACT_ALLOW".into());
    }
    document.insert("syscalls".to_owned(), syscalls.into());
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    Ok(Narrowed { seccomp: document.into(), added: owned(missing), removed: owned(refuse) })
}

/// Does the profile allow this call, as the launcher makes it?
fn allows(name: &str, decision: &Decision) -> bool {
    decision.unconditional() == Some(Action::Allow)
        || example_args(name).is_some_and(|args| decision.action(&args) == Action::Allow)
}

/// Every answer that a decision can give.
fn answers(decision: &Decision) -> impl Iterator<Item = Action> {
    decision.clauses.iter().map(|clause| clause.action).chain([decision.otherwise])
}

/// How to refuse a call from now on: as strictly as the profile refuses it under any condition.
fn refusal(decision: &Decision) -> Action {
    answers(decision).filter(|action| action.refuses()).max().unwrap_or(Action::Errno(EPERM))
}

fn refusing_rule(action: Action, names: &[&str]) -> Value {
    match action {
        Action::KillProcess => json!({ "names": names, "action": "SCMP_ACT_KILL_PROCESS" }),
        Action::KillThread => json!({ "names": names, "action": "SCMP_ACT_KILL" }),
        Action::Trap => json!({ "names": names, "action": "SCMP_ACT_TRAP" }),
        Action::Errno(errno) => json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno }),
        // `refusal` gives none of these.
        Action::Allow | Action::Log | Action::Trace(_) | Action::Notify => {
            json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM })
        }
    }
}
