//! `seccomp-deny` and `seccomp-allow`: what the workload may call then, worked out from spec and plan.

mod common;

use common::meaning::{Answer, Filters};
use common::{exec_process, host, host_with_calls, map, workload_spec};
use zerocap_annotations::report::State;
use zerocap_annotations::{Confinement, Floor, Host, PodPolicy, Policy, Promise, Target, ZcError, confine};
use zerocap_seccomp::{Arch, SeccompData, X32_BIT, lookup, names};

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

/// The policy of a pod in platform mode.
fn policy(annotations: &[(&str, &str)]) -> Policy {
    policy_of(&[&[PLATFORM], annotations].concat(), &Floor::none())
}

fn policy_of(annotations: &[(&str, &str)], floor: &Floor) -> Policy {
    let annotations = map(annotations);
    let policy = PodPolicy::new(&annotations, floor).and_then(|pod| pod.container("", &annotations));
    policy.unwrap_or_else(|error| panic!("{error}"))
}

fn decided(policy: &Policy) -> Result<Confinement, ZcError> {
    confine(&workload_spec(), Target::Init, policy, &host())
}

fn with(annotations: &[(&str, &str)]) -> Confinement {
    decided(&policy(annotations)).unwrap_or_else(|error| panic!("{error}"))
}

/// The code of the refusal.
fn refusal(policy: &Policy) -> &'static str {
    decided(policy).map(|_| ()).expect_err("a refusal").code.as_str()
}

fn exec(policy: &Policy, host: &Host) -> Confinement {
    let spec = workload_spec();
    let process = exec_process(&spec, &["sh"]);
    confine(&spec, Target::Exec { process: &process }, policy, host).unwrap_or_else(|error| panic!("{error}"))
}

fn call_of(name: &str, args: [u64; 6]) -> SeccompData {
    let nr = lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("a call of x86-64");
    SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args }
}

/// What the kernel answers to a call without arguments.
fn answer(confinement: &Confinement, name: &str) -> Answer {
    Filters::oci(&confinement.spec).and_plan(confinement.plan.as_ref()).answer(&call_of(name, [0; 6]))
}

/// The same without the OCI layer: what an engine that loads none on an exec leaves.
fn answer_of_plan(confinement: &Confinement, name: &str) -> Answer {
    Filters::default().and_plan(confinement.plan.as_ref()).answer(&call_of(name, [0; 6]))
}

fn neighbours(confinement: &Confinement) -> State {
    confinement
        .report
        .promises
        .iter()
        .find(|row| row.promise == Promise::Neighbours)
        .map_or(State::NotAsked, |r| r.state)
}

#[test]
fn denied_names_are_refused_for_the_first_process_and_for_execs() {
    let (without, deny) = (with(&[]), with(&[("zerocap.io/seccomp-deny", "mkdir,mkdirat")]));
    for name in ["mkdir", "mkdirat"] {
        assert_eq!((answer(&without, name), answer(&deny, name)), (Answer::Allow, Answer::Errno), "{name}");
    }
    assert_eq!(answer(&deny, "openat"), Answer::Allow);

    let exec = exec(&policy(&[("zerocap.io/seccomp-deny", "mkdir,mkdirat")]), &host());
    assert_eq!((answer_of_plan(&exec, "mkdirat"), answer_of_plan(&exec, "openat")), (Answer::Errno, Answer::Allow));
}

#[test]
fn a_denied_name_needs_neither_a_preset_nor_platform_mode() {
    let deny = policy_of(&[("zerocap.io/seccomp-deny", "ptrace")], &Floor::none());
    let confinement = decided(&deny).unwrap_or_else(|error| panic!("{error}"));
    assert!(confinement.report.active);
    assert_eq!((answer(&confinement, "ptrace"), answer(&confinement, "unlink")), (Answer::Errno, Answer::Allow));
    // The same call under another number of another ABI.
    let filters = Filters::default().and_plan(confinement.plan.as_ref());
    let ptrace = call_of("ptrace", [0; 6]);
    assert_eq!(filters.answer(&SeccompData { nr: ptrace.nr | X32_BIT, ..ptrace }), Answer::Errno);
    assert_eq!(filters.answer(&SeccompData { nr: 26, arch: Arch::I386.audit(), ..ptrace }), Answer::Errno);
}

/// execve is the launcher's by its cookie, once.
#[test]
fn a_denied_execve_still_starts_the_workload() {
    let confinement = with(&[("zerocap.io/seccomp-deny", "execve,execveat")]);
    let filters = Filters::oci(&confinement.spec).and_plan(confinement.plan.as_ref());
    let [a, b, c] = common::meaning::cookie();
    assert_eq!(filters.answer(&call_of("execve", [1, 2, 3, a, b, c])), Answer::Allow);
    assert_eq!(filters.answer(&call_of("execve", [1, 2, 3, a, b, c ^ 1])), Answer::Errno);
    assert!(confinement.report.notes.iter().any(|note| note.contains("nothing is executed")));
}

#[test]
fn a_name_comes_back_where_the_pods_own_profile_allows_it_and_not_else() {
    let allow = [("zerocap.io/seccomp-allow", "ptrace,kcmp,modify_ldt")];
    let (without, back) = (with(&[]), with(&allow));
    for name in ["ptrace", "modify_ldt"] {
        assert_eq!((answer(&without, name), answer(&back, name)), (Answer::Errno, Answer::Allow), "{name}");
    }
    // RuntimeDefault without capabilities refuses kcmp; our own filter does no longer.
    assert_eq!((answer(&back, "kcmp"), answer_of_plan(&back, "kcmp")), (Answer::Errno, Answer::Allow));
    // What was not named stays as it was.
    assert_eq!(answer(&back, "process_vm_readv"), Answer::Errno);
    // On an exec the pod's own profile is the engine's or the launcher's; never nobody's.
    let exec = exec(&policy(&allow), &host_with_calls());
    assert_eq!((answer_of_plan(&exec, "kcmp"), answer_of_plan(&exec, "ptrace")), (Answer::Errno, Answer::Allow));
}

#[test]
fn what_reaches_beyond_the_container_costs_the_promise() {
    let allow = ("zerocap.io/seccomp-allow", "ptrace");
    let reason = |annotations: &[(&str, &str)]| {
        let row = with(annotations).report.promises.into_iter().find(|row| row.promise == Promise::Neighbours);
        row.map(|row| row.reason).unwrap_or_default()
    };
    assert!(reason(&[allow]).contains("re-admits ptrace") && !reason(&[]).contains("re-admits"));
    assert_eq!(neighbours(&with(&[allow])), State::Partly);
    assert_eq!(refusal(&policy(&[allow, ("zerocap.io/require", "neighbours")])), "ZC0502");
}

/// Every call there is, alone: what comes back whole breaks no promise that is said to be kept.
#[test]
fn what_promises_rest_on_does_not_come_back() {
    let mut refused = 0;
    for call in names().filter(|call| call.number(Arch::X86_64).is_some()) {
        let without = with(&[]);
        match decided(&policy(&[("zerocap.io/seccomp-allow", call.name())])) {
            Err(error) => {
                refused += 1;
                assert_eq!(error.code.as_str(), "ZC0405", "{}: {error}", call.name());
            }
            Ok(back) if answer_of_plan(&back, call.name()) > answer_of_plan(&without, call.name()) => {
                panic!("{} became stricter", call.name())
            }
            Ok(back) if answer_of_plan(&back, call.name()) < answer_of_plan(&without, call.name()) => {
                let free = ["modify_ldt", "sysfs", "userfaultfd", "fanotify_init", "fanotify_mark", "acct"];
                let told = back.report.promises.iter().any(|row| row.reason.contains(call.name()));
                assert!(told || free.contains(&call.name()), "{} comes back in silence", call.name());
            }
            Ok(_) => {}
        }
    }
    assert!(refused > 40, "{refused}");
    for name in ["io_uring_setup", "unshare", "setns", "mount", "bpf", "clone3", "listen", "open_by_handle_at"] {
        assert_eq!(refusal(&policy(&[("zerocap.io/seccomp-allow", name)])), "ZC0405", "{name}");
    }
}

#[test]
fn conditions_of_general_stay() {
    let allow = ("zerocap.io/seccomp-allow", "clone,socket,setsockopt");
    for preset in ["general", "minimal", "model-backend"] {
        let confinement = with(&[("zerocap.io/seccomp", preset), allow]);
        let filters = Filters::oci(&confinement.spec).and_plan(confinement.plan.as_ref());
        for (name, args, expected) in [
            ("clone", [0x11, 0, 0, 0, 0, 0], Answer::Allow),
            ("clone", [0x1000_0011, 0, 0, 0, 0, 0], Answer::Errno),
            ("socket", [2, 1, 0, 0, 0, 0], Answer::Allow),
            ("socket", [2, 2, 0, 0, 0, 0], Answer::Errno),
            // SO_MARK.
            ("setsockopt", [3, 1, 36, 0, 0, 0], Answer::Errno),
        ] {
            assert_eq!(filters.answer(&call_of(name, args)), expected, "{name} {args:?} under {preset}");
        }
    }
}

#[test]
fn the_longest_lists_fit() {
    let all: Vec<&str> = names()
        .map(|call| call.name())
        .filter(|name| !name.starts_with("exit") && !["restart_syscall", "rt_sigreturn"].contains(name))
        .collect();
    let longest = all[..250].join(",");
    let confinement = with(&[
        ("zerocap.io/seccomp", "general,model-backend"),
        ("zerocap.io/seccomp-deny", &longest),
        ("zerocap.io/seccomp-allow", "ptrace"),
    ]);
    let plan = confinement.plan.expect("a plan");
    assert!(plan.encode().is_ok() && plan.filters.len() <= 4, "{}", plan.filters.len());
}

#[test]
fn the_floor_has_the_last_word() {
    let floor = |text: &str| Floor::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let forbidden = floor("version = 1\n[[section]]\nnamespaces = [\"*\"]\nforbidden = [\"seccomp-allow\"]\n");
    let annotations = map(&[PLATFORM, ("zerocap.io/seccomp-allow", "ptrace")]);
    assert_eq!(PodPolicy::new(&annotations, &forbidden).map(|_| ()).expect_err("forbidden").code.as_str(), "ZC0206");

    let ceiling = floor("version = 1\n[ceilings]\nseccomp-deny = \"ptrace\"\n");
    let nobody = decided(&policy_of(&[PLATFORM], &ceiling)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer_of_plan(&nobody, "ptrace"), Answer::Errno);
    // Denied by the floor, re-admitted by the pod: the denial stands, and is told.
    let allow = policy_of(&[PLATFORM, ("zerocap.io/seccomp-allow", "ptrace")], &ceiling);
    let both = decided(&allow).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer_of_plan(&both, "ptrace"), Answer::Errno);
    assert!(both.report.notes.iter().any(|note| note.contains("both have ptrace")));
}

#[test]
fn re_admitting_without_a_preset_says_so() {
    assert_eq!(refusal(&policy_of(&[("zerocap.io/seccomp-allow", "ptrace")], &Floor::none())), "ZC0404");
}
