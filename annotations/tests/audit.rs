//! `mode: audit`: what goes out is watched, everything else is enforced as ever.

mod common;

use common::{host, map, workload_spec};
use zerocap_annotations::knob::{Knob, Mode, Transport};
use zerocap_annotations::report::State;
use zerocap_annotations::{Confinement, Floor, Host, PacketFence, PodPolicy, Promise, Target, ZcError, confine};

const PERMITTED: &str = "modes = [\"audit\"]";

fn confined(floor: &str, annotations: &[(&str, &str)], host: &Host) -> Result<Confinement, ZcError> {
    let mut all = map(annotations);
    all.insert("network-enforcement".into(), "platform".into());
    let floor = Floor::parse(&format!("version = 1\n{floor}"))?;
    let policy = PodPolicy::new(&all, &floor)?.container("app", &all)?;
    confine(&workload_spec(), Target::Init, &policy, host)
}

fn state(confinement: &Confinement, promise: Promise) -> State {
    confinement.report.promises.iter().find(|row| row.promise == promise).expect("every promise has a row").state
}

#[test]
fn it_opens_the_way_out_and_nothing_else() {
    let annotations = [("zerocap.io/egress", "10.0.0.1:443"), ("zerocap.io/listen", "8080")];
    let enforced = confined(PERMITTED, &annotations, &host()).expect("it starts");
    let audited = confined(PERMITTED, &[annotations[0], annotations[1], ("zerocap.io/mode", "audit")], &host())
        .expect("it starts");

    let (before, rules) = (enforced.packets.expect("a fence"), audited.packets.clone().expect("a fence"));
    assert!(!before.audit && rules.audit);
    assert_eq!(
        (&before.allow, &before.listen),
        (&rules.allow, &rules.listen),
        "the rules are the same, for the counting"
    );
    assert!(!rules.listens(Transport::Udp, 8080), "watched datagrams open no port");

    // Landlock: connect (2) is the fence's, bind (1) stays.
    let net = |plan: &Option<zerocap_plan::LaunchPlan>| {
        plan.as_ref().and_then(|plan| plan.landlock.as_ref()).map(|ruleset| ruleset.handled_net)
    };
    assert_eq!((net(&enforced.plan), net(&audited.plan)), (Some(3), Some(1)));
    assert_eq!(audited.plan.as_ref().and_then(|plan| plan.forbidden_connect), None);

    assert_eq!(state(&audited, Promise::Egress), State::NotKept);
    assert_eq!(state(&audited, Promise::Protocols), State::Partly);
    for promise in [Promise::Privileges, Promise::Inbound, Promise::Descriptors] {
        assert_eq!(state(&audited, promise), State::Kept, "{promise}");
    }
    assert!(audited.report.audits() && !enforced.report.audits());
    assert_eq!(audited.expect.caps_zero, enforced.expect.caps_zero);
    assert_eq!(audited.expect.min_filters, enforced.expect.min_filters);
}

#[test]
fn the_floor_permits_it_and_nobody_else() {
    let error = confined("", &[("zerocap.io/mode", "audit")], &host()).expect_err("no floor permits it");
    assert_eq!(error.code.as_str(), "ZC0208");
    let error = confined("", &[("mode.zerocap.io/app", "audit")], &host()).expect_err("nor as an exception");
    assert_eq!(error.code.as_str(), "ZC0208");
    let one = confined(PERMITTED, &[("mode.zerocap.io/app", "audit")], &host()).expect("an exception is looser");
    assert!(one.report.audits());
    let other = confined(PERMITTED, &[("mode.zerocap.io/other", "audit")], &host()).expect("it starts");
    assert!(!other.report.audits() && state(&other, Promise::Egress) == State::Kept);
}

#[test]
fn who_requires_egress_gets_no_audit() {
    let annotations = [("zerocap.io/mode", "audit"), ("zerocap.io/require", "egress")];
    let error = confined(PERMITTED, &annotations, &host()).expect_err("the two exclude each other");
    assert_eq!(error.code.as_str(), "ZC0501");
    assert!(error.to_string().contains("mode is audit"), "{error}");
}

/// Nobody could count: what is left of the fences enforces.
#[test]
fn without_a_packet_fence_it_is_enforced() {
    let host = Host { packet_fence: PacketFence { works: false, missing: "no cgroup v2".into() }, ..host() };
    let annotations = [("zerocap.io/mode", "audit")];
    let error = confined(PERMITTED, &annotations, &host).expect_err("egress is only partly kept");
    assert_eq!(error.code.as_str(), "ZC0502");
    let fewer = [annotations[0], ("zerocap.io/require", "privileges")];
    let confinement = confined(PERMITTED, &fewer, &host).expect("it asks for less");
    assert!(!confinement.report.audits());
    let ruleset = confinement.plan.and_then(|plan| plan.landlock).expect("Landlock is there");
    assert_eq!(ruleset.handled_net, 3);
}

#[test]
fn it_cannot_come_later_and_may_end_later() {
    let floor = Floor::parse(&format!("version = 1\n{PERMITTED}")).expect("a floor");
    let platform = ("network-enforcement", "platform");
    let (enforce, audit) = (map(&[platform]), map(&[platform, ("zerocap.io/mode", "audit")]));
    let mode = |frozen, now| {
        let policy = PodPolicy::new(frozen, &floor).expect("a pod").container("app", now).expect("a policy");
        policy.settings().mode
    };
    assert_eq!(mode(&enforce, &audit), Some(Mode::Enforce));
    assert_eq!(mode(&audit, &enforce), Some(Mode::Enforce));
    assert_eq!(mode(&audit, &audit), Some(Mode::Audit));
}

/// A floor's default for every pod does not reach those whose network is the cluster's.
#[test]
fn a_default_of_the_floor_is_for_platform_mode() {
    let floor = Floor::parse("version = 1\n[defaults]\nmode = \"audit\"").expect("the administrator may");
    let policy = |annotations: &[(&str, &str)]| {
        PodPolicy::new(&map(annotations), &floor).and_then(|pod| pod.sandbox()).expect("a policy")
    };
    assert!(policy(&[("network-enforcement", "platform")]).audit());
    let cluster = policy(&[("zerocap.io/unix", "none")]);
    assert!(!cluster.audit());
    assert_eq!(cluster.settings().text(Knob::Mode).as_deref(), Some("enforce"));
}
