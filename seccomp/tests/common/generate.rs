//! Random profiles: every action, every test, values on both sides of the halves of an argument.

use proptest::prelude::*;
use zerocap_seccomp::{Action, Arch, Clause, Condition, Decision, Profile, Table, Test, Width};

pub fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Allow),
        2 => (0u16..50).prop_map(Action::Errno),
        1 => Just(Action::Log),
        1 => (0u16..5).prop_map(Action::Trace),
        1 => Just(Action::Notify),
        1 => Just(Action::Trap),
        1 => Just(Action::KillThread),
        1 => Just(Action::KillProcess),
    ]
}

pub fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..4,
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (0u64..3, 0u64..3).prop_map(|(high, low)| high << 32 | low),
        (0u32..64).prop_map(|bit| 1 << bit),
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
    ]
}

pub fn condition() -> impl Strategy<Value = Condition> {
    let test = prop_oneof![
        value().prop_map(Test::Eq),
        value().prop_map(Test::Ne),
        value().prop_map(Test::Lt),
        value().prop_map(Test::Le),
        value().prop_map(Test::Gt),
        value().prop_map(Test::Ge),
        (value(), value()).prop_map(|(mask, datum)| Test::MaskedEq { mask, datum }),
        (value(), value()).prop_map(|(mask, datum)| Test::MaskedNe { mask, datum }),
        (prop_oneof![Just(u64::MAX), value()], proptest::collection::vec(value(), 0..12))
            .prop_map(|(mask, values)| Test::OneOf { mask, values }),
    ];
    (0u8..3, prop_oneof![Just(Width::W32), Just(Width::W64)], test)
        .prop_map(|(arg, width, test)| Condition::new(arg, width, test).expect("below six"))
}

pub fn decision() -> impl Strategy<Value = Decision> {
    let clause = (proptest::collection::vec(condition(), 0..3), action())
        .prop_map(|(conditions, action)| Clause { conditions, action });
    (proptest::collection::vec(clause, 0..4), action()).prop_map(|(clauses, otherwise)| Decision { clauses, otherwise })
}

pub fn table(entries: std::ops::Range<usize>) -> impl Strategy<Value = Table> {
    (
        action(),
        proptest::collection::vec((0u32..600, action()), 0..3),
        proptest::collection::vec((0u32..500, decision()), entries),
    )
        .prop_map(|(default, above, calls)| {
            let mut table = Table::with(default, calls);
            for (first, action) in above {
                table.set_from(first, action);
            }
            table
        })
}

pub fn profile(entries: std::ops::Range<usize>) -> impl Strategy<Value = Profile> {
    let tables = proptest::collection::vec(proptest::option::of(table(entries)), 5);
    (action(), tables).prop_map(|(foreign, tables)| {
        let mut profile = Profile::new(foreign);
        for (arch, table) in Arch::ALL.into_iter().zip(tables) {
            if let Some(table) = table {
                profile.set_table(arch, table);
            }
        }
        profile
    })
}
