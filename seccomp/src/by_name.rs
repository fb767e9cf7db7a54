//! A profile as OCI JSON, by name only: what every engine reads alike.
//!
//! OCI JSON cannot say "and" about one argument, and engines disagree on masked compares. So a call that depends on its
//! arguments is allowed here whenever some arguments are, and what decides between them is reported: a last layer,
//! the compiled filter, has to keep it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Action, Arch, Decision, Profile, names};

const ENOSYS: u16 = 38;

/// A profile by name.
#[derive(Debug, Clone, PartialEq)]
pub struct ByName {
    /// `linux.seccomp` of an OCI spec.
    pub seccomp: Value,
    /// Calls whose arguments decide, sorted: allowed here, judged by the last layer.
    pub moved: Vec<&'static str>,
    /// What calls that the tables do not know are answered in the profile, if that is not what this JSON can say.
    pub unknown: Option<Action>,
}

/// Write a profile for one native architecture. No call is refused here that the profile permits for some arguments.
#[must_use]
pub fn write(profile: &Profile, native: Arch) -> ByName {
    let mut by_action: BTreeMap<Action, Vec<&'static str>> = BTreeMap::new();
    let mut moved = Vec::new();
    let table = profile.table(native);
    for call in names() {
        let Some(number) = call.number(native) else { continue };
        let missing = || Decision::always(table.map_or(profile.foreign, |table| table.missing(number)));
        let decision = table.and_then(|table| table.get(number).cloned()).unwrap_or_else(missing);
        let action = match decision.unconditional() {
            Some(action) => action,
            None => {
                moved.push(call.name());
                laxest(&decision)
            }
        };
        by_action.entry(action).or_default().push(call.name());
    }
    let wanted = table.map_or(profile.foreign, |table| table.missing(u32::MAX));
    // A default that lets calls through would be a list of refusals, in which unknown names are skipped in silence.
    let default = if wanted.refuses() { wanted } else { Action::Errno(ENOSYS) };
    // A rule like the default is dropped by libseccomp, but runc counts its names: it answers ENOSYS to calls newer than
    // the newest one listed.
    let listed = |action: &Action| *action != default || default != Action::Errno(ENOSYS);
    let rules: Vec<Value> =
        by_action.iter().filter(|(action, _)| listed(action)).map(|(action, names)| rule(names, *action)).collect();
    let mut seccomp = json!({
        "defaultAction": word(default),
        "architectures": [native.scmp()],
        "syscalls": rules,
    });
    if let Action::Errno(errno) = default {
        seccomp["defaultErrnoRet"] = errno.into();
    }
    ByName { seccomp, moved, unknown: (default != wanted).then_some(wanted) }
}

fn laxest(decision: &Decision) -> Action {
    let answers = decision.clauses.iter().map(|clause| clause.action).chain([decision.otherwise]);
    answers.min().unwrap_or(decision.otherwise)
}

fn rule(names: &[&str], action: Action) -> Value {
    let mut rule = json!({ "names": names, "action": word(action) });
    if let Action::Errno(number) | Action::Trace(number) = action {
        rule["errnoRet"] = number.into();
    }
    rule
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "SCMP_ACT_ALLOW",
        Action::Log => "SCMP_ACT_LOG",
        Action::Trace(_) => "SCMP_ACT_TRACE",
        Action::Notify => "SCMP_ACT_NOTIFY",
        Action::Errno(_) => "SCMP_ACT_ERRNO",
        Action::Trap => "SCMP_ACT_TRAP",
        Action::KillThread => "SCMP_ACT_KILL_THREAD",
        Action::KillProcess => "SCMP_ACT_KILL_PROCESS",
    }
}
