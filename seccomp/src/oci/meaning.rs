//! From rules by name to decisions by number, as runc and libseccomp merge and translate them.

use std::collections::BTreeMap;

use super::rules::{Document, Rule};
use crate::{Action, Arch, Clause, Condition, Decision, Profile, Table, Test, Width, X32_BIT, lookup};

const ENOSYS: u16 = 38;

/// i386 calls that also exist as an operation of `socketcall` or `ipc`, with the operation's number
/// (`linux/net.h`, `linux/ipc.h`).
const MULTIPLEXED: &[(&str, &[(&str, u64)])] = &[
    (
        "socketcall",
        &[
            ("socket", 1),
            ("bind", 2),
            ("connect", 3),
            ("listen", 4),
            ("accept", 5),
            ("getsockname", 6),
            ("getpeername", 7),
            ("socketpair", 8),
            ("send", 9),
            ("recv", 10),
            ("sendto", 11),
            ("recvfrom", 12),
            ("shutdown", 13),
            ("setsockopt", 14),
            ("getsockopt", 15),
            ("sendmsg", 16),
            ("recvmsg", 17),
            ("accept4", 18),
            ("recvmmsg", 19),
            ("sendmmsg", 20),
        ],
    ),
    (
        "ipc",
        &[
            ("semop", 1),
            ("semget", 2),
            ("semctl", 3),
            ("semtimedop", 4),
            ("msgsnd", 11),
            ("msgrcv", 12),
            ("msgget", 13),
            ("msgctl", 14),
            ("shmat", 21),
            ("shmdt", 22),
            ("shmget", 23),
            ("shmctl", 24),
        ],
    ),
];

pub(super) fn profile(document: &Document<'_>) -> Profile {
    // libseccomp's action for an ABI that was not added is SCMP_ACT_KILL.
    let mut profile = Profile::new(Action::KillThread);
    profile.flags = document.flags;
    let by_name = merge(&document.rules, document.default);
    for arch in Arch::ALL {
        let listed = document.architectures.contains(&arch);
        if listed || Arch::NATIVE.contains(&arch) {
            let mut table = table(&by_name, document.default, arch);
            if arch == Arch::I386 {
                multiplexed(&mut table, &document.rules, document.default);
            }
            if listed {
                table.above = newest(&document.rules, document.default, arch);
            }
            profile.set_table(arch, table);
        }
    }
    profile
}

/// Decisions by name, before anything is known of ABIs.
pub(super) fn merge<'a>(rules: &[Rule<'a>], default: Action) -> BTreeMap<&'a str, Decision> {
    let mut merged = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.action != default) {
        for name in &rule.names {
            add(merged.entry(*name).or_insert(None), rule, &rule.alternatives, default);
        }
    }
    merged.into_iter().filter_map(|(name, decision)| decision.map(|d| (name, strictest_first(d)))).collect()
}

/// Add a rule to what is known of a call.
fn add(known: &mut Option<Decision>, rule: &Rule<'_>, alternatives: &[Vec<Condition>], default: Action) {
    match known {
        Some(decision) if decision.clauses.is_empty() => {}
        _ if alternatives.is_empty() => *known = Some(Decision::always(rule.action)),
        _ => {
            let decision = known.get_or_insert_with(|| Decision::always(default));
            decision.clauses.extend(
                alternatives.iter().map(|conditions| Clause { conditions: conditions.clone(), action: rule.action }),
            );
        }
    }
}

fn strictest_first(mut decision: Decision) -> Decision {
    decision.clauses.sort_by_key(|clause| std::cmp::Reverse(clause.action));
    decision
}

fn table(by_name: &BTreeMap<&str, Decision>, default: Action, arch: Arch) -> Table {
    let mut table = Table::new(default);
    for (name, decision) in by_name {
        if let Some(number) = lookup(name).and_then(|call| call.number(arch)) {
            table.set(number, if arch.is_32_bit() { narrowed(decision) } else { decision.clone() });
        }
    }
    table
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
    for (multiplexer, operations) in MULTIPLEXED {
        let Some(number) = lookup(multiplexer).and_then(|call| call.number(Arch::I386)) else { continue };
        let mut known = None;
        for rule in rules.iter().filter(|rule| rule.action != default) {
            for name in &rule.names {
                if name == multiplexer {
                    add(&mut known, rule, &rule.alternatives, default);
                } else if let Some((_, operation)) = operations.iter().find(|(operation, _)| operation == name)
                    && let Some(condition) = Condition::new(0, Width::W32, Test::Eq(*operation))
                {
                    add(&mut known, rule, &[vec![condition]], default);
                }
            }
        }
        if let Some(decision) = known {
            table.set(number, narrowed(&strictest_first(decision)));
        }
    }
}

/// runc's ENOSYS for calls that are newer than every call named in the profile, whatever the rule says of it.
fn newest(rules: &[Rule<'_>], default: Action, arch: Arch) -> Option<(u32, Action)> {
    if matches!(default, Action::Allow | Action::Log | Action::Trace(_)) {
        return None;
    }
    let names = rules.iter().flat_map(|rule| &rule.names);
    let newest = names.filter_map(|name| lookup(name)?.number(arch)).max()?;
    // runc takes the number 0 for "found none"; x32 numbers carry their bit there.
    let found = newest | if arch == Arch::X32 { X32_BIT } else { 0 };
    (found != 0).then_some((newest, Action::Errno(ENOSYS)))
}
