//! From rules by name to decisions by number, as runc and libseccomp merge and translate them.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::rules::Document;
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
    let full = Calls::merge(document, Width::W64);
    let low = LazyCell::new(|| Calls::merge(document, Width::W32));
    for arch in Arch::ALL {
        let listed = document.architectures.contains(&arch);
        if listed || Arch::NATIVE.contains(&arch) {
            // libseccomp counts x32 among the ABIs with 32-bit arguments.
            let calls = if arch == Arch::X32 || arch.is_32_bit() { &*low } else { &full };
            let above = if listed { calls.newest(document.default, arch) } else { None };
            let mut table = calls.table(document.default, arch, above);
            if arch == Arch::I386 {
                multiplexed(&mut table, document, above);
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
    fn merge(document: &Document<'_>, width: Width) -> Self {
        let default = document.default;
        let mut calls = Self { decisions: vec![None; count()], mentioned: Vec::with_capacity(count()) };
        for rule in &document.rules {
            for call in rule.names.iter().filter_map(|name| lookup(name)) {
                calls.mentioned.push(call);
                if rule.action != default {
                    add(&mut calls.decisions[call.index()], rule.action, &rule.alternatives, default, width);
                }
            }
        }
        calls.decisions.iter_mut().flatten().for_each(strictest_first);
        calls
    }

    /// `above` counts for calls with a rule too: runc asks for it first. That happens under i386, see `newest`.
    fn table(&self, default: Action, arch: Arch, above: Option<(u32, Action)>) -> Table {
        let reached = |number: &u32| above.is_none_or(|(last, _)| *number <= last);
        let decided = names().zip(&self.decisions).filter_map(|(call, decision)| {
            let decision = decision.as_ref()?;
            Some((call.number(arch).filter(reached)?, decision.clone()))
        });
        let mut calls = Vec::with_capacity(self.mentioned.len());
        calls.extend(decided);
        let mut table = Table::with(default, calls);
        if let Some((last, action)) = above {
            table.set_from(last + 1, action);
        }
        table
    }

    /// runc's ENOSYS for calls that are newer than every call named in the profile, whatever the rule says of it.
    /// Not where the default is ENOSYS already: then runc leaves the rules alone.
    fn newest(&self, default: Action, arch: Arch) -> Option<(u32, Action)> {
        if matches!(default, Action::Allow | Action::Log | Action::Trace(_) | Action::Errno(ENOSYS)) {
            return None;
        }
        // libseccomp gives a multiplexed call a made-up negative number under i386, so it does not count.
        let counted = self.mentioned.iter().filter(|call| arch != Arch::I386 || operation(call.name()).is_none());
        let newest = counted.filter_map(|call| call.number(arch)).max()?;
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
            add(merged.entry(*name).or_default(), rule.action, &rule.alternatives, document.default, Width::W64);
        }
    }
    let mut decided: BTreeMap<&str, Decision> =
        merged.into_iter().filter_map(|(name, decision)| Some((name, decision?))).collect();
    decided.values_mut().for_each(strictest_first);
    decided
}

/// Add a rule to what is known of a call, under ABIs with arguments of this width.
fn add(known: &mut Option<Decision>, action: Action, alternatives: &[Vec<Condition>], default: Action, width: Width) {
    let mut add_one = |conditions: Vec<Condition>| match known {
        // An unconditional rule was there before.
        Some(decision) if decision.clauses.is_empty() => {}
        _ if conditions.is_empty() => *known = Some(Decision::always(action)),
        _ => {
            let decision = known.get_or_insert_with(|| Decision::always(default));
            decision.clauses.push(Clause { conditions, action });
        }
    };
    if alternatives.is_empty() {
        add_one(Vec::new());
    }
    for conditions in alternatives {
        let seen = conditions.iter().map(|condition| match width {
            Width::W64 => condition.clone(),
            Width::W32 => condition.narrowed(),
        });
        // libseccomp leaves out a comparison that looks at no bit, and with it the whole condition.
        add_one(seen.filter(|condition| !condition.is_vacuous()).collect());
    }
}

fn strictest_first(decision: &mut Decision) {
    decision.clauses.sort_by_key(|clause| Reverse(clause.action));
}

/// Rules for socket and SysV IPC calls apply to the old multiplexers of i386 too. There argument 0 is the operation and
/// argument 1 a pointer to the call's own arguments. libseccomp puts the operation in place of a condition on argument
/// 0 and leaves the others as they are, though they compare something else then; so do we.
fn multiplexed(table: &mut Table, document: &Document<'_>, above: Option<(u32, Action)>) {
    let default = document.default;
    for multiplexer in MULTIPLEXERS {
        let Some(number) = lookup(multiplexer).and_then(|call| call.number(Arch::I386)) else { continue };
        let mut known = None;
        for rule in document.rules.iter().filter(|rule| rule.action != default) {
            for name in &rule.names {
                if *name == multiplexer {
                    add(&mut known, rule.action, &rule.alternatives, default, Width::W32);
                } else if let Some((carrier, operation)) = operation(name)
                    && carrier == multiplexer
                    && let Some(condition) = Condition::new(0, Width::W32, Test::Eq(operation))
                {
                    let carried = |conditions: &Vec<Condition>| {
                        let others = conditions.iter().filter(|other| other.arg() != 0).cloned();
                        [condition.clone()].into_iter().chain(others).collect()
                    };
                    let alternatives: Vec<Vec<Condition>> = match rule.alternatives.as_slice() {
                        [] => vec![vec![condition]],
                        some => some.iter().map(carried).collect(),
                    };
                    add(&mut known, rule.action, &alternatives, default, Width::W32);
                }
            }
        }
        let reached = above.is_none_or(|(last, _)| number <= last);
        if let Some(mut decision) = known.filter(|_| reached) {
            strictest_first(&mut decision);
            table.set(number, decision);
        }
    }
}
