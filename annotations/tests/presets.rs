//! Every preset can be chosen, alone and together: what is loaded, what is promised, how annotations and floors combine.

mod common;

use common::meaning::{Answer, Filters};
use common::{host, map, pod_with, workload_spec};
use zerocap_annotations::knob::{Knob, Preset};
use zerocap_annotations::report::{PromiseReport, State};
use zerocap_annotations::{Confinement, Floor, PodPolicy, Promise, Target, confine};
use zerocap_seccomp::preset::{self, LastLayer};
use zerocap_seccomp::{Arch, SeccompData, lookup};

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

fn confined(annotations: &[(&str, &str)]) -> Confinement {
    let policy = pod_with(annotations).container("c1", &map(annotations)).expect("a policy");
    confine(&workload_spec(), Target::Init, &policy, &host()).expect("a confinement")
}

fn row(confined: &Confinement, promise: Promise) -> &PromiseReport {
    confined.report.promises.iter().find(|row| row.promise == promise).expect("a row")
}

fn answer(confined: &Confinement, name: &str, args: [u64; 6]) -> Answer {
    let nr = lookup(name).and_then(|call| call.number(Arch::X86_64)).expect("a known call");
    let filters = Filters::oci(&confined.spec).and_plan(confined.plan.as_ref());
    filters.answer(&SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args })
}

/// The filters of the plan are the built-in ones of the presets, with the knobs of the pod.
#[test]
fn what_is_chosen_is_loaded() {
    let built_in = |presets: &[preset::Preset], platform: bool| -> Vec<usize> {
        let layer = |preset: &preset::Preset| LastLayer {
            preset: *preset,
            platform,
            listen: !platform,
            ..LastLayer::default()
        };
        let all = presets.iter().filter_map(|preset| preset::last_layer(Arch::X86_64, &layer(preset)));
        all.map(|program| program.insns.len()).collect()
    };
    use preset::Preset::{General, Minimal, ModelBackend, SandboxBlocklist, Strict};
    for (value, presets) in [
        ("general", &[General][..]),
        ("strict", &[Strict]),
        ("minimal", &[Minimal]),
        ("model-backend", &[ModelBackend]),
        ("general, sandbox-blocklist", &[General]),
        ("strict, model-backend", &[Strict, ModelBackend]),
        ("model-backend, general", &[General, ModelBackend]),
    ] {
        for platform in [true, false] {
            let mode = if platform { PLATFORM } else { ("network-enforcement", "cluster") };
            let confined = confined(&[mode, ("zerocap.io/seccomp", value)]);
            let plan = confined.plan.as_ref().expect("a plan");
            let own = plan.filters.len() - presets.len();
            let loaded: Vec<usize> = plan.filters[..presets.len()].iter().map(|filter| filter.insns.len()).collect();
            assert_eq!(loaded, built_in(presets, platform), "{value}");
            assert_eq!(confined.expect.min_filters as usize, presets.len() + own + 1, "{value}: and the engine's");
        }
    }
    let alone = confined(&[("zerocap.io/seccomp", "sandbox-blocklist")]);
    let loaded: Vec<usize> =
        alone.plan.iter().flat_map(|plan| &plan.filters).map(|filter| filter.insns.len()).collect();
    assert_eq!(loaded[..1], built_in(&[SandboxBlocklist], false));
}

#[test]
fn all_must_allow() {
    let fork = ("fork", [0; 6]);
    let tcp = ("socket", [2, 1, 0, 0, 0, 0]);
    let unix = ("socket", [1, 1, 0, 0, 0, 0]);
    let listen = ("listen", [3, 1, 0, 0, 0, 0]);
    let unshare = ("unshare", [0x1000_0000, 0, 0, 0, 0, 0]);
    for (annotations, allowed, refused) in [
        (vec![PLATFORM, ("zerocap.io/seccomp", "general")], vec![fork, tcp, unix], vec![listen, unshare]),
        (vec![PLATFORM, ("zerocap.io/seccomp", "strict"), ("zerocap.io/listen", "80")], vec![fork, tcp], vec![listen]),
        (vec![PLATFORM, ("zerocap.io/seccomp", "model-backend")], vec![unix, listen], vec![fork, tcp, unshare]),
        (vec![PLATFORM, ("zerocap.io/seccomp", "general,model-backend")], vec![unix], vec![fork, tcp, listen]),
        (vec![PLATFORM, ("zerocap.io/seccomp", "minimal")], vec![], vec![fork, tcp, unix, listen, unshare]),
        (vec![PLATFORM, ("zerocap.io/seccomp", "model-backend"), ("zerocap.io/unix", "none")], vec![], vec![unix, tcp]),
        (vec![("zerocap.io/seccomp", "sandbox-blocklist")], vec![fork, tcp, unix, listen], vec![unshare]),
    ] {
        let confined = confined(&annotations);
        for (name, args) in allowed {
            assert_eq!(answer(&confined, name, args), Answer::Allow, "{name} {annotations:?}");
        }
        for (name, args) in refused {
            assert_eq!(answer(&confined, name, args), Answer::Errno, "{name} {annotations:?}");
        }
    }
}

/// What an engine needs to start anything stays in the OCI layer, whatever the presets refuse.
#[test]
fn engines_can_still_start_the_container() {
    let general = confined(&[PLATFORM]);
    for preset in ["strict", "minimal", "model-backend"] {
        let other = confined(&[PLATFORM, ("zerocap.io/seccomp", preset)]);
        let oci = |confined: &Confinement, nr| {
            let call = SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [0; 6] };
            Filters::oci(&confined.spec).answer(&call)
        };
        for nr in 0..450 {
            assert!(oci(&other, nr) <= oci(&general, nr), "{preset}: call {nr}");
        }
    }
}

#[test]
fn the_report_says_what_listening_means() {
    for (annotations, reason, state) in [
        (
            vec![("zerocap.io/seccomp", "strict"), ("zerocap.io/listen", "80")],
            "listen and accept are refused",
            State::Kept,
        ),
        (vec![("zerocap.io/seccomp", "model-backend")], "unix sockets only", State::Kept),
        (vec![("zerocap.io/seccomp", "general, model-backend")], "listen and accept are refused", State::Kept),
        (vec![("zerocap.io/seccomp", "general"), ("zerocap.io/listen", "80")], "permitted", State::Kept),
    ] {
        let all: Vec<_> = annotations.into_iter().chain([PLATFORM]).collect();
        let confined = confined(&all);
        let inbound = row(&confined, Promise::Inbound);
        assert_eq!(inbound.state, state, "{all:?}");
        assert!(inbound.fences.iter().any(|fence| fence.detail.contains(reason)), "{all:?}: {:?}", inbound.fences);
    }
}

#[test]
fn an_exception_may_take_a_looser_preset_and_no_other() {
    let pod = |exception: &str| {
        let annotations = map(&[PLATFORM, ("zerocap.io/seccomp", "strict"), ("seccomp.zerocap.io/c1", exception)]);
        PodPolicy::new(&annotations, &Floor::none()).and_then(|pod| pod.container("c1", &annotations))
    };
    assert_eq!(pod("general").map(|policy| policy.presets().0.clone()).ok(), Some([Preset::General].into()));
    for (exception, code) in [("minimal", "ZC0106"), ("model-backend", "ZC0106"), ("sandbox-blocklist", "ZC0110")] {
        assert_eq!(pod(exception).map_err(|error| error.code.as_str()).err(), Some(code), "{exception}");
    }
}

#[test]
fn later_annotations_change_to_a_stricter_preset_only() {
    let first = [PLATFORM, ("zerocap.io/seccomp", "general")];
    for (now, held) in [("strict", "strict"), ("model-backend", "general"), ("sandbox-blocklist", "general")] {
        let now = [PLATFORM, ("zerocap.io/seccomp", now)];
        let policy = pod_with(&first).container("c1", &map(&now)).expect("a policy");
        assert_eq!(policy.presets().to_string(), held, "{now:?}");
    }
}

#[test]
fn presets_of_ceilings_stack() {
    let floor = |text: &str| Floor::parse(text).expect("a floor");
    let presets = |floor: &Floor, annotations: &[(&str, &str)]| {
        let annotations = map(annotations);
        let policy = PodPolicy::new(&annotations, floor).and_then(|pod| pod.container("c1", &annotations));
        policy.map(|policy| policy.settings().text(Knob::Seccomp).unwrap_or_default()).map_err(|e| e.code.as_str())
    };
    let two = floor(
        "version = 1\n[ceilings]\nseccomp = \"strict\"\n[[section]]\nnamespaces = [\"*\"]\nceilings = { seccomp = \"model-backend\" }\n",
    );
    assert_eq!(presets(&two, &[PLATFORM]).as_deref(), Ok("general,strict,model-backend"));
    assert_eq!(presets(&two, &[]).as_deref(), Ok("strict,model-backend"));
    assert_eq!(presets(&two, &[("zerocap.io/seccomp", "minimal")]).as_deref(), Ok("minimal"));
    assert_eq!(presets(&two, &[("zerocap.io/seccomp", "strict")]), Err("ZC0207"));
    // A default that keeps no promise of platform mode gets `general` beside it.
    let listed = floor("version = 1\n[defaults]\nseccomp = \"sandbox-blocklist\"\n");
    assert_eq!(presets(&listed, &[PLATFORM]).as_deref(), Ok("general,sandbox-blocklist"));
    assert_eq!(presets(&listed, &[]).as_deref(), Ok("sandbox-blocklist"));
}

/// A filter cannot read paths: where the preset stands alone the report says what is left open.
#[test]
fn an_inference_server_that_may_write_anywhere_is_told() {
    let told = |more: &[(&str, &str)]| {
        let all: Vec<_> = [PLATFORM, ("zerocap.io/seccomp", "model-backend")].iter().chain(more).copied().collect();
        confined(&all).report.notes.iter().any(|note| note.contains("filters cannot read paths"))
    };
    assert!(told(&[]));
    assert!(told(&[("zerocap.io/filesystem", "image")]));
    assert!(!told(&[("zerocap.io/filesystem", "read-only")]));
    assert!(!told(&[("zerocap.io/fs-write", "/data")]));
    assert!(confined(&[PLATFORM]).report.notes.iter().all(|note| !note.contains("filters cannot read paths")));
}
