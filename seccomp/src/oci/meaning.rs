//! From rules by name to decisions by number, as runc and libseccomp merge and translate them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::rules::{Document, Rule};
use crate::{
    Action, Arch, Clause, Condition, Decision, Profile, Syscall, Table, Test, Width, X32_BIT, count, lookup, names,
};

const ENOSYS: u16 = 38;

/// The old i386 calls that carry others as an operation: their names, and which operation of which they carry under a
/// name of its own (`linux/net.h`, `linux/ipc.h`).
const MULTIPLEXERS: [&str; 2] = ["socketcall", "ipc"];

fn operation(name: &str) -> Option<(&'static str, u64)> {
    let socketcall = |number| Some((MULTIPLEXERS[0], number));
    let ipc = |number| Some((MULTIPLEXERS[1], number));
    match name {
        "socket" => socketcall(1),
        "bind" => socketcall(2),
        "connect" => socketcall(3),
        "listen" => socketcall(4),
        "accept" => socketcall(5),
        "getsockname" => socketcall(6),
        "getpeername" => socketcall(7),
        "socketpair" => socketcall(8),
        "send" => socketcall(9),
        "recv" => socketcall(10),
        "sendto" => socketcall(11),
        "recvfrom" => socketcall(12),
        "shutdown" => socketcall(13),
        "setsockopt" => socketcall(14),
        "getsockopt" => socketcall(15),
        "sendmsg" => socketcall(16),
        "recvmsg" => socketcall(17),
        "accept4" => socketcall(18),
        "recvmmsg" => socketcall(19),
        "sendmmsg" => socketcall(20),
        "semop" => ipc(1),
        "semget" => ipc(2),
        "semctl" => ipc(3),
        "semtimedop" => ipc(4),
        "msgsnd" => ipc(11),
        "msgrcv" => ipc(12),
        "msgget" => ipc(13),
        "msgctl" => ipc(14),
        "shmat" => ipc(21),
        "shmdt" => ipc(22),
        "shmget" => ipc(23),
        "shmctl" => ipc(24),
        _ => None,
    }
}

pub(super) fn profile(document: &Document<'_>) -> Profile {
    // libseccomp's action for an ABI that was not added is SCMP_ACT_KILL.
    let mut profile = Profile::new(Action::KillThread);
    profile.flags = document.flags;
    let calls = Calls::merge(&document.rules, document.default);
    for arch in Arch::ALL {
        let listed = document.architectures.contains(&arch);
        if listed || Arch::NATIVE.contains(&arch) {
            let mut table = calls.table(document.default, arch);
            if arch == Arch::I386 {
                multiplexed(&mut table, &document.rules, document.default);
            }
            if listed {
                table.above = calls.newest(document.default, arch);
            }
            profile.set_table(arch, table);
        }
    }
    profile
}

/// Decisions by name, before anything is known of ABIs.
struct Calls {
    /// By place in the list of all calls.
    decisions: Vec<Option<Decision>>,
    /// Which are mentioned at all, also by rules that are dropped.
    mentioned: Vec<Syscall>,
}

impl Calls {
    fn merge(rules: &[Rule<'_>], default: Action) -> Self {
        let mut calls = Self { decisions: vec![None; count()], mentioned: Vec::with_capacity(count()) };
        for rule in rules {
            for call in rule.names.iter().filter_map(|name| lookup(name)) {
                calls.mentioned.push(call);
                if rule.action != default {
                    add(&mut calls.decisions[call.index()], rule.action, &rule.alternatives, default);
                }
            }
        }
        calls.decisions.iter_mut().flatten().for_each(strictest_first);
        calls
    }

    fn table(&self, default: Action, arch: Arch) -> Table {
        let decided = names().zip(&self.decisions).filter_map(|(call, decision)| {
            let decision = decision.as_ref()?;
            Some((call.number(arch)?, if arch.is_32_bit() { narrowed(decision) } else { decision.clone() }))
        });
        let mut calls = Vec::with_capacity(self.mentioned.len());
        calls.extend(decided);
        Table::with(default, calls)
    }

    /// runc's ENOSYS for calls that are newer than every call named in the profile, whatever the rule says of it.
    fn newest(&self, default: Action, arch: Arch) -> Option<(u32, Action)> {
        if matches!(default, Action::Allow | Action::Log | Action::Trace(_)) {
            return None;
        }
        let newest = self.mentioned.iter().filter_map(|call| call.number(arch)).max()?;
        // runc takes the number 0 for "found none"; x32 numbers carry their bit there.
        let found = newest | if arch == Arch::X32 { X32_BIT } else { 0 };
        (found != 0).then_some((newest, Action::Errno(ENOSYS)))
    }
}

/// What the rules say of the calls for which `wanted` holds, by name, whether or not the tables have them.
pub(super) fn by_name<'a>(document: &Document<'a>, wanted: impl Fn(&str) -> bool) -> BTreeMap<&'a str, Decision> {
    let mut merged: BTreeMap<&str, Option<Decision>> = BTreeMap::new();
    for rule in document.rules.iter().filter(|rule| rule.action != document.default) {
        for name in rule.names.iter().filter(|name| wanted(name)) {
            add(merged.entry(*name).or_default(), rule.action, &rule.alternatives, document.default);
        }
    }
    let mut decided: BTreeMap<&str, Decision> =
        merged.into_iter().filter_map(|(name, decision)| Some((name, decision?))).collect();
    decided.values_mut().for_each(strictest_first);
    decided
}

/// Add a rule to what is known of a call.
fn add(known: &mut Option<Decision>, action: Action, alternatives: &[Vec<Condition>], default: Action) {
    match known {
        Some(decision) if decision.clauses.is_empty() => {}
        _ if alternatives.is_empty() => *known = Some(Decision::always(action)),
        _ => {
            let decision = known.get_or_insert_with(|| Decision::always(default));
            let clauses = alternatives.iter().map(|conditions| Clause { conditions: conditions.clone(), action });
            decision.clauses.extend(clauses);
        }
    }
}

fn strictest_first(decision: &mut Decision) {
    decision.clauses.sort_by_key(|clause| Reverse(clause.action));
}

/// What libseccomp compares for an ABI whose arguments have 32 bits.
fn narrowed(decision: &Decision) -> Decision {
    let clauses = decision.clauses.iter().map(|clause| Clause {
        conditions: clause.conditions.iter().map(Condition::narrowed).collect(),
        action: clause.action,
    });
    Decision { clauses: clauses.collect(), otherwise: decision.otherwise }
}

/// Rules for socket and SysV IPC calls apply to the old multiplexers of i386 too; a filter cannot see the call's own
/// arguments there.
fn multiplexed(table: &mut Table, rules: &[Rule<'_>], default: Action) {
    for multiplexer in MULTIPLEXERS {
        let Some(number) = lookup(multiplexer).and_then(|call| call.number(Arch::I386)) else { continue };
        let mut known = None;
        for rule in rules.iter().filter(|rule| rule.action != default) {
            for name in &rule.names {
                if *name == multiplexer {
                    add(&mut known, rule.action, &rule.alternatives, default);
                } else if let Some((carrier, operation)) = operation(name)
                    && carrier == multiplexer
                    && let Some(condition) = Condition::new(0, Width::W32, Test::Eq(operation))
                {
                    add(&mut known, rule.action, &[vec![condition]], default);
                }
            }
        }
        if let Some(mut decision) = known {
            strictest_first(&mut decision);
            table.set(number, narrowed(&decision));
        }
    }
}
