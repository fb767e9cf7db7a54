//! Tighten only: whatever the spec, the annotations and the floor say, what the workload finally runs under allows no
//! more than the input did. Thousands of generated cases; the seed is printed, `ZEROCAP_SEED` repeats it.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;

use common::generate::{annotations, mostly_platform, runner, spec, word};
use common::meaning::{Answer, Filters, Ports, capabilities, ports, rights};
use common::{exec_process, host, host_with_calls};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use zerocap_annotations::knob::Transport;
use zerocap_annotations::{Confinement, Floor, Host, PodPolicy, Policy, Target, ZcError, confine};
use zerocap_seccomp::{Arch, SeccompData};

const X32_BIT: u32 = 1 << 30;
const CONNECT: u64 = 2;
const BIND: u64 = 1;

/// A call as the kernel presents it: native, x32 or i386.
fn call() -> impl Strategy<Value = SeccompData> {
    let number = prop_oneof![0u32..480, Just(1000), Just(u32::MAX)];
    let abi = prop_oneof![6 => Just((Arch::X86_64, 0)), 1 => Just((Arch::X32, X32_BIT)), 1 => Just((Arch::I386, 0))];
    (number, abi, [word(), word(), word(), word(), word(), word()]).prop_map(|(nr, (arch, bit), args)| SeccompData {
        nr: nr | bit,
        arch: arch.audit(),
        instruction_pointer: 0,
        args,
    })
}

fn calls() -> impl Strategy<Value = Vec<SeccompData>> {
    proptest::collection::vec(call(), 24)
}

/// A host whose engine loads the profile last, or goes on working under it.
fn engine() -> impl Strategy<Value = Host> {
    any::<bool>().prop_map(|calls| if calls { host_with_calls() } else { host() })
}

/// Permits what a floor may permit, so that it is tried too.
fn floor() -> Floor {
    Floor::parse("version = 1\nmodes = [\"audit\"]").expect("a floor")
}

fn policy(annotations: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Result<Policy, ZcError> {
    PodPolicy::new(annotations, &floor())?.container("c1", now)
}

/// The paths of everything that may differ between input and output; the rest must be equal.
fn without_what_we_write(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for (object, keys) in [
        ("", &["mounts"][..]),
        ("/process", &["capabilities", "noNewPrivileges", "args", "rlimits"]),
        ("/linux", &["seccomp", "namespaces"]),
        ("/root", &["readonly"]),
    ] {
        if let Some(Value::Object(map)) = spec.pointer_mut(object) {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
    spec
}

fn check_process(input: &Value, output: &Value, policy: &Policy) -> Result<(), TestCaseError> {
    let (before, after) = (capabilities(input), capabilities(output));
    for (set, after) in &after {
        prop_assert!(after.is_subset(&before[set]), "{set} has gained {after:?}");
        if policy.platform() {
            prop_assert_eq!(&output["capabilities"][*set], &json!([]), "{} is not an explicit empty array", set);
        }
    }
    prop_assert_eq!(&output["noNewPrivileges"], &Value::Bool(true));
    let args: Vec<&Value> = output["args"].as_array().into_iter().flatten().collect();
    prop_assert_eq!(args[0], "/.zerocap/launcher");
    prop_assert_eq!(args[1..].to_vec(), input["args"].as_array().into_iter().flatten().collect::<Vec<_>>());
    let limits = |process: &Value| -> Vec<Value> { process["rlimits"].as_array().cloned().unwrap_or_default() };
    let is_core = |limit: &Value| limit["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("RLIMIT_CORE"));
    let others = |process| limits(process).into_iter().filter(|l| !is_core(l)).collect::<Vec<_>>();
    prop_assert_eq!(others(input), others(output));
    if policy.platform() {
        let core: Vec<Value> = limits(output).into_iter().filter(is_core).collect();
        prop_assert_eq!(core, vec![json!({ "type": "RLIMIT_CORE", "hard": 1, "soft": 1 })]);
    }
    Ok(())
}

fn check_mounts(input: &Value, output: &Value) -> Result<(), TestCaseError> {
    let list = |spec: &Value| spec["mounts"].as_array().cloned().unwrap_or_default();
    let (before, after) = (list(input), list(output));
    // The launcher's directory, and files of names.
    let added = after.len().saturating_sub(before.len());
    prop_assert!((1..=3).contains(&added));
    for file in &after[before.len()..after.len() - 1] {
        prop_assert!(["/etc/resolv.conf", "/etc/hosts"].map(Value::from).contains(&file["destination"]));
        let options = file["options"].as_array().cloned().unwrap_or_default();
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            prop_assert!(options.contains(&option.into()), "{file} lacks {option}");
        }
    }
    for (before, after) in before.iter().zip(&after) {
        if before == after {
            continue;
        }
        let private =
            after["type"] == "tmpfs" && after["destination"] == "/dev/shm" && before["destination"] == "/dev/shm";
        let read_only = after["options"]
            .as_array()
            .is_some_and(|options| options.contains(&"ro".into()) && !options.contains(&"rw".into()));
        let mut same = after.clone();
        same["options"] = before["options"].clone();
        prop_assert!(private || (read_only && same == *before), "{before} became {after}");
    }
    let launcher = &after[after.len() - 1];
    prop_assert_eq!(&launcher["destination"], "/.zerocap");
    let options = launcher["options"].as_array().cloned().unwrap_or_default();
    for option in ["ro", "nosuid", "nodev"] {
        prop_assert!(options.contains(&option.into()), "the launcher's mount lacks {}", option);
    }
    Ok(())
}

fn check_namespaces(input: &Value, output: &Value, policy: &Policy) -> Result<(), TestCaseError> {
    let by_type = |spec: &Value| -> BTreeMap<String, Value> {
        let all = spec["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
        all.into_iter().map(|ns| (ns["type"].to_string(), ns)).collect()
    };
    let (mut before, mut after) = (by_type(input), by_type(output));
    if policy.platform() {
        prop_assert_eq!(after.get("\"ipc\""), Some(&json!({ "type": "ipc" })));
        before.remove("\"ipc\"");
        after.remove("\"ipc\"");
    }
    prop_assert_eq!(before, after);
    Ok(())
}

fn check_calls(before: &Filters, after: &Filters, calls: &[SeccompData]) -> Result<(), TestCaseError> {
    for call in calls {
        let (was, is) = (before.answer(call), after.answer(call));
        prop_assert!(is >= was, "{call:?} was {was:?} and is {is:?}");
    }
    Ok(())
}

/// Go takes a key in any case, and the last one counts: none may stand beside one of ours.
fn check_keys(output: &Value) -> Result<(), TestCaseError> {
    const OURS: [(&str, &[&str]); 3] = [
        ("", &["process", "linux", "mounts", "root"]),
        ("/process", &["args", "capabilities", "noNewPrivileges", "rlimits"]),
        ("/linux", &["seccomp", "namespaces"]),
    ];
    for (object, ours) in OURS {
        for key in output.pointer(object).and_then(Value::as_object).into_iter().flat_map(|map| map.keys()) {
            let folded = key.replace('\u{17f}', "s").replace('\u{212a}', "k");
            let twin = ours.iter().find(|ours| folded.eq_ignore_ascii_case(ours) && key != *ours);
            prop_assert!(twin.is_none(), "{object}/{key} stands beside {twin:?}");
        }
    }
    Ok(())
}

/// Landlock permits the proxy's port and what the packet fence permits on some address; without one, the proxy's alone.
fn check_connects(policy: &Policy, confined: &Confinement) -> Result<(), TestCaseError> {
    let connect = ports(confined.plan.as_ref(), CONNECT);
    let Some(rules) = &confined.packets else {
        prop_assert_eq!(connect, Ports::These([policy.proxy_port()].into()));
        return Ok(());
    };
    prop_assert!(confined.expect.packet_fence);
    let listed = |port: &u16| {
        let ports = rules.allow.iter().map(|allow| allow.ports).chain(rules.names.iter().map(|named| named.ports));
        (*port == 53 && !rules.names.is_empty()) || ports.into_iter().any(|(first, last)| (first..=last).contains(port))
    };
    match connect {
        Ports::These(ports) => prop_assert!(ports.contains(&policy.proxy_port()) && ports.iter().all(listed)),
        // Only watched.
        Ports::All if rules.audit => {}
        // So many are listed that the fence alone holds them.
        Ports::All => prop_assert!((1..=u16::MAX).filter(listed).count() > 64),
    }
    Ok(())
}

/// What one fence permits, an earlier one did.
fn check_packets(before: &Confinement, after: &Confinement) -> Result<(), TestCaseError> {
    let (Some(before), Some(after)) = (&before.packets, &after.packets) else {
        prop_assert!(after.packets.is_some() || before.packets.is_none());
        return Ok(());
    };
    prop_assert!(before.audit >= after.audit, "from enforcing to watching");
    for transport in [Transport::Tcp, Transport::Udp] {
        for port in [1, 53, 80, 443, 3128, 3129, 8080, 9090, 65535] {
            prop_assert!(before.listens(transport, port) >= after.listens(transport, port));
            for to in
                ["127.0.0.1", "127.0.0.2", "::1", "10.1.2.3", "10.200.0.1", "192.0.2.1", "fd00::1", "::ffff:10.1.2.3"]
            {
                let to = to.parse().expect("an address");
                let (was, is) = (before.permits(transport, to, port), after.permits(transport, to, port));
                prop_assert!(was >= is, "{to}:{port}");
            }
        }
    }
    Ok(())
}

fn check_init(
    spec: &Value,
    policy: &Policy,
    confined: &Confinement,
    calls: &[SeccompData],
) -> Result<(), TestCaseError> {
    let output = &confined.spec;
    prop_assert_eq!(without_what_we_write(spec), without_what_we_write(output));
    check_keys(output)?;
    check_process(&spec["process"], &output["process"], policy)?;
    check_mounts(spec, output)?;
    check_namespaces(spec, output, policy)?;
    prop_assert!(spec["root"]["readonly"] != true || output["root"]["readonly"] == true);
    let after = Filters::oci(output).and_plan(confined.plan.as_ref());
    prop_assert!(after.count() >= confined.expect.min_filters as usize);
    check_calls(&Filters::oci(spec), &after, calls)?;
    if policy.platform() {
        // An answer in kind: what the policy refuses outright is refused whatever the pod's profile was.
        let unshare =
            SeccompData { nr: 272, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [1 << 28, 0, 0, 0, 0, 0] };
        prop_assert!(after.answer(&unshare) >= Answer::Errno);
        check_connects(policy, confined)?;
    }
    Ok(())
}

#[test]
fn init_is_never_looser_than_its_spec() {
    let confined_cases = Cell::new(0u32);
    let refused = Cell::new(0u32);
    let cases = 2000;
    let inputs = (spec(), mostly_platform(), calls(), engine());
    let result = runner(cases).run(&inputs, |(spec, annotations, calls, host)| {
        let confined = policy(&annotations, &annotations)
            .and_then(|policy| Ok((confine(&spec, Target::Init, &policy, &host)?, policy)));
        match confined {
            Ok((confined, policy)) if policy.active() => {
                confined_cases.set(confined_cases.get() + 1);
                check_init(&spec, &policy, &confined, &calls)
            }
            Ok((confined, _)) => {
                prop_assert_eq!(&confined.spec, &spec);
                prop_assert!(confined.plan.is_none());
                Ok(())
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                prop_assert!(error.to_string().len() < 2000, "{error}");
                Ok(())
            }
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{} confined, {} refused", confined_cases.get(), refused.get());
    assert!(confined_cases.get() > cases / 8, "too few cases reach the comparison");
    assert!(refused.get() > cases / 20, "too few hostile cases");
}

#[test]
fn the_pause_container_is_never_looser_than_its_spec() {
    let confined_cases = Cell::new(0u32);
    let cases = 500;
    let inputs = (spec(), mostly_platform(), calls(), engine());
    let result = runner(cases).run(&inputs, |(spec, annotations, calls, host)| {
        let Ok(policy) = PodPolicy::new(&annotations, &floor()).and_then(|pod| pod.sandbox()) else {
            return Ok(());
        };
        let Ok(confined) = confine(&spec, Target::Sandbox, &policy, &host) else { return Ok(()) };
        confined_cases.set(confined_cases.get() + 1);
        prop_assert!(confined.plan.is_none());
        check_calls(&Filters::oci(&spec), &Filters::oci(&confined.spec), &calls)?;
        // What an engine may need is rare among generated calls.
        let named = common::ENGINE_NUMBERS.map(|nr| SeccompData {
            nr,
            arch: Arch::X86_64.audit(),
            instruction_pointer: 0,
            args: [3, 0, 0, 0, 0, 0],
        });
        check_calls(&Filters::oci(&spec), &Filters::oci(&confined.spec), &named)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(confined_cases.get() > cases / 10, "too few cases reach the comparison");
}

#[test]
fn exec_is_never_looser_than_its_process() {
    let confined_cases = Cell::new(0u32);
    let cases = 1000;
    let inputs = (spec(), mostly_platform(), calls(), any::<bool>(), engine());
    let result = runner(cases).run(&inputs, |(spec, annotations, calls, seccomp_on_exec, mut host)| {
        host.engine.seccomp_on_exec = seccomp_on_exec;
        let Ok(policy) = policy(&annotations, &annotations) else { return Ok(()) };
        let process = exec_process(&spec, &["/bin/sh"]);
        let Ok(init) = confine(&spec, Target::Init, &policy, &host) else { return Ok(()) };
        let exec = confine(&spec, Target::Exec { process: &process }, &policy, &host);
        let exec = exec.map_err(|error| TestCaseError::fail(format!("init starts and exec does not: {error}")));
        let Ok(exec) = exec else { return exec.map(|_| ()).or(Ok(())) };
        if !policy.active() {
            prop_assert_eq!(&exec.spec, &process);
            return Ok(());
        }
        confined_cases.set(confined_cases.get() + 1);
        check_process(&process, &exec.spec, &policy)?;
        let engine = if seccomp_on_exec { Filters::oci(&init.spec) } else { Filters::default() };
        let after = engine.and_plan(exec.plan.as_ref());
        prop_assert!(after.count() >= exec.expect.min_filters as usize);
        check_calls(&Filters::oci(&spec), &after, &calls)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(confined_cases.get() > cases / 10, "too few cases reach the comparison");
}

#[test]
fn later_annotations_only_tighten() {
    const PATHS: [&str; 8] =
        ["/", "/etc/passwd", "/data", "/data/in/x", "/tmp/y", "/usr/bin/sh", "/dev/null", "/dev/pts/0"];
    let tightened = Cell::new(0u32);
    let ignored = Cell::new(0u32);
    let cases = 2000;
    let inputs = (mostly_platform(), annotations(), calls());
    let result = runner(cases).run(&inputs, |(frozen, later, calls)| {
        let spec = common::workload_spec();
        let Ok(pod) = PodPolicy::new(&frozen, &floor()) else { return Ok(()) };
        let first = pod.container("c1", &frozen).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(first.differences().is_empty());
        let Ok(second) = pod.container("c1", &later) else { return Ok(()) };
        for difference in second.differences() {
            let counter = match difference.effect {
                zerocap_annotations::policy::Effect::Tightened => &tightened,
                zerocap_annotations::policy::Effect::Ignored => &ignored,
            };
            counter.set(counter.get() + 1);
        }
        let before = confine(&spec, Target::Init, &first, &host());
        let (Ok(before), Ok(after)) = (before, confine(&spec, Target::Init, &second, &host())) else { return Ok(()) };
        prop_assert!(after.plan.is_some() || before.plan.is_none());
        prop_assert!(after.expect.caps_zero >= before.expect.caps_zero);
        check_packets(&before, &after)?;
        for right in [CONNECT, BIND] {
            let (was, is) = (ports(before.plan.as_ref(), right), ports(after.plan.as_ref(), right));
            prop_assert!(is.within(&was), "ports for {right}: {was:?} became {is:?}");
        }
        for path in PATHS {
            let (was, is) = (rights(before.plan.as_ref(), path), rights(after.plan.as_ref(), path));
            prop_assert_eq!(is & !was, 0, "{} has gained rights", path);
        }
        let scoped = |c: &Confinement| c.plan.as_ref().and_then(|p| p.landlock.as_ref()).map_or(0, |l| l.scoped);
        prop_assert_eq!(scoped(&before) & !scoped(&after), 0);
        let filters = |c: &Confinement| Filters::oci(&c.spec).and_plan(c.plan.as_ref());
        check_calls(&filters(&before), &filters(&after), &calls)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{} values tightened, {} ignored", tightened.get(), ignored.get());
    assert!(tightened.get() > 100 && ignored.get() > 100, "too few differences");
}
