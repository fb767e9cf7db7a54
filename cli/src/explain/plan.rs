//! The launch plan in words: what happens inside the container before the workload.

use zerocap_plan::{LaunchPlan, Missing};

use crate::rights::{Kind, names};
use crate::table::clean;

/// One step of the launcher.
pub struct Step {
    /// What it works with.
    pub what: &'static str,
    /// In detail.
    pub detail: String,
}

/// The steps in their order.
pub fn steps(plan: &LaunchPlan) -> Vec<Step> {
    let mut steps = vec![
        step("undumpable", "no neighbour of the same uid can read or trace it"),
        step("descriptors", "everything but 0, 1, 2 is closed; those must not be directories or sockets"),
    ];
    if let Some(landlock) = &plan.landlock {
        push_mask(&mut steps, "Landlock files", Kind::Fs, landlock.handled_fs);
        for rule in &landlock.paths {
            let missing = match rule.missing {
                Missing::Skip => "",
                Missing::Fail => " (must exist)",
            };
            let path = clean(&String::from_utf8_lossy(&rule.path));
            steps.push(step(
                "  beneath",
                format!("{path}: {}{missing}", rights(Kind::Fs, rule.access, landlock.handled_fs)),
            ));
        }
        push_mask(&mut steps, "Landlock TCP", Kind::Net, landlock.handled_net);
        for rule in &landlock.ports {
            steps.push(step("  port", format!("{}: {}", rule.port, names(Kind::Net, rule.access).join(", "))));
        }
        push_mask(&mut steps, "Landlock scopes", Kind::Scope, landlock.scoped);
    }
    if let Some(port) = plan.forbidden_connect {
        steps.push(step("self-test", format!("a connect to port {port} must be refused, or nothing starts")));
    }
    for filter in &plan.filters {
        let cookie = if filter.cookie.is_empty() { "" } else { ", the launcher's last calls by cookie" };
        steps.push(step("seccomp", format!("a filter of {} instructions{cookie}", filter.insns.len())));
    }
    if plan.native_abi_only {
        steps.push(step("ABI", "programs of another ABI are refused with a sentence of their own"));
    }
    steps.push(step("parked", "until the shim has read all this back from the kernel; then execve"));
    steps
}

fn step(what: &'static str, detail: impl Into<String>) -> Step {
    Step { what, detail: detail.into() }
}

fn push_mask(steps: &mut Vec<Step>, what: &'static str, kind: Kind, mask: u64) {
    if mask != 0 {
        steps.push(step(what, format!("refused unless listed: {}", rights(kind, mask, mask))));
    }
}

/// The names, or "everything" where nothing that is handled is missing from a rule.
fn rights(kind: Kind, access: u64, handled: u64) -> String {
    let listed = names(kind, access);
    if access == handled && listed.len() > 4 { format!("all {} rights", listed.len()) } else { listed.join(", ") }
}
