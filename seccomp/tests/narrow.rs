//! Narrowing by name only tightens, and lets the launcher through.

mod common;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use zerocap_seccomp::preset::{LastLayer, refused_names};
use zerocap_seccomp::{Action, Arch, Decision, LAUNCHER_CALLS, Profile, SeccompData, lookup, names, oci, stack};

fn by_name(profile: &Profile, arch: Arch, name: &str, args: [u64; 6]) -> Option<Action> {
    let nr = lookup(name)?.number(arch)?;
    Some(profile.action(arch, &SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args }))
}

#[test]
fn a_denied_name_is_refused_and_listed() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "x-kept": 1, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["read", "mseal"], "action": "SCMP_ACT_ALLOW", "x-kept": 2 }, { "names": ["mseal"], "action": "SCMP_ACT_LOG" }] });
    let narrowed = oci::narrow(&profile, &["mseal", "ptrace"].into(), &["read"]).expect("valid");
    assert_eq!(narrowed.added, Vec::<String>::new());
    assert_eq!(narrowed.removed, ["mseal"], "ptrace was refused before");
    assert_eq!(
        narrowed.seccomp,
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "x-kept": 1, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_ALLOW", "x-kept": 2 },
            { "names": ["mseal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 },
        ] })
    );
    // The line above which runc answers ENOSYS has not moved.
    let read = oci::read(&narrowed.seccomp).expect("valid");
    assert_eq!(by_name(&read, Arch::X86_64, "futex_requeue", [0; 6]), Some(Action::Errno(1)));
    assert_eq!(by_name(&read, Arch::X86_64, "listns", [0; 6]), Some(Action::Errno(38)));
}

#[test]
fn what_the_launcher_lacks_is_added_and_named() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "names": ["read", "prctl"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["seccomp"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
        { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
        { "names": ["execve"], "action": "SCMP_ACT_KILL" },
    ] });
    let narrowed =
        oci::narrow(&profile, &["execve", "read"].into(), &["read", "seccomp", "execve", "socket"]).expect("valid");
    assert_eq!(narrowed.added, ["execve", "seccomp"], "the launcher's socket passes the condition");
    assert_eq!(narrowed.removed, Vec::<String>::new(), "what the launcher needs is not taken away");
    let read = oci::read(&narrowed.seccomp).expect("valid");
    for name in ["read", "seccomp", "execve"] {
        assert_eq!(by_name(&read, Arch::X86_64, name, [7; 6]), Some(Action::Allow), "{name}");
    }
}

#[test]
fn no_profile_becomes_a_deny_list() {
    for value in [Value::Null, json!({})] {
        let narrowed = oci::narrow(&value, &["ptrace"].into(), LAUNCHER_CALLS).expect("valid");
        assert_eq!(narrowed.added, Vec::<String>::new());
        let read = oci::read(&narrowed.seccomp).expect("valid");
        assert_eq!(by_name(&read, Arch::X86_64, "ptrace", [0; 6]), Some(Action::Errno(1)));
        assert_eq!(by_name(&read, Arch::Aarch64, "read", [0; 6]), Some(Action::Allow));
    }
}

#[test]
fn the_launcher_asks_for_calls_that_exist() {
    for name in LAUNCHER_CALLS {
        let call = lookup(name).expect("a known name");
        assert!(Arch::NATIVE.iter().all(|arch| call.number(*arch).is_some()), "{name}");
    }
    let mut seen = BTreeSet::new();
    assert!(LAUNCHER_CALLS.iter().all(|name| seen.insert(*name)));
}

fn condition() -> impl Strategy<Value = Value> {
    const OPS: [&str; 7] = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    (0u8..6, 0usize..7, prop_oneof![0u64..8, Just(1 << 32), any::<u64>()], prop_oneof![0u64..8, any::<u64>()])
        .prop_map(|(index, op, value, two)| json!({ "index": index, "op": OPS[op], "value": value, "valueTwo": two }))
}

/// A few calls, so that rules meet; all kinds of actions.
fn profile() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 8] = ["read", "execve", "seccomp", "socket", "kill", "ptrace", "mseal", "no_such_call"];
    const ACTIONS: [&str; 8] = [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_NOTIFY",
    ];
    let rule = (
        proptest::collection::vec(0usize..8, 1..4),
        0usize..8,
        proptest::option::of(1u64..50),
        proptest::collection::vec(condition(), 0..3),
    )
        .prop_map(|(names, action, errno, args)| {
            let names: Vec<&str> = names.into_iter().map(|index| NAMES[index]).collect();
            json!({ "names": names, "action": ACTIONS[action], "errnoRet": errno, "args": args })
        });
    (0usize..7, proptest::collection::vec(rule, 0..6), proptest::option::of(Just(["SCMP_ARCH_X86_64"]))).prop_map(
        |(default, syscalls, architectures)| {
            json!({ "defaultAction": ACTIONS[default], "architectures": architectures, "syscalls": syscalls })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Narrowed and, where something was added, the original beside it: never weaker than the original, and every
    /// denied name refused.
    #[test]
    fn narrowing_only_tightens(seccomp in profile(), deny in proptest::collection::btree_set(0usize..4, 0..4)) {
        const DENY: [&str; 4] = ["kill", "ptrace", "mseal", "execve"];
        const ADD: [&str; 3] = ["read", "execve", "seccomp"];
        let deny: BTreeSet<&str> = deny.into_iter().map(|index| DENY[index]).collect();
        let before = oci::read(&seccomp).expect("valid");
        let narrowed = oci::narrow(&seccomp, &deny, &ADD).expect("valid");
        let after = oci::read(&narrowed.seccomp).expect("still valid");
        for call in names() {
            let Some(nr) = call.number(Arch::X86_64) else { continue };
            let decision = before.table(Arch::X86_64).and_then(|table| table.get(nr).cloned())
                .unwrap_or_else(|| Decision::always(Action::Allow));
            for args in common::argument_classes(&decision, 200) {
                let data = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args };
                let (old, layer) = (before.action(Arch::X86_64, &data), after.action(Arch::X86_64, &data));
                let new = if narrowed.added.is_empty() { layer } else { stack([old, layer]) };
                prop_assert!(!old.stricter_than(new), "{}: {old:?} became {new:?}", call.name());
                if ADD.contains(&call.name()) {
                    prop_assert_eq!(layer, Action::Allow, "{}", call.name());
                } else if deny.contains(call.name()) {
                    prop_assert!(layer.refuses(), "{}: {layer:?}", call.name());
                }
            }
        }
        // A second time there is nothing left to do.
        let again = oci::narrow(&narrowed.seccomp, &deny, &ADD).expect("valid");
        prop_assert_eq!((again.added, again.removed), (vec![], vec![]));
    }

    /// Any JSON at all: an error or a profile, never a panic.
    #[test]
    fn nonsense_is_answered(seccomp in nonsense()) {
        let deny = refused_names(&LastLayer::default()).iter().copied().collect();
        prop_assert_eq!(oci::read(&seccomp).is_ok(), oci::narrow(&seccomp, &deny, LAUNCHER_CALLS).is_ok());
    }
}

/// JSON made of the specification's words in the wrong places.
fn nonsense() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 12] = [
        "defaultAction",
        "syscalls",
        "names",
        "action",
        "args",
        "index",
        "op",
        "SCMP_ACT_ALLOW",
        "SCMP_CMP_EQ",
        "read",
        "architectures",
        "errnoRet",
    ];
    let word = (0usize..12).prop_map(|index| WORDS[index]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
