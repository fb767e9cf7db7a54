//! Which value holds: annotation, exception, named policy, floor, default; and what changes after the start of the pod.

mod common;

use common::{map, pod, pod_with};
use zerocap_annotations::knob::{Knob, Listen, Preset, Unix};
use zerocap_annotations::policy::{Effect, NAMESPACE_ANNOTATION, Source};
use zerocap_annotations::{Floor, PodPolicy, Policy, ZcError};

const PLATFORM: (&str, &str) = ("network-enforcement", "platform");

fn container(annotations: &[(&str, &str)], name: &str) -> Policy {
    pod_with(annotations).container(name, &map(annotations)).expect("a policy")
}

fn under(floor: &str, annotations: &[(&str, &str)]) -> Result<Policy, ZcError> {
    let floor = Floor::parse(&format!("version = 1\n{floor}")).expect("a floor");
    PodPolicy::new(&map(annotations), &floor)?.container("c1", &map(annotations))
}

fn refused(floor: &str, annotations: &[(&str, &str)]) -> &'static str {
    under(floor, annotations).expect_err("must be refused").code.as_str()
}

#[test]
fn defaults_of_the_two_modes() {
    let policy = container(&[PLATFORM], "c1");
    assert!(policy.active() && policy.platform() && !policy.files_asked());
    assert_eq!((policy.proxy_port(), policy.unix()), (3128, Unix::Container));
    assert!(policy.listen().is_none() && policy.presets().0.contains(&Preset::General));

    for annotations in [&[][..], &[("network-enforcement", "namespace")]] {
        let policy = container(annotations, "c1");
        assert!(!policy.active() && !policy.platform());
        assert_eq!((policy.unix(), policy.listen()), (Unix::Any, &Listen::Any));
        assert!(policy.presets().0.is_empty());
    }
}

#[test]
fn every_knob_of_this_version_alone_makes_the_policy_active() {
    for (key, value) in [
        ("network-enforcement", "platform"),
        ("zerocap.io/seccomp", "general"),
        ("zerocap.io/filesystem", "read-only"),
        ("zerocap.io/fs-read", "/"),
        ("zerocap.io/fs-write", "/"),
        ("zerocap.io/fs-execute", "/"),
        ("zerocap.io/unix", "container"),
        ("zerocap.io/require", "files"),
    ] {
        assert!(container(&[(key, value)], "c1").active(), "{key}");
    }
    assert!(!container(&[("zerocap.io/mode", "enforce")], "c1").active());
}

#[test]
fn an_exception_holds_for_its_container_only() {
    let annotations = [
        PLATFORM,
        ("zerocap.io/listen", "80"),
        ("listen.zerocap.io/web", "80,8080"),
        ("network-enforcement.zerocap.io/proxy", "cluster"),
    ];
    assert_eq!(container(&annotations, "app").listen(), &Listen::Ports([80].into()));
    let web = container(&annotations, "web");
    assert_eq!(web.listen(), &Listen::Ports([80, 8080].into()));
    assert_eq!(web.sources()[&Knob::Listen], Source::Exception("listen.zerocap.io/web".into()));
    let proxy = container(&annotations, "proxy");
    assert!(!proxy.active(), "what platform mode alone asks for goes with it");
    // A misspelt name leaves the strict value in force.
    assert!(container(&annotations, "porxy").platform());
    // The pause container has the pod-wide values.
    assert!(pod_with(&annotations).sandbox().is_ok_and(|policy| policy.platform()));
}

#[test]
fn an_exception_may_repeat_the_pod_wide_value() {
    let annotations =
        [PLATFORM, ("unix.zerocap.io/c1", "container"), ("network-enforcement.zerocap.io/c1", "platform")];
    assert!(container(&annotations, "c1").platform());
}

#[test]
fn written_knobs_outlive_an_exception_from_platform_mode() {
    let annotations = [
        PLATFORM,
        ("zerocap.io/filesystem", "read-only"),
        ("zerocap.io/listen", "80"),
        ("network-enforcement.zerocap.io/proxy", "cluster"),
    ];
    let proxy = container(&annotations, "proxy");
    assert!(proxy.read_only() && !proxy.platform() && proxy.listen() == &Listen::Any);
}

#[test]
fn the_floor_gives_defaults_that_annotations_override() {
    let floor = "[defaults]\nnetwork-enforcement = \"platform\"\nproxy-port = 8118\nunix = \"none\"";
    let policy = under(floor, &[]).expect("a policy");
    assert!(policy.platform());
    assert_eq!((policy.proxy_port(), policy.unix()), (8118, Unix::None));
    assert_eq!(policy.sources()[&Knob::ProxyPort], Source::FloorDefault);
    let policy = under(floor, &[("zerocap.io/unix", "any"), ("network-enforcement", "cluster")]).expect("a policy");
    assert!(!policy.platform() && policy.unix() == Unix::Any);
}

#[test]
fn a_ceiling_raises_what_nobody_wrote_and_refuses_what_is_looser() {
    let floor = "[ceilings]\nnetwork-enforcement = \"platform\"\nfilesystem = \"read-only\"\nlisten = [80, 443]";
    let policy = under(floor, &[]).expect("a policy");
    assert!(policy.platform() && policy.read_only() && policy.listen().is_none());
    assert_eq!(policy.sources()[&Knob::Filesystem], Source::FloorCeiling);
    assert_eq!(under(floor, &[("zerocap.io/listen", "443")]).expect("a policy").listen(), &Listen::Ports([443].into()));
    assert_eq!(refused(floor, &[("zerocap.io/listen", "443,8080")]), "ZC0207");
    assert_eq!(refused(floor, &[("zerocap.io/listen", "*")]), "ZC0207");
    assert_eq!(refused(floor, &[("zerocap.io/filesystem", "image")]), "ZC0207");
    assert_eq!(refused(floor, &[("network-enforcement", "cluster")]), "ZC0207");
    assert_eq!(refused(floor, &[("zerocap.io/fs-write", "/data")]), "ZC0207");
    assert!(under(floor, &[("zerocap.io/fs-read", "/usr")]).is_ok_and(|policy| policy.read_only()));
}

#[test]
fn sections_match_the_kubernetes_namespace_and_add_to_the_rest() {
    let floor = Floor::parse(
        "version = 1\nforbidden = [\"require\"]\n[ceilings]\nunix = \"container\"\n\
         [[section]]\nnamespaces = [\"prod-*\", \"bank\"]\nceilings = { network-enforcement = \"platform\" }\nforbidden = [\"listen\"]\n\
         [[section]]\nnamespaces = [\"*\"]\ndefaults = { proxy-port = 9999 }\n",
    )
    .expect("a floor");
    let policy = |namespace: &str, annotations: &[(&str, &str)]| {
        let mut all = map(annotations);
        all.insert(NAMESPACE_ANNOTATION.into(), namespace.into());
        PodPolicy::new(&all, &floor)?.container("c1", &all)
    };
    let code =
        |result: Result<Policy, ZcError>| result.map(|policy| policy.platform()).map_err(|error| error.code.as_str());
    for namespace in ["prod-eu", "bank"] {
        assert_eq!(code(policy(namespace, &[])), Ok(true), "{namespace}");
        assert_eq!(code(policy(namespace, &[("zerocap.io/listen", "80")])), Err("ZC0206"));
        assert_eq!(code(policy(namespace, &[("network-enforcement", "cluster")])), Err("ZC0207"));
    }
    for namespace in ["dev", "prod", "banks", ""] {
        assert_eq!(code(policy(namespace, &[])), Ok(false), "{namespace}");
        assert_eq!(policy(namespace, &[PLATFORM]).map(|p| p.proxy_port()), Ok(9999), "the first section that matches");
        assert_eq!(
            code(policy(namespace, &[("zerocap.io/require", "files")])),
            Err("ZC0206"),
            "what is at the top holds everywhere"
        );
        assert_eq!(code(policy(namespace, &[PLATFORM, ("zerocap.io/unix", "any")])), Err("ZC0207"));
    }
    assert_eq!(policy("bank", &[]).map(|p| p.proxy_port()), Ok(3128));
}

#[test]
fn exceptions_meet_the_floor_too() {
    let floor = "forbidden = [\"unix\"]\n[ceilings]\nlisten = [80]";
    assert_eq!(refused(floor, &[PLATFORM, ("unix.zerocap.io/c1", "any")]), "ZC0206");
    assert_eq!(refused(floor, &[PLATFORM, ("listen.zerocap.io/c1", "81")]), "ZC0207");
}

#[test]
fn a_named_policy_stands_between_annotations_and_the_floors_defaults() {
    let floor = "[defaults]\nproxy-port = 1111\npolicy = \"base\"\n[policies.base]\nunix = \"none\"\n[policies.web]\nnetwork-enforcement = \"platform\"\nlisten = [80]\nproxy-port = 2222\n\
                 [[section]]\nnamespaces = [\"strict\"]\npolicies = [\"base\"]";
    let base = under(floor, &[PLATFORM]).expect("a policy");
    assert_eq!((base.unix(), base.proxy_port()), (Unix::None, 1111));
    let web = under(floor, &[("zerocap.io/policy", "web")]).expect("a policy");
    assert!(web.platform());
    assert_eq!((web.unix(), web.proxy_port(), web.listen()), (Unix::Container, 2222, &Listen::Ports([80].into())));
    assert_eq!(web.sources()[&Knob::Listen], Source::Policy("web".into()));
    let own = under(floor, &[("zerocap.io/policy", "web"), ("zerocap.io/listen", "none")]).expect("a policy");
    assert!(own.listen().is_none());
    assert_eq!(refused(floor, &[(NAMESPACE_ANNOTATION, "strict"), ("zerocap.io/policy", "web")]), "ZC0209");
}

#[test]
fn path_lists_stand_instead_of_filesystem_whichever_is_nearer() {
    let floor = "[defaults]\nfilesystem = \"read-only\"";
    let policy = under(floor, &[("zerocap.io/fs-write", "/data")]).expect("a policy");
    assert!(!policy.read_only() && policy.settings().fs_write.is_some());
    let floor = "[defaults]\nfs-write = [\"/data\"]";
    let policy = under(floor, &[("zerocap.io/filesystem", "read-only")]).expect("a policy");
    assert!(policy.read_only() && policy.settings().fs_write.is_none());
}

#[test]
fn the_handlers_floor_needs_no_annotation() {
    let floor = Floor::none().and_builtin("platform").expect("built in");
    let none = map(&[]);
    let frozen = PodPolicy::new(&none, &floor).expect("a pod policy");
    assert!(frozen.container("c1", &none).is_ok_and(|policy| policy.platform()));
    assert!(frozen.sandbox().is_ok_and(|policy| policy.platform()));
    let cluster = map(&[("network-enforcement", "cluster")]);
    assert_eq!(PodPolicy::new(&cluster, &floor).map_err(|e| e.code.as_str()).err(), Some("ZC0207"));
    // Later the ceiling holds all the same, and the difference has no effect to report.
    assert!(frozen.container("c1", &cluster).is_ok_and(|policy| policy.platform()));
    // The handler sets the mode pod-wide, so exceptions have something to be looser than.
    let exception = map(&[("listen.zerocap.io/web", "80")]);
    assert!(PodPolicy::new(&exception, &floor).is_ok());
}

#[test]
fn the_handlers_floor_and_the_file_add_up() {
    let floor = Floor::parse("version = 1\n[ceilings]\nunix = \"none\"").expect("a floor").and_platform();
    let policy = PodPolicy::new(&map(&[]), &floor).and_then(|pod| pod.container("c1", &map(&[]))).expect("a policy");
    assert!(policy.platform() && policy.unix() == Unix::None);
}

#[test]
fn what_is_frozen_survives_any_later_annotation() {
    let frozen =
        pod(&[("zerocap.io/filesystem", "read-only"), ("zerocap.io/unix", "none"), ("zerocap.io/proxy-port", "3129")]);
    for later in [
        &[][..],
        &[("network-enforcement", "cluster")],
        &[
            PLATFORM,
            ("zerocap.io/filesystem", "image"),
            ("zerocap.io/unix", "any"),
            ("zerocap.io/proxy-port", "22"),
            ("zerocap.io/listen", "*"),
        ],
        &[PLATFORM, ("network-enforcement.zerocap.io/c1", "cluster"), ("zerocap.io/fs-write", "/")],
    ] {
        let policy = frozen.container("c1", &map(later)).expect("a policy");
        assert!(policy.platform() && policy.read_only() && policy.listen().is_none(), "{later:?}");
        assert_eq!((policy.unix(), policy.proxy_port()), (Unix::None, 3129), "{later:?}");
        assert!(policy.settings().fs_write.is_none());
        assert!(!policy.differences().is_empty());
        assert!(policy.differences().iter().all(|difference| difference.effect == Effect::Ignored), "{later:?}");
    }
}

#[test]
fn later_annotations_may_tighten_and_the_report_says_so() {
    let frozen = pod_with(&[]);
    let later = map(&[PLATFORM, ("zerocap.io/filesystem", "read-only")]);
    let policy = frozen.container("c1", &later).expect("a policy");
    assert!(policy.platform() && policy.read_only());
    let tightened: Vec<Knob> =
        policy.differences().iter().filter(|d| d.effect == Effect::Tightened).map(|d| d.knob).collect();
    assert!(tightened.contains(&Knob::NetworkEnforcement) && tightened.contains(&Knob::Filesystem));
}

#[test]
fn later_annotations_that_are_malformed_refuse_the_container() {
    let frozen = pod(&[]);
    for (later, code) in [
        (("zerocap.io/proxyport", "1"), "ZC0101"),
        (("zerocap.io/listen", "http"), "ZC0102"),
        (("zerocap.io/network-enforcement", "cluster"), "ZC0103"),
        (("zerocap.io/fd-allow", "0-2"), "ZC0109"),
        (("proxy-port.zerocap.io/c1", "1"), "ZC0107"),
    ] {
        let refused = frozen.container("c1", &map(&[PLATFORM, later])).map_err(|error| error.code.as_str()).err();
        assert_eq!(refused, Some(code), "{later:?}");
    }
}

#[test]
fn the_frozen_form_is_json_of_a_known_version() {
    let floor = Floor::parse(
        "version = 1\nforbidden = [\"listen\"]\n[ceilings]\nunix = \"container\"\n[policies.web]\nfs-read = [\"/usr\"]",
    )
    .expect("a floor");
    let annotations = map(&[
        PLATFORM,
        ("zerocap.io/require", "privileges"),
        ("unrelated", "dropped"),
        (NAMESPACE_ANNOTATION, "prod"),
    ]);
    let pod = PodPolicy::new(&annotations, &floor).expect("a pod policy");
    let json = serde_json::to_string(&pod).expect("JSON");
    assert!(!json.contains("unrelated"));
    let again = PodPolicy::from_json(&json).expect("the same");
    assert_eq!(again, pod);
    assert_eq!(again.namespace(), "prod");
    let code = |json: &str| PodPolicy::from_json(json).map_err(|error| error.code.as_str()).err();
    assert_eq!(code(&json.replacen("\"version\":1", "\"version\":2", 1)), Some("ZC0903"));
    assert_eq!(code(&json.replacen("\"version\":1", "\"version\":1,\"more\":0", 1)), Some("ZC0902"));
    assert_eq!(code("{}"), Some("ZC0902"));
    assert_eq!(code(&json[..json.len() / 2]), Some("ZC0902"));
}

#[test]
fn the_example_of_the_documentation_parses_and_does_what_it_says() {
    let floor = Floor::parse(zerocap_annotations::floor::EXAMPLE).expect("a floor");
    let demands = floor.demands("batch-1");
    assert!(demands.forbidden.contains(&Knob::Listen) && demands.policies.is_empty());
    assert_eq!(demands.modes.len(), 2);
    assert_eq!(floor.demands("other").policies.len(), 1);
    let batch = map(&[(NAMESPACE_ANNOTATION, "batch-1"), ("zerocap.io/mode", "enforce")]);
    assert!(PodPolicy::new(&batch, &floor).and_then(|pod| pod.sandbox()).is_ok_and(|policy| policy.platform()));
}
