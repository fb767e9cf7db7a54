//! Names in `egress`: what they open, which files the container gets, what a floor says about them.

mod common;

use common::meaning::{Answer, Filters};
use common::{exec_process, host, map, pod, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::knob::Transport;
use zerocap_annotations::report::{Fence, State};
use zerocap_annotations::{Confinement, Floor, Host, PodPolicy, Promise, Target, confine};
use zerocap_seccomp::SeccompData;

const EGRESS: (&str, &str) = ("zerocap.io/egress", "api.example:443,8443, *.models.example:443, 10.0.0.0/8:5432");
const DATAGRAM_SOCKET: SeccompData =
    SeccompData { nr: 41, arch: 0xc000_003e, instruction_pointer: 0, args: [2, 2, 0, 0, 0, 0] };

fn confined(spec: &Value, annotations: &[(&str, &str)], host: &Host) -> Confinement {
    let mut all = map(annotations);
    all.insert("network-enforcement".into(), "platform".into());
    let policy = pod(annotations).container("c1", &all).expect("a policy");
    confine(spec, Target::Init, &policy, host).expect("a confinement")
}

fn mounts(spec: &Value) -> &[Value] {
    spec["mounts"].as_array().expect("mounts")
}

fn at<'a>(spec: &'a Value, place: &str) -> Vec<&'a Value> {
    mounts(spec).iter().filter(|mount| mount["destination"] == place).collect()
}

#[test]
fn names_open_no_address_by_themselves() {
    let confined = confined(&workload_spec(), &[EGRESS], &host());
    let rules = confined.packets.as_ref().expect("a packet fence");
    assert_eq!(rules.names.len(), 3);
    for (to, port, expected) in [("10.1.1.1", 5432, true), ("10.1.1.1", 443, false), ("192.0.2.1", 443, false)] {
        assert_eq!(rules.permits(Transport::Tcp, to.parse().expect("an address"), port), expected, "{to}:{port}");
    }
    let names = confined.names.as_ref().expect("names");
    assert_eq!(names.destinations, rules.names);
    let report = &confined.report.promises[1];
    assert_eq!((report.promise, report.state), (Promise::Egress, State::Kept));
    assert!(report.fences.iter().any(|fence| fence.fence == Fence::NameResolver && fence.applied));
}

#[test]
fn the_responder_is_reached_by_both_transports_and_no_other_datagrams_are_listed() {
    let confined = confined(&workload_spec(), &[EGRESS], &host());
    let landlock = confined.plan.as_ref().and_then(|plan| plan.landlock.as_ref()).expect("a ruleset");
    let connect: Vec<u16> = landlock.ports.iter().filter(|port| port.access == 2).map(|port| port.port).collect();
    assert_eq!(connect, [53, 443, 3128, 5432, 8443]);
    let rules = confined.packets.as_ref().expect("a packet fence");
    assert!(rules.datagrams() && !rules.lists_datagrams());
    let answer =
        |confined: &Confinement| Filters::oci(&confined.spec).and_plan(confined.plan.as_ref()).answer(&DATAGRAM_SOCKET);
    assert_eq!(answer(&confined), Answer::Allow);
    let without = self::confined(&workload_spec(), &[("zerocap.io/egress", "10.0.0.0/8:5432")], &host());
    assert_ne!(answer(&without), Answer::Allow);
    // A port of `listen` is for datagrams where datagrams are listed, and not for the responder's sake.
    for (egress, expected) in [("a.example:443", false), ("udp://a.example:443", true)] {
        let annotations = [("zerocap.io/egress", egress), ("zerocap.io/listen", "8080")];
        let rules = self::confined(&workload_spec(), &annotations, &host()).packets.expect("a packet fence");
        assert_eq!(rules.listens(Transport::Udp, 8080), expected, "{egress}");
    }
}

#[test]
fn private_files_lie_over_the_kubelets() {
    let spec = workload_spec();
    let confined = confined(&spec, &[EGRESS], &host());
    for (place, file) in [("/etc/resolv.conf", "resolv.conf"), ("/etc/hosts", "hosts")] {
        let found = at(&confined.spec, place);
        assert_eq!(found[0], at(&spec, place)[0], "the kubelet's mount is as it was");
        let options = json!(["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]);
        let source = format!("/run/zerocap/files/{file}");
        assert_eq!(
            found[1..],
            [&json!({ "destination": place, "type": "bind", "source": source, "options": options })]
        );
        assert!(confined.report.changes.iter().any(|change| change.what.contains(place)), "{place} is not reported");
    }
    assert_eq!(mounts(&confined.spec).last().expect("mounts")["destination"], "/.zerocap");
    let kubelets = at(&spec, "/etc/hosts")[0]["source"].as_str().expect("a source");
    assert_eq!(confined.names.as_ref().and_then(|names| names.hosts.as_deref()), Some(kubelets.as_ref()));
}

#[test]
fn a_volume_at_hosts_stays_and_one_at_resolv_conf_is_hidden() {
    let mut spec = workload_spec();
    let volume = |place: &str| json!({ "destination": place, "type": "bind", "source": "/var/lib/x", "options": ["rbind", "rw"] });
    let all = spec["mounts"].as_array_mut().expect("mounts");
    all.extend(["/etc/hosts", "/etc/./resolv.conf"].map(volume));
    let confined = confined(&spec, &[EGRESS], &host());
    assert_eq!(confined.names.as_ref().and_then(|names| names.hosts.clone()), None);
    assert_eq!(at(&confined.spec, "/etc/hosts"), at(&spec, "/etc/hosts"));
    let places: Vec<&Value> = mounts(&confined.spec).iter().rev().map(|mount| &mount["destination"]).take(3).collect();
    assert_eq!(places, ["/.zerocap", "/etc/resolv.conf", "/etc/./resolv.conf"]);
    for text in ["/etc/hosts stays", "/etc/resolv.conf is hidden"] {
        assert!(confined.report.notes.iter().any(|note| note.contains(text)), "{text}: {:?}", confined.report.notes);
    }
}

/// The kubelet's own file is known by its name; a file of the pod author that only ends so is not.
#[test]
fn whose_hosts_file_it_is() {
    for (source, expected) in [
        ("/var/lib/kubelet/pods/0b0d/etc-hosts", true),
        ("/srv/etc-hosts", false),
        ("/var/lib/kubelet/pods/0b0d/volumes/kubernetes.io~empty-dir/x/hosts", false),
    ] {
        let mut spec = workload_spec();
        for mount in spec["mounts"].as_array_mut().expect("mounts").iter_mut() {
            if mount["destination"] == "/etc/hosts" {
                mount["source"] = source.into();
            }
        }
        let names = confined(&spec, &[EGRESS], &host()).names.expect("names");
        assert_eq!(names.hosts.is_some(), expected, "{source}");
    }
}

#[test]
fn without_names_or_without_a_fence_there_is_none_of_it() {
    let spec = workload_spec();
    let none = Host { packet_fence: Default::default(), ..host() };
    let few = ("zerocap.io/require", "privileges");
    for (annotations, host) in
        [(vec![("zerocap.io/egress", "10.0.0.0/8:443")], host()), (vec![EGRESS, few], none.clone())]
    {
        let confined = confined(&spec, &annotations, &host);
        assert!(confined.names.is_none() && at(&confined.spec, "/etc/resolv.conf").len() == 1);
        let landlock = confined.plan.as_ref().and_then(|plan| plan.landlock.as_ref()).expect("a ruleset");
        assert!(!landlock.ports.iter().any(|port| port.port == 53), "{annotations:?}");
        let filters = Filters::oci(&confined.spec).and_plan(confined.plan.as_ref());
        assert_ne!(filters.answer(&DATAGRAM_SOCKET), Answer::Allow);
    }
    // An exec has the files and the fence of the first process.
    let policy =
        pod(&[EGRESS]).container("c1", &map(&[EGRESS, ("network-enforcement", "platform")])).expect("a policy");
    let process = exec_process(&spec, &["/bin/sh"]);
    let exec = confine(&spec, Target::Exec { process: &process }, &policy, &host()).expect("a confinement");
    assert!(exec.names.is_none());
    assert_eq!(Filters::default().and_plan(exec.plan.as_ref()).answer(&DATAGRAM_SOCKET), Answer::Allow);
}

#[test]
fn a_floor_says_what_names_may_resolve_to_and_which_ones_there_may_be() {
    let floor = Floor::parse(
        "version = 1\n[ceilings]\negress = [\"*.example:443\", \"10.0.0.0/8:1-65535\"]\n[names]\nnever = [\"10.96.0.0/12\", \"fd00::/8\"]\n\
         [[section]]\nnamespaces = [\"a\"]\nnames = { never = [\"192.0.2.1\"], may = [\"10.96.4.7\"] }\n",
    )
    .expect("a floor");
    let make = |namespace: &str, egress: &str| {
        let annotations = map(&[
            ("network-enforcement", "platform"),
            ("zerocap.io/egress", egress),
            ("io.kubernetes.cri.sandbox-namespace", namespace),
        ]);
        let pod = PodPolicy::new(&annotations, &floor)?;
        // As it comes back from the state directory.
        let pod = PodPolicy::from_json(&serde_json::to_string(&pod).expect("JSON"))?;
        confine(&workload_spec(), Target::Init, &pod.container("c1", &annotations)?, &host())
    };
    let networks = |namespace| {
        let names = make(namespace, "api.example:443").expect("a confinement").names.expect("names");
        let text = |(address, length): &(std::net::IpAddr, u8)| format!("{address}/{length}");
        (names.never.iter().map(text).collect::<Vec<_>>(), names.may.iter().map(text).collect::<Vec<_>>())
    };
    assert_eq!(networks("b"), (vec!["10.96.0.0/12".into(), "fd00::/8".into()], vec![]));
    assert_eq!(
        networks("a"),
        (vec!["10.96.0.0/12".into(), "192.0.2.1/32".into(), "fd00::/8".into()], vec!["10.96.4.7/32".into()])
    );
    for within in ["*.eu.example:443", "api.example:443,10.1.2.3:5432"] {
        assert!(make("b", within).is_ok(), "{within}");
    }
    for beyond in ["example:443", "api.example:80", "*.org:443", "11.0.0.1:443", "udp://api.example:443", "127.0.0.1:1"]
    {
        assert_eq!(make("b", beyond).map_err(|error| error.code.as_str()).err(), Some("ZC0207"), "{beyond}");
    }
}

/// The kubelet writes the API server's Service into every container's environment, beside what an image has there.
#[test]
fn the_api_servers_service_is_guarded() {
    let mut spec = workload_spec();
    let env = spec["process"]["env"].as_array_mut().expect("an environment");
    env.extend(
        [
            "KUBERNETES_SERVICE_HOST=10.96.0.1",
            "KUBERNETES_PORT_443_TCP_ADDR=fd10:96::1",
            "KUBERNETES_SERVICE_HOST=10.97.0.1",
            "KUBERNETES_SERVICE_HOST=api.example",
            "KUBERNETES_SERVICE_HOST=0.0.0.0/0",
            "XKUBERNETES_SERVICE_HOST=10.98.0.1",
        ]
        .map(Value::from),
    );
    let names = confined(&spec, &[EGRESS], &host()).names.expect("names");
    let alone = |text: &str, bits| (text.parse::<std::net::IpAddr>().expect("an address"), bits);
    assert_eq!(names.never, [alone("10.96.0.1", 32), alone("fd10:96::1", 128), alone("10.97.0.1", 32)]);
    // Whatever is written there, the floor's stay.
    let floor = Floor::parse("version = 1\n[names]\nnever = [\"10.0.0.0/9\"]\n").expect("a floor");
    let all = map(&[EGRESS, ("network-enforcement", "platform")]);
    let pod = PodPolicy::new(&all, &floor).expect("a pod policy");
    let policy = pod.container("c1", &all).expect("a policy");
    let names = confine(&spec, Target::Init, &policy, &host()).expect("a confinement").names.expect("names");
    assert_eq!(names.never.len(), 4);
    assert_eq!(names.never[0], alone("10.0.0.0", 9));
}
