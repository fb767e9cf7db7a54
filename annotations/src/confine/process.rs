//! The process: capabilities, no_new_privs, core limit, and the launcher before the arguments.

use serde_json::{Map, Value, json};

use super::facts::Namespace;
use super::{Parts, Target};
use crate::policy::Policy;
use crate::report::Change;

/// The five capability sets. Each is written as an explicit empty array: `{}` lets one engine keep what it has.
const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];
/// With a limit of 0 the kernel still feeds a pipe handler on the node; at 1 it skips the pipe, and a core file of one
/// byte is none.
pub const CORE_LIMIT: u64 = 1;
const CORE: &str = "RLIMIT_CORE";

/// Rewrites a process whose shape was checked.
pub(super) fn rewrite(process: &mut Value, target: Target<'_>, parts: &Parts<'_>, changes: &mut Vec<Change>) {
    let policy = parts.policy;
    let Some(process) = process.as_object_mut() else { return };
    if policy.platform() {
        empty_capabilities(process, changes);
    }
    no_new_privs(process, changes);
    if target != Target::Sandbox {
        if policy.platform() {
            no_core(process, inherits_core_limit(target, parts), changes);
        }
        launcher_first(process, changes);
    }
}

fn empty_capabilities(process: &mut Map<String, Value>, changes: &mut Vec<Change>) {
    let empty: Map<String, Value> = SETS.iter().map(|set| ((*set).to_owned(), json!([]))).collect();
    process.insert("capabilities".into(), Value::Object(empty));
    changes.push(Change::new("/process/capabilities", "five empty sets"));
}

fn no_new_privs(process: &mut Map<String, Value>, changes: &mut Vec<Change>) {
    if process.insert("noNewPrivileges".into(), Value::Bool(true)) != Some(Value::Bool(true)) {
        changes.push(Change::new("/process/noNewPrivileges", "set"));
    }
}

/// Whether the process has its core limit from the engine's own process: setrlimit(2) asks for a privilege over the user
/// namespace that nobody on this node has where the CRI made the namespace in the pod's name.
pub(super) fn inherits_core_limit(target: Target<'_>, parts: &Parts<'_>) -> bool {
    let joined = matches!(parts.facts.user, Namespace::Joined(_));
    expects_no_core(target, parts.policy) && joined && !parts.host.limits_any_user
}

/// Whether the process may not leave a core.
pub(super) fn expects_no_core(target: Target<'_>, policy: &Policy) -> bool {
    policy.platform() && target != Target::Sandbox && target.in_container()
}

fn no_core(process: &mut Map<String, Value>, inherited: bool, changes: &mut Vec<Change>) {
    let is_core = |limit: &Value| {
        limit.get("type").and_then(Value::as_str).is_some_and(|kind| kind.to_ascii_uppercase().ends_with("CORE"))
    };
    let mut limits = match process.remove("rlimits") {
        Some(Value::Array(limits)) => limits,
        _ => Vec::new(),
    };
    limits.retain(|limit| !is_core(limit));
    if !inherited {
        limits.push(json!({ "type": CORE, "hard": CORE_LIMIT, "soft": CORE_LIMIT }));
    }
    process.insert("rlimits".into(), Value::Array(limits));
    changes.push(Change::new("/process/rlimits", "no core dumps, neither to files nor to a handler on the node"));
}

fn launcher_first(process: &mut Map<String, Value>, changes: &mut Vec<Change>) {
    if let Some(Value::Array(args)) = process.get_mut("args") {
        args.insert(0, Value::String(zerocap_plan::PROGRAM.to_owned()));
        changes.push(Change::new("/process/args/0", "the launcher, which then executes the workload"));
    }
}
