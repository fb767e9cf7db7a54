//! What a reader of OCI JSON may not expect, each point by itself. The comparison with libseccomp is in oracle.rs.

use serde_json::{Value, json};
use zerocap_seccomp::{Action, Arch, Error, Flags, Profile, SeccompData, X32_BIT, lookup, oci};

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

fn answer_on(profile: &Profile, arch: Arch, name: &str, args: [u64; 6]) -> Action {
    let number = lookup(name).and_then(|call| call.number(arch)).expect("the ABI has it");
    let nr = if arch == Arch::X32 { number | X32_BIT } else { number };
    let native = if Arch::Aarch64.family().contains(&arch) { Arch::Aarch64 } else { Arch::X86_64 };
    profile.action(native, &SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args })
}

fn answer(profile: &Profile, name: &str, args: &[u64]) -> Action {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    answer_on(profile, Arch::X86_64, name, all)
}

fn read(value: Value) -> Profile {
    oci::read(&value).expect("a valid profile")
}

fn allow_list(syscalls: Value) -> Profile {
    read(json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": syscalls }))
}

#[test]
fn default_errno_is_eperm_and_can_be_another() {
    let profile = allow_list(
        json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }, { "names": ["listns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }]),
    );
    assert_eq!(answer(&profile, "write", &[]), EPERM);
    assert_eq!(answer(&profile, "read", &[]), Action::Allow);
    assert_eq!(answer(&profile, "listns", &[]), Action::Errno(13));
    let profile = read(json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38 }));
    assert_eq!(answer(&profile, "read", &[]), ENOSYS);
}

#[test]
fn calls_newer_than_the_profile_answer_enosys() {
    let profile = allow_list(json!([{ "names": ["read", "statx"], "action": "SCMP_ACT_ALLOW" }]));
    assert_eq!(answer(&profile, "write", &[]), EPERM);
    assert_eq!(answer(&profile, "mseal", &[]), ENOSYS);
    // Any mention moves the line, also one that is dropped for being the default.
    let profile = allow_list(
        json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }, { "names": ["mseal"], "action": "SCMP_ACT_ERRNO" }]),
    );
    assert_eq!(answer(&profile, "mseal", &[]), EPERM);
    assert_eq!(answer(&profile, "listns", &[]), ENOSYS);
    // Not where the default lets calls through, not without `architectures`, not if only number 0 was named.
    let profile = read(
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ERRNO" }] }),
    );
    assert_eq!(answer(&profile, "mseal", &[]), Action::Allow);
    let profile = read(
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["write"], "action": "SCMP_ACT_ALLOW" }] }),
    );
    assert_eq!(answer(&profile, "mseal", &[]), EPERM);
    let profile = allow_list(json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }]));
    assert_eq!(answer(&profile, "mseal", &[]), EPERM);
    // KILL as default becomes ENOSYS there as well: that is runc's choice.
    let profile = read(
        json!({ "defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{ "names": ["write"], "action": "SCMP_ACT_ALLOW" }] }),
    );
    assert_eq!(answer(&profile, "mseal", &[]), ENOSYS);
    assert_eq!(answer(&profile, "read", &[]), Action::KillThread);
}

#[test]
fn one_index_twice_means_or_for_the_whole_rule() {
    let profile = allow_list(json!([{ "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [
        { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" },
        { "index": 0, "value": 2, "op": "SCMP_CMP_EQ" },
        { "index": 1, "value": 9, "op": "SCMP_CMP_EQ" },
    ] }]));
    assert_eq!(answer(&profile, "kill", &[1, 5]), Action::Allow);
    assert_eq!(answer(&profile, "kill", &[2, 5]), Action::Allow);
    assert_eq!(answer(&profile, "kill", &[7, 9]), Action::Allow);
    assert_eq!(answer(&profile, "kill", &[7, 5]), EPERM);
    // Different indexes mean and.
    let profile = allow_list(json!([{ "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [
        { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }, { "index": 1, "value": 9, "op": "SCMP_CMP_EQ" },
    ] }]));
    assert_eq!(answer(&profile, "kill", &[1, 9]), Action::Allow);
    assert_eq!(answer(&profile, "kill", &[1, 5]), EPERM);
}

#[test]
fn a_rule_equal_to_the_default_is_dropped() {
    let profile = allow_list(json!([
        { "names": ["kill"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
    ]));
    assert_eq!(answer(&profile, "kill", &[1]), Action::Allow);
    // Another errno is another action.
    let profile = allow_list(json!([{ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2 }]));
    assert_eq!(answer(&profile, "kill", &[1]), Action::Errno(2));
}

#[test]
fn an_unconditional_rule_swallows_conditional_ones() {
    let deny = json!({ "names": ["kill"], "action": "SCMP_ACT_KILL", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] });
    let allow = json!({ "names": ["kill"], "action": "SCMP_ACT_ALLOW" });
    for rules in [json!([deny, allow]), json!([allow, deny])] {
        assert_eq!(answer(&allow_list(rules), "kill", &[1]), Action::Allow);
    }
    let first = json!({ "names": ["kill"], "action": "SCMP_ACT_LOG" });
    assert_eq!(answer(&allow_list(json!([first, allow])), "kill", &[1]), Action::Log);
}

#[test]
fn overlapping_conditions_answer_the_strictest() {
    let rule = |action: &str, value: u64| json!({ "names": ["kill"], "action": action, "args": [{ "index": 0, "value": value, "op": "SCMP_CMP_GE" }] });
    let profile = allow_list(json!([rule("SCMP_ACT_ALLOW", 5), rule("SCMP_ACT_KILL_PROCESS", 8)]));
    assert_eq!(answer(&profile, "kill", &[4]), EPERM);
    assert_eq!(answer(&profile, "kill", &[5]), Action::Allow);
    assert_eq!(answer(&profile, "kill", &[8]), Action::KillProcess);
}

#[test]
fn every_operator_compares_64_bits_unsigned() {
    for (op, value, two, yes, no) in [
        ("SCMP_CMP_EQ", 5u64, 0u64, 5u64, 5 | 1 << 32),
        ("SCMP_CMP_NE", 5, 0, 5 | 1 << 32, 5),
        ("SCMP_CMP_LT", 1u64 << 33, 0, (1u64 << 33) - 1, 1 << 33),
        ("SCMP_CMP_LE", 1u64 << 33, 0, 1 << 33, (1 << 33) + 1),
        ("SCMP_CMP_GT", 1u64 << 33, 0, u64::MAX, 1 << 33),
        ("SCMP_CMP_GE", 1u64 << 33, 0, 1 << 33, (1 << 33) - 1),
        ("SCMP_CMP_MASKED_EQ", 0xf0, 0x30, 0xffff_ff3f, 0x40),
        // Bits of the datum outside the mask do not count.
        ("SCMP_CMP_MASKED_EQ", 0xf0, 0x35, 0x3f, 0x45),
    ] {
        let profile = allow_list(
            json!([{ "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": value, "valueTwo": two, "op": op }] }]),
        );
        assert_eq!(answer(&profile, "kill", &[yes]), Action::Allow, "{op} {yes:#x}");
        assert_eq!(answer(&profile, "kill", &[no]), EPERM, "{op} {no:#x}");
    }
}

#[test]
fn architectures() {
    let rules = json!([{ "names": ["read", "getpid", "chown32"], "action": "SCMP_ACT_ALLOW" }]);
    let none = read(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules }));
    for (arch, expected) in [
        (Arch::X86_64, Action::Allow),
        (Arch::X32, Action::KillThread),
        (Arch::I386, Action::KillThread),
        (Arch::Aarch64, Action::Allow),
        (Arch::Arm, Action::KillThread),
    ] {
        assert_eq!(answer_on(&none, arch, "getpid", [0; 6]), expected, "{arch:?}");
    }
    let all = read(
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"], "syscalls": rules }),
    );
    for arch in Arch::ALL {
        assert_eq!(answer_on(&all, arch, "getpid", [0; 6]), Action::Allow, "{arch:?}");
    }
    assert_eq!(answer_on(&all, Arch::I386, "chown32", [0; 6]), Action::Allow);
    assert_eq!(answer_on(&all, Arch::I386, "mseal", [0; 6]), ENOSYS);
    assert_eq!(answer_on(&all, Arch::X32, "mseal", [0; 6]), ENOSYS);
    // x86-64 itself is not listed: runc adds no ENOSYS for it.
    assert_eq!(answer_on(&all, Arch::X86_64, "mseal", [0; 6]), EPERM);
}

#[test]
fn i386_multiplexers_follow_the_calls_they_carry() {
    let conditional = json!([{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }]);
    let profile = read(json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": conditional },
        { "names": ["shmget"], "action": "SCMP_ACT_ALLOW" },
    ] }));
    let i386 = |name, first| answer_on(&profile, Arch::I386, name, [first, 0, 0, 0, 0, 0]);
    assert_eq!(i386("socketcall", 1), Action::Allow, "the condition cannot be checked there");
    assert_eq!(i386("socketcall", 2), EPERM);
    assert_eq!(i386("socket", 40), EPERM);
    assert_eq!(i386("socket", 41), Action::Allow);
    assert_eq!(i386("ipc", 23), Action::Allow);
    assert_eq!(i386("ipc", 24), EPERM);
}

#[test]
fn nothing_stands_for_no_seccomp() {
    for value in [Value::Null, json!({}), json!({ "syscalls": [], "architectures": ["SCMP_ARCH_X86"] })] {
        let profile = read(value);
        for arch in Arch::ALL {
            assert_eq!(answer_on(&profile, arch, "reboot", [0; 6]), Action::Allow);
        }
    }
}

#[test]
fn flags() {
    let flags = |value: Value| read(json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": value })).flags;
    assert_eq!(flags(Value::Null), Flags { log: false, spec_allow: true });
    assert_eq!(flags(json!([])), Flags::default());
    assert_eq!(
        flags(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"])),
        Flags { log: true, spec_allow: false }
    );
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), Flags { log: false, spec_allow: true });
}

#[test]
fn unknown_names_and_unknown_keys_are_skipped() {
    let profile = allow_list(
        json!([{ "names": ["no_such_call", "getpid"], "action": "SCMP_ACT_ALLOW", "comment": "x", "includes": { "caps": ["CAP_X"] } }]),
    );
    assert_eq!(answer(&profile, "getpid", &[]), Action::Allow);
    assert_eq!(answer(&profile, "gettid", &[]), EPERM.max(ENOSYS), "newer than getpid");
}

#[test]
fn mistakes_are_named() {
    let with = |key: &str, value: Value| {
        let mut document = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }] });
        match document.pointer_mut(key) {
            Some(place) => *place = value,
            None => document[key.trim_start_matches('/')] = value,
        }
        document
    };
    for (document, expected) in [
        (json!([]), "linux.seccomp: expected an object"),
        (json!({ "syscalls": [{}] }), "linux.seccomp.defaultAction: \"\" is not an action"),
        (with("/defaultAction", json!("ERRNO")), "linux.seccomp.defaultAction: \"ERRNO\" is not an action"),
        (
            with("/defaultAction", json!("SCMP_ACT_NOTIFY")),
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (with("/defaultErrnoRet", json!(4096)), "linux.seccomp.defaultAction: 4096 is too large (at most 4095)"),
        (with("/defaultErrnoRet", json!(-1)), "linux.seccomp.defaultErrnoRet: expected a number from 0 to 2^64-1"),
        (
            with("/DefaultAction", json!("x")),
            "linux.seccomp.DefaultAction: write it as \"defaultAction\": engines differ on keys in other case",
        ),
        (
            with("/\u{17f}yscalls", json!([])),
            "linux.seccomp.\u{17f}yscalls: write it as \"syscalls\": engines differ on keys in other case",
        ),
        (
            with("/architectures", json!(["SCMP_ARCH_Z80"])),
            "linux.seccomp.architectures[0]: \"SCMP_ARCH_Z80\" is not an architecture",
        ),
        (with("/flags", json!(["X"])), "linux.seccomp.flags[0]: \"X\" is not a filter flag"),
        (with("/syscalls", json!({})), "linux.seccomp.syscalls: expected an array"),
        (
            with("/syscalls/0/names", json!([""])),
            "linux.seccomp.syscalls[0].names: an empty string is not a system call",
        ),
        (with("/syscalls/0/names", json!([1])), "linux.seccomp.syscalls[0].names[0]: expected a string"),
        (with("/syscalls/0/action", json!(null)), "linux.seccomp.syscalls[0].action: is missing"),
        (with("/syscalls/0/args/0/op", json!("EQ")), "linux.seccomp.syscalls[0].args[0].op: \"EQ\" is not an operator"),
        (
            with("/syscalls/0/args/0/index", json!(6)),
            "linux.seccomp.syscalls[0].args[0].index: 6 is too large (at most 5)",
        ),
        (
            with("/syscalls/0/args/0/value", json!(1.5)),
            "linux.seccomp.syscalls[0].args[0].value: expected a number from 0 to 2^64-1",
        ),
    ] {
        assert_eq!(oci::read(&document).map_err(|error: Error| error.to_string()), Err(expected.to_owned()));
        assert!(oci::narrow(&document, &[].into(), &[]).is_err());
    }
    let notify =
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["write"], "action": "SCMP_ACT_NOTIFY" }] });
    assert!(oci::read(&notify).is_err_and(|error| error.to_string().contains("for write")));
}
