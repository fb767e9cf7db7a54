//! The kernel's account of a parked process, where it is not what it must be.

use serde_json::json;
use zerocap_annotations::code::verify as code;
use zerocap_annotations::{Expect, ZcError};

use crate::rig::{Container, Engine, bare, block_on, expect, launcher_folder, waiting};

pub const TESTS: &[(&str, crate::Body)] = &[
    ("an_engine_that_left_something_out_is_seen", an_engine_that_left_something_out_is_seen),
    ("a_spec_that_asks_for_less_is_seen", a_spec_that_asks_for_less_is_seen),
    ("a_core_limit_that_was_not_set_is_seen", a_core_limit_that_was_not_set_is_seen),
    ("namespaces_of_others_are_seen", namespaces_of_others_are_seen),
    ("no_new_privs_that_is_not_set", no_new_privs_that_is_not_set),
    ("another_launcher_is_seen", another_launcher_is_seen),
];

/// The error, and that nothing ran.
async fn refusal(container: &Container<'_>, expect: &Expect) -> ZcError {
    let process = container.start(&bare()).await;
    let output = process.output.clone();
    let error = process.run(expect).await.map(|_| ()).unwrap_err();
    assert_eq!(std::fs::read_to_string(output).unwrap(), "", "{error}");
    error
}

fn an_engine_that_left_something_out_is_seen(engine: &Engine) {
    block_on(async {
        let container = Container::new(engine, &["echo", "ran"]);
        let wanted = Expect { min_filters: 9, ..expect() };
        assert_eq!(refusal(&container, &wanted).await.code, code::FILTER_COUNT);
        let container = Container::new(engine, &["echo", "ran"]);
        let wanted = Expect { uid: Some(1), ..expect() };
        assert_eq!(refusal(&container, &wanted).await.code, code::UID);
    });
}

fn a_spec_that_asks_for_less_is_seen(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN"]);
        assert_eq!(refusal(&container, &expect()).await.code, code::CAPABILITIES);
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["linux"].as_object_mut().unwrap().remove("seccomp");
        assert_eq!(refusal(&container, &expect()).await.code, code::SECCOMP_MODE);
    });
}

fn a_core_limit_that_was_not_set_is_seen(engine: &Engine) {
    block_on(async {
        let wanted = Expect { no_core: true, ..expect() };
        let limits = |soft: u64, hard: u64| json!([{ "type": "RLIMIT_CORE", "soft": soft, "hard": hard }]);
        for (soft, hard) in [(0, 1), (1, 2)] {
            let mut container = Container::new(engine, &["echo", "ran"]);
            container.config()["process"]["rlimits"] = limits(soft, hard);
            assert_eq!(refusal(&container, &wanted).await.code, code::CORE_LIMIT);
        }
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["process"]["rlimits"] = limits(1, 1);
        assert!(container.start(&bare()).await.run(&wanted).await.is_ok());
    });
}

fn namespaces_of_others_are_seen(engine: &Engine) {
    let without = |kind: &str| {
        let mut container = Container::new(engine, &["echo", "ran"]);
        let namespaces = container.config()["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != kind);
        container
    };
    block_on(async {
        for kind in ["pid", "ipc"] {
            let error = refusal(&without(kind), &expect()).await;
            assert_eq!(error.code, code::NAMESPACE, "{error}");
            assert!(error.message.contains("node's"), "{error}");
        }
        let sandbox = Container::new(engine, &["sleep", "1000"]);
        let (_, _, pause) = sandbox.start(&bare()).await.run(&expect()).await.unwrap();
        let mut container = without("ipc");
        let shared = json!({ "type": "ipc", "path": format!("/proc/{}/ns/ipc", pause.child.pid) });
        container.config()["linux"]["namespaces"].as_array_mut().unwrap().push(shared);
        let mut init = container.start(&bare()).await;
        init.handover.beside(pause.child.pid);
        let error = init.run(&expect()).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code, code::NAMESPACE, "{error}");
        assert!(error.message.contains("sandbox's"), "{error}");
    });
}

/// The launcher itself insists on it.
fn no_new_privs_that_is_not_set(engine: &Engine) {
    block_on(async {
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.config()["process"]["noNewPrivileges"] = json!(false);
        assert_eq!(refusal(&container, &expect()).await.code, zerocap_annotations::code::handover::NO_NEW_PRIVS);
    });
}

/// The same bytes, another file: what a workload could have put in its place.
fn another_launcher_is_seen(engine: &Engine) {
    let fake = launcher_folder();
    block_on(async {
        let mut container = Container::new(engine, &["echo", "ran"]);
        container.mount(fake.path(), zerocap_plan::MOUNT_POINT);
        assert_eq!(refusal(&container, &expect()).await.code, code::EXECUTABLE);
        let container = waiting(engine).await;
        let mut exec = container.exec(&bare(), &["echo", "ran"]).await;
        let ready = exec.parked().await.unwrap();
        // Its records come through another channel than ours.
        let other = container.exec(&bare(), &["echo", "ran"]).await;
        let error = other.handover.verify(exec.child.pid, &ready, &expect(), crate::rig::identity()).unwrap_err();
        assert_eq!(error.code, code::DESCRIPTORS);
    });
}
