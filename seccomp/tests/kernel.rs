//! The built-in filters on a real kernel: for every condition a call that passes and the same call with the argument
//! flipped. A refusal has to show the filter's errno where the bare kernel answers something else, so that a filter
//! which does nothing cannot pass.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod kernel_child;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kernel_child::{Call, Outcome, accepted, under};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::preset::{LastLayer, Preset, last_layer, refused_names};
use zerocap_seccomp::{
    Action, Arch, Decision, GATED_CALLS, Gate, Insn, Profile, SeccompData, Table, check, compile, interpret, lookup,
    names, stack,
};

const HIGH: u64 = 0xdead_beef_0000_0000;
const EPERM: i64 = -1;
const EINVAL: i64 = -22;
const EACCES: i64 = -13;
const ENOSYS: i64 = -38;

fn call(name: &str, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number: lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("x86-64 has it"), args: all }
}

fn layer(layer: LastLayer) -> &'static [Insn] {
    last_layer(Arch::X86_64, &layer).expect("a native architecture").insns
}

/// (name, arguments that pass, arguments that are refused, the refusal). Both have to be answered otherwise by the bare
/// kernel, so they are wrong in some further way (a descriptor that is none, a null pointer) where they could succeed.
type Case = (&'static str, &'static [u64], &'static [u64], i64);

const NO_FD: u64 = 0xffff_fff0;
/// CLONE_THREAD without CLONE_SIGHAND: EINVAL from the kernel, no new process.
const THREAD_ALONE: u64 = 0x0001_0000;

const CASES: &[Case] = &[
    ("socket", &[1, 1, 99], &[1 | HIGH, 3, 99], EACCES),
    ("socket", &[1, 2 | 0x80000, 99], &[1, 0x80004, 99], EACCES),
    ("socket", &[1, 5 | 0x800, 99], &[9, 1, 0], EACCES),
    ("socket", &[2, 1, 6 | HIGH], &[2, 2, 0], EACCES),
    ("socket", &[2 | HIGH, 1 | HIGH, 0], &[2, 2, 17], EACCES),
    ("socket", &[10, 1, 6], &[10, 2, 17], EACCES),
    ("socket", &[10, 0x80801, 0], &[10, 1, 262], EACCES),
    ("socket", &[2, 1, 0], &[2, 1, 262], EACCES),
    ("socket", &[2, 1, 0], &[2, 1 | HIGH, 132], EACCES),
    ("socket", &[2, 1, 0], &[2, 3, 1], EACCES),
    ("socket", &[2, 1, 0], &[17, 3, 0], EACCES),
    ("socket", &[2, 1, 0], &[38, 5, 0], EACCES),
    ("socket", &[2, 1, 0], &[40, 1, 0], EACCES),
    ("socket", &[16, 3, 0], &[16, 3, 15], EACCES),
    ("socket", &[16, 0x80002, 0], &[16, 3, 9], EACCES),
    ("socketpair", &[1, 1, 0, 0], &[2, 1, 0, 0], EACCES),
    ("listen", &[], &[NO_FD, 1], EACCES),
    ("accept", &[], &[NO_FD, 0, 0], EACCES),
    ("accept4", &[], &[NO_FD, 0, 0, 0], EACCES),
    ("sendto", &[NO_FD, 0, 0, 0x4000], &[NO_FD, 0, 0, 0x2000_4000], EACCES),
    ("sendto", &[NO_FD, 0, 0, HIGH], &[NO_FD, 0, 0, 0x2000_0000 | HIGH], EACCES),
    ("sendmsg", &[NO_FD, 0, 0], &[NO_FD, 0, 0x2000_0000], EACCES),
    ("sendmmsg", &[NO_FD, 0, 0, 0x40], &[NO_FD, 0, 0, 0x2000_0040], EACCES),
    ("setsockopt", &[NO_FD, 1, 2], &[NO_FD, 1, 25], EPERM),
    ("setsockopt", &[NO_FD, 1 | HIGH, 9 | HIGH], &[NO_FD, 1, 36], EPERM),
    ("setsockopt", &[NO_FD, 6, 1], &[NO_FD, 6, 23], EPERM),
    ("setsockopt", &[NO_FD, 6, 18], &[NO_FD, 6, 30], EPERM),
    ("setsockopt", &[NO_FD, 6, 18], &[NO_FD, 6 | HIGH, 19], EPERM),
    ("setsockopt", &[NO_FD, 6, 13], &[NO_FD, 6, 31], EPERM),
    ("setsockopt", &[NO_FD, 0, 1], &[NO_FD, 0, 4], EPERM),
    ("setsockopt", &[NO_FD, 0, 24], &[NO_FD, 0, 50], EPERM),
    ("setsockopt", &[NO_FD, 41, 26], &[NO_FD, 41, 57], EPERM),
    ("setsockopt", &[NO_FD, 41, 67], &[NO_FD, 41, 1], EPERM),
    ("setsockopt", &[NO_FD, 270, 1], &[NO_FD, 270, 8], EPERM),
    ("setsockopt", &[NO_FD, 270, 12], &[NO_FD, 17, 1], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x1000_0000], EPERM),
    ("clone", &[THREAD_ALONE | HIGH], &[THREAD_ALONE | 0x0002_0000 | HIGH], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x4000_0000], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x2000_0000], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x0800_0000], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x0400_0000], EPERM),
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x0200_0000], EPERM),
    ("execveat", &[NO_FD, 0, 0, 0, 0x100], &[NO_FD, 0, 0, 0, 0x1000], EPERM),
    ("execveat", &[NO_FD, 0, 0, 0, HIGH], &[NO_FD, 0, 0, 0, 0x1100 | HIGH], EPERM),
    ("personality", &[0xffff_ffff], &[0x0004_0000], EPERM),
    ("personality", &[HIGH], &[0x0040_0000], EPERM),
    ("personality", &[8], &[0x0004_0008], EPERM),
    ("personality", &[0x0002_0000], &[0x0010_0000], EPERM),
    ("personality", &[0x0002_0008], &[0x0022_0008], EPERM),
    // The port of a bind that nobody is asked about.
    ("setsockopt", &[NO_FD, 0, 24], &[NO_FD, 0, 51], EPERM),
    ("setsockopt", &[NO_FD, HIGH, 24], &[NO_FD, HIGH, 51 | HIGH], EPERM),
    ("prctl", &[999], &[62, 0, 0, 0, 0], EPERM),
    ("ioctl", &[NO_FD, 0x5401], &[NO_FD, 0x5412], EPERM),
    ("ioctl", &[NO_FD, 0x5413], &[NO_FD, 0x5412 | HIGH], EPERM),
    ("ioctl", &[NO_FD, 0x541b], &[NO_FD, 0x541c], EPERM),
    ("ioctl", &[NO_FD, 0x5421], &[NO_FD, 0x541d], EPERM),
    ("ioctl", &[NO_FD, 0x5422], &[NO_FD, 0x5423], EPERM),
    ("prlimit64", &[0, 99], &[1, 99], EPERM),
    ("prlimit64", &[HIGH, 99], &[1 | HIGH, 99], EPERM),
    ("prlimit64", &[0, 4, 0, 0], &[0, 4, 1, 0], EINVAL),
    ("prlimit64", &[0, 5, 1, 0], &[HIGH, 4 | HIGH, HIGH, 0], EINVAL),
    ("setrlimit", &[5, 1], &[4, 1], EINVAL),
    ("setrlimit", &[99, 0], &[4 | HIGH, 1], EINVAL),
    ("get_robust_list", &[0, 0, 0], &[0x7fff_fff0, 0, 0], EPERM),
    ("sched_setaffinity", &[0, 8, 0], &[1, 8, 0], EPERM),
    ("sched_setparam", &[0, 0], &[1, 0], EPERM),
    ("sched_setscheduler", &[0, 99, 0], &[1, 99, 0], EPERM),
    ("sched_setattr", &[0, 0, 0], &[1, 0, 0], EPERM),
    ("setpriority", &[0, 0, 0], &[0, 0x7fff_fff0, 0], EPERM),
    ("setpriority", &[1, 0, 0], &[2, 0x7fff_fff0, 0], EPERM),
    ("setpriority", &[HIGH, HIGH, 0], &[3, 0, 0], EPERM),
    ("ioprio_set", &[1, 0, 0xffff_ffff], &[1, 0x7fff_fff0, 0xffff_ffff], EPERM),
    ("ioprio_set", &[2, 0, 0xffff_ffff], &[3, 0, 0xffff_ffff], EPERM),
    ("move_pages", &[0, 1, 0, 0, 0, 0xff], &[1, 1, 0, 0, 0, 0xff], EPERM),
    ("migrate_pages", &[0, 1, 0, 1], &[0x7fff_fff0, 1, 0, 1], EPERM),
];

/// What the other presets decide otherwise than `general`.
const STRICT_CASES: &[Case] = &[
    ("memfd_create", &[0, 8], &[0, 0], EPERM),
    ("memfd_create", &[0, 9 | HIGH], &[0, 0x10 | HIGH], EPERM),
    ("memfd_create", &[0, 8], &[0, 0xc], EPERM),
    ("personality", &[0xffff_ffff | HIGH], &[8], EPERM),
    ("listen", &[], &[NO_FD, 1], EACCES),
    ("shmget", &[], &[1, 0, 0], ENOSYS),
    ("mq_unlink", &[], &[0], ENOSYS),
    ("socket", &[2, 1, 0], &[2, 2, 0], EACCES),
];
const MINIMAL_CASES: &[Case] = &[
    ("mmap", &[0, 0, 3, 0x22, NO_FD, 0], &[0, 4096, 7, 0x22, NO_FD, 0], EPERM),
    ("mprotect", &[1, 1, 3], &[0, 0, 5], EPERM),
    ("ioctl", &[NO_FD, 0x5401], &[NO_FD, 0x5402], EPERM),
    ("ioctl", &[NO_FD, 0x5413 | HIGH], &[NO_FD, 0x5414], EPERM),
    ("ioctl", &[NO_FD, 0x541b], &[NO_FD, 0x5412], EPERM),
    ("prlimit64", &[0, 99, 0, 0], &[0, 99, 1, 0], EPERM),
    ("prlimit64", &[HIGH, 99, 0, 0], &[0x7fff_fff0, 99, 0, 0], EPERM),
    ("openat", &[], &[NO_FD, 0, 0], EPERM),
    ("execve", &[], &[0, 0, 0], EPERM),
    ("clone", &[], &[THREAD_ALONE], EPERM),
    ("socket", &[], &[1, 1, 0], EPERM),
    ("kill", &[], &[0x7fff_fff0, 0], EPERM),
];
const MODEL_BACKEND_CASES: &[Case] = &[
    ("clone", &[THREAD_ALONE], &[0x0200_0000 | THREAD_ALONE], EPERM),
    ("clone", &[THREAD_ALONE | 0xf00 | HIGH], &[0xf00 | 0x0800 | HIGH], EPERM),
    ("socket", &[1, 1, 99], &[2, 1, 0], EACCES),
    ("socket", &[1, 0x80805, 99], &[16, 3, 0], EACCES),
    ("socket", &[1 | HIGH, 2, 99], &[10, 1, 6], EACCES),
    ("listen", &[NO_FD, 1], &[], 0),
    ("sendto", &[NO_FD, 0, 0, 0x4000, 0, 0], &[NO_FD, 0, 0, 0x2000_4000 | HIGH, 0, 0], EACCES),
    ("sendmsg", &[NO_FD, 0, 0x4000 | HIGH], &[NO_FD, 0, 0x2000_0000], EACCES),
    ("sendmmsg", &[NO_FD, 0, 0, 0x4000], &[NO_FD, 0, 0, 0x2000_0000 | HIGH], EACCES),
    ("execve", &[], &[0, 0, 0], EPERM),
    ("execveat", &[], &[NO_FD, 0, 0, 0, 0], EPERM),
];
const BLOCKLIST_CASES: &[Case] = &[
    ("clone", &[THREAD_ALONE], &[THREAD_ALONE | 0x1000_0000 | HIGH], EPERM),
    ("ioctl", &[NO_FD, 0x5401], &[NO_FD, 0x5412 | HIGH], EPERM),
    ("ioctl", &[NO_FD, 0x5423], &[NO_FD, 0x541c], EPERM),
    ("unshare", &[], &[0x1], EPERM),
    ("bpf", &[], &[99, 0, 0], EPERM),
    ("clone3", &[], &[0, 0], ENOSYS),
    ("keyctl", &[], &[99], EPERM),
    ("socket", &[2, 2, 99], &[], 0),
];

fn cases(preset: Preset) -> &'static [Case] {
    match preset {
        Preset::General => CASES,
        Preset::Strict => STRICT_CASES,
        Preset::Minimal => MINIMAL_CASES,
        Preset::ModelBackend => MODEL_BACKEND_CASES,
        Preset::SandboxBlocklist => BLOCKLIST_CASES,
    }
}

#[test]
fn every_condition_passes_and_refuses() {
    for preset in Preset::ALL {
        passes_and_refuses(layer(LastLayer { preset, ..LastLayer::default() }), cases(preset));
    }
}

fn passes_and_refuses(filter: &[Insn], cases: &[Case]) {
    let passing: Vec<&Case> = cases.iter().filter(|case| !case.1.is_empty()).collect();
    let allowed: Vec<Call> = passing.iter().map(|case| call(case.0, case.1)).collect();
    let (bare, filtered) = (under(&[], &allowed), under(&[filter], &allowed));
    for ((case, bare), filtered) in passing.iter().zip(&bare).zip(&filtered) {
        // Addresses and descriptors may differ; success and errno may not.
        let class = |outcome: &Outcome| match outcome {
            Outcome::Returned(value) => (*value).min(0),
            other => panic!("{case:x?}: {other:?}"),
        };
        assert_eq!(class(bare), class(filtered), "{} {:x?} has to pass", case.0, case.1);
    }
    let refusing: Vec<&Case> = cases.iter().filter(|case| !case.2.is_empty()).collect();
    let refused: Vec<Call> = refusing.iter().map(|case| call(case.0, case.2)).collect();
    let (bare, filtered) = (under(&[], &refused), under(&[filter], &refused));
    for ((case, bare), filtered) in refusing.iter().zip(&bare).zip(&filtered) {
        assert_eq!(*filtered, Outcome::Returned(case.3), "{} {:x?} has to be refused", case.0, case.2);
        assert_ne!(*bare, *filtered, "{} {:x?} shows nothing: the kernel answers the same", case.0, case.2);
    }
}

/// With `fs-execute` a memfd is sealed against execution, whatever the argument's upper half says; without, it is free.
#[test]
fn listed_programs_leave_no_executable_memory() {
    let cases: &[Case] = &[
        ("memfd_create", &[0, 8], &[0, 0], EPERM),
        ("memfd_create", &[0, 9 | HIGH], &[0, 0x10 | HIGH], EPERM),
        ("memfd_create", &[0, 0xa], &[0, 0x13], EPERM),
        // On huge pages the kernel takes the seal and lets the mode be changed all the same.
        ("memfd_create", &[0, 8], &[0, 0xc], EPERM),
        ("memfd_create", &[0, 8], &[0, 0xd | HIGH], EPERM),
    ];
    passes_and_refuses(layer(LastLayer { exec_listed: true, ..LastLayer::default() }), cases);
    passes_and_refuses(layer(LastLayer { exec_listed: true, platform: false, ..LastLayer::default() }), cases);
    passes_and_refuses(layer(LastLayer::default()), &[("memfd_create", &[0, 0x10], &[], 0)]);
}

/// No condition of a preset is missing above; one that it has from `general`, unchanged, counts as run there.
#[test]
fn every_conditional_call_is_run() {
    let text = |name: &str| fs::read_to_string(format!("{}/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"))).ok();
    let intent = |preset: Preset| Intent::parse_with(&text(preset.name()).expect("the preset"), &text).expect("valid");
    let general = intent(Preset::General);
    for preset in Preset::ALL {
        let (intent, layer) = (intent(preset), LastLayer { preset, ..LastLayer::default() });
        let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
        let run: BTreeSet<&str> = cases(preset).iter().map(|case| case.0).collect();
        for call in names() {
            let decision = intent.decision(call, &on);
            let inherited = preset != Preset::General && decision == general.decision(call, &on);
            let done = decision.unconditional().is_some() || inherited || run.contains(call.name());
            assert!(done, "{} of {preset:?} is not run on the kernel", call.name());
        }
    }
}

#[test]
fn knobs_open_what_they_say() {
    let listening = [call("listen", &[NO_FD, 1]), call("accept", &[NO_FD]), call("accept4", &[NO_FD])];
    let unix = [call("socket", &[1, 1, 99])];
    let pair = [call("socketpair", &[1, 1, 0, 0])];
    let udp = [call("socket", &[2, 2, 17]), call("setsockopt", &[NO_FD, 0, 4])];
    // SO_BROADCAST, IP_MULTICAST_ALL, IPV6_MULTICAST_HOPS and IPV6_MULTICAST_ALL: Go and Java set them on every datagram socket.
    let of_datagrams =
        [[1, 6], [0, 49], [41, 18], [41, 29]].map(|[level, name]| call("setsockopt", &[NO_FD, level, name]));
    let refused = |outcomes: &[Outcome]| {
        outcomes.iter().all(|o| [Outcome::Returned(EACCES), Outcome::Returned(EPERM)].contains(o))
    };
    for on in [false, true] {
        let knob = layer(LastLayer { listen: on, ..LastLayer::default() });
        assert_eq!(refused(&under(&[knob], &listening)), !on);
        let knob = layer(LastLayer { unix: on, ..LastLayer::default() });
        assert_eq!(refused(&under(&[knob], &unix)), !on);
        assert!(!refused(&under(&[knob], &pair)), "socket pairs are no way out");
        let knob = layer(LastLayer { platform: on, ..LastLayer::default() });
        assert_eq!(refused(&under(&[knob], &udp)), on);
        assert_eq!(refused(&under(&[knob], &listening)), on);
        let knob = layer(LastLayer { platform: true, datagrams: on, ..LastLayer::default() });
        for option in of_datagrams {
            assert_eq!(refused(&under(&[knob], &[option])), !on, "{option:?}");
        }
    }
}

/// Calls that are refused outright: the filter's answer, where the kernel has another one.
#[test]
fn refused_names_are_refused() {
    let filter = layer(LastLayer::default());
    // Calls that the kernel itself answers like the filter, or that would harm this machine without it.
    let unlike: Vec<&str> = refused_names(&LastLayer::default())
        .iter()
        .copied()
        .filter(|name| lookup(name).is_some_and(|call| call.number(Arch::X86_64).is_some()))
        .collect();
    let calls: Vec<Call> =
        unlike.iter().map(|name| call(name, &[u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX])).collect();
    for (name, outcome) in unlike.iter().zip(under(&[filter], &calls)) {
        let expected = [EPERM, EACCES, ENOSYS].map(Outcome::Returned);
        assert!(expected.contains(&outcome), "{name}: {outcome:?}");
    }
    let harmless = [
        "unshare",
        "setns",
        "ptrace",
        "process_vm_readv",
        "kcmp",
        "bpf",
        "userfaultfd",
        "keyctl",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "clone3",
        "pidfd_getfd",
        "perf_event_open",
        "open_tree",
        "fsopen",
        "mount",
        "umount2",
    ];
    let calls: Vec<Call> = harmless.iter().map(|name| call(name, &[u64::MAX, 1, u64::MAX, 1, u64::MAX, 1])).collect();
    let (bare, filtered) = (under(&[], &calls), under(&[filter], &calls));
    for ((name, bare), filtered) in harmless.iter().zip(&bare).zip(&filtered) {
        assert_ne!(bare, filtered, "{name} shows nothing: the kernel answers the same");
    }
}

#[test]
fn foreign_abis_and_unknown_numbers_get_enosys() {
    let filter = layer(LastLayer::default());
    let x32 = |name| Call { number: call(name, &[]).number | 0x4000_0000, args: [0; 6] };
    let calls = [
        x32("getpid"),
        x32("socket"),
        Call { number: 471, args: [0; 6] },
        Call { number: 600, args: [0; 6] },
        Call { number: u32::MAX, args: [0; 6] },
        call("getpid", &[]),
    ];
    let outcomes = under(&[filter], &calls);
    assert!(outcomes[..5].iter().all(|outcome| *outcome == Outcome::Returned(ENOSYS)), "{outcomes:?}");
    assert!(matches!(outcomes[5], Outcome::Returned(pid) if pid > 0));
}

/// Filters of the workload's own can be loaded on top.
#[test]
fn a_workload_may_load_filters_of_its_own() {
    let filter = layer(LastLayer::default());
    // 5 filters of 1 instruction each, through the call itself: a null program is EFAULT, not EPERM.
    let outcomes = under(&[filter], &[call("seccomp", &[1, 0, 0]), call("landlock_create_ruleset", &[0, 0, 1])]);
    assert_eq!(outcomes[0], Outcome::Returned(-14), "EFAULT");
    assert!(matches!(outcomes[1], Outcome::Returned(version) if version > 0 || version == -38 || version == -95));
}

/// The gate on the kernel: the launcher's calls pass with the cookie and with no other value.
#[test]
fn the_gate_opens_to_the_cookie_only() {
    let cookie = [0x0123_4567_89ab_cdef_u64, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978];
    let mut table = Table::new(Action::Allow);
    for name in GATED_CALLS {
        table.set(call(name, &[]).number, Decision::always(Action::Errno(13)));
    }
    let mut profile = Profile::new(Action::KillProcess);
    profile.set_table(Arch::X86_64, table);
    let mut program = compile(&profile, Arch::X86_64, Gate::LastCalls).expect("small");
    for site in &program.cookie {
        let word = cookie[usize::from(site.word / 2)] >> (32 * u32::from(site.word % 2));
        program.insns[usize::from(site.insn)].k = word as u32;
    }
    for name in ["read", "write", "execve", "seccomp"] {
        let with = |tail: [u64; 3]| call(name, &[NO_FD, 0, 0, tail[0], tail[1], tail[2]]);
        let mut calls = vec![with(cookie), with([0; 3])];
        for bit in 0..192usize {
            let mut wrong = cookie;
            wrong[bit / 64] ^= 1 << (bit % 64);
            calls.push(with(wrong));
        }
        let outcomes = under(&[&program.insns], &calls);
        let expected = match name {
            "execve" => -14,
            "seccomp" => -22,
            _ => -9,
        };
        assert_eq!(outcomes[0], Outcome::Returned(expected), "{name}");
        assert!(outcomes[1..].iter().all(|outcome| *outcome == Outcome::Returned(EACCES)), "{name}");
    }
    // exit_group: refused without the cookie, so the next call is reached; with it, the child is gone.
    let exits = [
        call("exit_group", &[0, 0, 0, cookie[0], cookie[1], cookie[2] ^ 1]),
        call("exit_group", &[0, 0, 0, cookie[0], cookie[1], cookie[2]]),
        call("getpid", &[]),
    ];
    let outcomes = under(&[&program.insns], &exits);
    assert_eq!(outcomes, [Outcome::Returned(EACCES), Outcome::NotReached, Outcome::NotReached]);
}

/// Kinds of refusal that end the child, so that the harness is known to see them.
#[test]
fn killing_answers_kill() {
    for (action, signal) in [(Action::KillProcess, libc::SIGSYS), (Action::Trap, libc::SIGSYS)] {
        let mut table = Table::new(Action::Allow);
        table.set(call("getpid", &[]).number, Decision::always(action));
        let mut profile = Profile::new(Action::KillProcess);
        profile.set_table(Arch::X86_64, table);
        let program = compile(&profile, Arch::X86_64, Gate::None).expect("small");
        let outcomes = under(&[&program.insns], &[call("gettid", &[]), call("getpid", &[]), call("gettid", &[])]);
        assert!(matches!(outcomes[0], Outcome::Returned(tid) if tid > 0));
        assert_eq!(outcomes[1..], [Outcome::Killed(signal), Outcome::NotReached], "{action:?}");
    }
}

/// Filters on top of each other, loaded in this order: the strictest answer counts, and of two errnos the newest.
#[test]
fn stacked_filters_answer_the_strictest() {
    let answering = |action: Action| {
        let mut table = Table::new(Action::Allow);
        table.set(call("getpid", &[]).number, Decision::always(action));
        let mut profile = Profile::new(Action::KillProcess);
        profile.set_table(Arch::X86_64, table);
        compile(&profile, Arch::X86_64, Gate::None).expect("small").insns
    };
    let getpid = [call("getpid", &[])];
    const ACTIONS: [Action; 4] = [Action::Allow, Action::Errno(1), Action::Errno(38), Action::KillProcess];
    for (older, newer) in ACTIONS.into_iter().flat_map(|older| ACTIONS.map(|newer| (older, newer))) {
        let outcome = under(&[&answering(older), &answering(newer)], &getpid)[0];
        match stack([newer, older]) {
            Action::Allow => assert!(matches!(outcome, Outcome::Returned(pid) if pid > 0), "{older:?} {newer:?}"),
            Action::Errno(errno) => assert_eq!(outcome, Outcome::Returned(-i64::from(errno)), "{older:?} {newer:?}"),
            _ => assert_eq!(outcome, Outcome::Killed(libc::SIGSYS), "{older:?} {newer:?}"),
        }
    }
}

/// Random instructions, most of them nearly right.
fn program() -> impl Strategy<Value = Vec<Insn>> {
    const CODES: [u16; 40] = [
        0x20, 0x20, 0x20, 0x00, 0x80, 0x60, 0x01, 0x81, 0x61, 0x02, 0x02, 0x03, 0x04, 0x0c, 0x14, 0x24, 0x34, 0x3c,
        0x44, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x84, 0x94, 0xa4, 0xac, 0x05, 0x15, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x06,
        0x16, 0x07, 0x87, 0x28,
    ];
    let k = prop_oneof![3 => 0u32..5, 2 => (0u32..18).prop_map(|word| word * 4), 1 => 0u32..70, 1 => any::<u32>()];
    const ANSWERS: [Action; 6] =
        [Action::Allow, Action::Errno(1), Action::Errno(2), Action::Errno(3), Action::Errno(4), Action::Trap];
    let insn = (0usize..CODES.len(), 0u8..4, 0u8..4, k).prop_map(|(code, jt, jf, k)| match CODES[code] {
        0x06 => Insn::stmt(0x06, ANSWERS[k as usize % 6].ret()),
        // The instruction pointer is not known beforehand.
        0x20 if k == 8 || k == 12 => Insn::stmt(0x20, 16),
        code => Insn { code, jt, jf, k },
    });
    (proptest::collection::vec(insn, 0..10), any::<bool>()).prop_map(|(mut insns, whole)| {
        if whole {
            // Enough returns for every jump that is not too far.
            insns.extend(ANSWERS.map(|action| Insn::stmt(0x06, action.ret())));
        }
        insns
    })
}

/// What `check` takes, the kernel takes, and nothing else.
#[test]
fn the_kernel_takes_what_check_takes() {
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let taken = Cell::new(0);
    let outcome = runner.run(&program(), |insns| {
        let (ours, kernels) = (check(&insns), accepted(&insns));
        taken.set(taken.get() + u32::from(ours.is_ok()));
        prop_assert_eq!(ours.is_ok(), kernels.is_ok(), "check: {:?}, kernel: {:?}", ours, kernels);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!((100..1900).contains(&taken.get()), "{} of 2000 taken: one-sided", taken.get());
}

/// What a program answers here, it answers there: random programs on a call that no kernel has.
#[test]
fn the_interpreter_is_the_kernels() {
    const ABSENT: u32 = 999;
    let args = [0, 1, 0x1_0000_0003, u64::MAX, 0x8000_0000_0000_0000, 0x0123_4567_89ab_cdef];
    let data = SeccompData { nr: ABSENT, arch: Arch::X86_64.audit(), instruction_pointer: 0, args };
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let answers = RefCell::new(BTreeMap::<Action, u32>::new());
    let outcome = runner.run(&program(), |insns| {
        if check(&insns).is_err() {
            return Ok(());
        }
        let action =
            Action::from_ret(interpret(&insns, &data).map_err(|error| TestCaseError::fail(error.to_string()))?);
        let expected = match action {
            // Nobody traces or listens; the kernel has no such call.
            Action::Allow | Action::Log | Action::Trace(_) | Action::Notify => Outcome::Returned(ENOSYS),
            Action::Errno(errno) => Outcome::Returned(-i64::from(errno)),
            Action::Trap | Action::KillThread | Action::KillProcess => Outcome::Killed(libc::SIGSYS),
        };
        prop_assert_eq!(under(&[&insns], &[Call { number: ABSENT, args }])[0], expected, "{:?}", action);
        *answers.borrow_mut().entry(action).or_default() += 1;
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let answers = answers.into_inner();
    assert!(answers.values().filter(|count| **count >= 5).count() >= 4, "one-sided: {answers:?}");
}
