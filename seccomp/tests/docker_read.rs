//! Docker's and Podman's profile format, each point by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zerocap_seccomp::oci::docker::{Target, is_docker, resolve};
use zerocap_seccomp::oci::{self, Problem};
use zerocap_seccomp::{Action, Arch, SeccompData, lookup};

fn target(arch: Arch, capabilities: &[&str], kernel: (u64, u64)) -> Target {
    let capabilities: BTreeSet<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    Target { arch, capabilities, kernel }
}

fn plain() -> Target {
    target(Arch::X86_64, &[], (6, 1))
}

/// Which of the rules are left.
fn kept(rules: Value, target: &Target) -> Vec<usize> {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules });
    resolve(&profile, target).expect("valid").kept
}

#[test]
fn includes_ask_for_all_and_excludes_for_any() {
    let with = |key: &str, filter: Value| json!([{ "names": ["mount"], "action": "SCMP_ACT_ALLOW", key: filter }]);
    let both = json!({ "caps": ["CAP_SYS_ADMIN", "CAP_BPF"] });
    for (capabilities, included, excluded) in [
        (&[][..], false, false),
        (&["CAP_BPF"][..], false, true),
        (&["CAP_BPF", "CAP_SYS_ADMIN"][..], true, true),
        (&["CAP_CHOWN"][..], false, false),
    ] {
        let target = target(Arch::X86_64, capabilities, (6, 1));
        assert_eq!(kept(with("includes", both.clone()), &target).len() == 1, included, "{capabilities:?}");
        assert_eq!(kept(with("excludes", both.clone()), &target).is_empty(), excluded, "{capabilities:?}");
    }
    for (arch, docker) in [(Arch::X86_64, "amd64"), (Arch::Aarch64, "arm64")] {
        let target = target(arch, &[], (6, 1));
        assert_eq!(kept(with("includes", json!({ "arches": ["s390x", docker] })), &target), [0]);
        assert!(kept(with("includes", json!({ "arches": ["s390x"] })), &target).is_empty());
        assert!(kept(with("excludes", json!({ "arches": [docker] })), &target).is_empty());
    }
    for (least, included) in [("6.1", true), ("6.0", true), ("5.19", true), ("6.2", false), ("7.0", false)] {
        assert_eq!(kept(with("includes", json!({ "minKernel": least })), &plain()).len() == 1, included, "{least}");
        assert_eq!(kept(with("excludes", json!({ "minKernel": least })), &plain()).is_empty(), included, "{least}");
    }
    // Excludes are asked first; empty filters ask for nothing.
    let both = json!([{ "names": ["mount"], "action": "SCMP_ACT_ALLOW",
        "includes": { "arches": ["amd64"] }, "excludes": { "arches": ["amd64"] } }]);
    assert!(kept(both, &plain()).is_empty());
    assert_eq!(kept(with("includes", json!({})), &plain()), [0]);
    assert_eq!(kept(with("includes", json!({ "minKernel": "" })), &plain()), [0]);
}

#[test]
fn arch_map_gives_the_native_entry_and_those_below() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "archMap": [
        { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
        { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
        { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_ARM"] },
    ], "syscalls": [] });
    let listed = |arch| resolve(&profile, &target(arch, &[], (6, 1))).expect("valid").seccomp["architectures"].clone();
    assert_eq!(listed(Arch::X86_64), json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]));
    assert_eq!(listed(Arch::Aarch64), json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]));
    let other = json!({ "defaultAction": "SCMP_ACT_ERRNO", "archMap": [{ "architecture": "SCMP_ARCH_S390X" }] });
    assert_eq!(resolve(&other, &plain()).expect("valid").seccomp.get("architectures"), None);
}

#[test]
fn old_spellings() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "syscalls": [
        { "name": "ptrace", "action": "SCMP_ACT_ERRNO", "errno": "EACCES", "comment": "why" },
        { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}, "excludes": {} },
    ] });
    assert!(is_docker(&profile));
    let resolved = resolve(&profile, &plain()).expect("valid");
    assert_eq!(
        resolved.seccomp["syscalls"][0],
        json!({ "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 })
    );
    let meant = oci::read(&resolved.seccomp).expect("valid");
    let answer = |name: &str| {
        let nr = lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it");
        meant
            .action(Arch::X86_64, &SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [0; 6] })
    };
    assert_eq!(
        [answer("ptrace"), answer("read"), answer("write")],
        [Action::Errno(13), Action::Allow, Action::Errno(38)]
    );
    // OCI JSON stays what it is.
    let oci = json!({ "defaultAction": "SCMP_ACT_ERRNO", "flags": [], "listenerPath": "/s", "syscalls": [
        { "names": ["read"], "action": "SCMP_ACT_ALLOW" } ] });
    assert!(!is_docker(&oci));
    assert_eq!(resolve(&oci, &plain()).expect("valid").seccomp, oci);
    assert_eq!(resolve(&Value::Null, &plain()).expect("valid").seccomp, Value::Null);
}

#[test]
fn what_docker_refuses() {
    let problem = |profile: Value| resolve(&profile, &plain()).map_err(|error| (error.at.clone(), error.problem));
    let rule = |rule: Value| problem(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] }));
    assert_eq!(
        problem(json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
            "archMap": [{ "architecture": "SCMP_ARCH_X86_64" }] })),
        Err(("archMap".to_owned(), Problem::Both("architectures", "archMap")))
    );
    assert_eq!(
        rule(json!({ "name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW" })),
        Err(("syscalls[0].name".to_owned(), Problem::Both("name", "names")))
    );
    for version in ["4", "4.8.1", "a.b", "4.", ".8", "0.0", "256.0", "+4.8", "-1.0"] {
        let error = rule(json!({ "names": [], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": version } }));
        assert_eq!(error.expect_err(version).0, "syscalls[0].includes.minKernel");
    }
    let error = rule(json!({ "names": [], "action": "SCMP_ACT_ALLOW", "excludes": { "Caps": [] } }));
    assert_eq!(error.expect_err("case").1, Problem::Case("caps"));
    let error = rule(json!({ "names": [], "action": "SCMP_ACT_ERRNO", "errno": "EWHAT" }));
    assert_eq!(error.expect_err("errno").0, "syscalls[0].errno");
    assert!(matches!(rule(json!(7)), Err((_, Problem::Type(_)))));
}
