//! `confine` and everything before it are total: any JSON, any text gives a value or an error, never a panic.

mod common;

use std::cell::Cell;

use common::generate::{any_json, runner};
use common::{host, pod, workload_spec};
use proptest::prelude::*;
use zerocap_annotations::{Floor, PodPolicy, Target, code, confine};

#[test]
fn any_json_as_a_spec() {
    let accepted = Cell::new(0u32);
    let result = runner(3000).run(&(any_json(), any_json()), |(spec, process)| {
        let policy =
            pod(&[("zerocap.io/filesystem", "read-only")]).sandbox().map_err(|e| TestCaseError::fail(e.to_string()))?;
        for target in [Target::Sandbox, Target::Init, Target::Exec { process: &process }] {
            if let Err(error) = confine(&spec, target, &policy, &host()) {
                prop_assert!(error.code.entry().is_some());
            } else {
                accepted.set(accepted.get() + 1);
            }
        }
        let _ = PodPolicy::from_sandbox(&spec, &Floor::none()).map(|pod| pod.container_of(&process));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.get() < 3000, "arbitrary JSON is not a spec");
}

/// The real spec with one part replaced by anything: this gets past the first checks.
#[test]
fn the_real_spec_with_any_part() {
    const PARTS: [&str; 15] = [
        "/process",
        "/process/args",
        "/process/user",
        "/process/capabilities",
        "/process/rlimits",
        "/process/noNewPrivileges",
        "/root",
        "/mounts",
        "/mounts/9",
        "/mounts/9/options",
        "/linux",
        "/linux/namespaces",
        "/linux/namespaces/1",
        "/linux/seccomp",
        "/linux/resources/devices",
    ];
    let accepted = Cell::new(0u32);
    let inputs = (proptest::sample::select(&PARTS[..]), any_json());
    let result = runner(3000).run(&inputs, |(part, value)| {
        let mut spec = workload_spec();
        match spec.pointer_mut(part) {
            Some(at) => *at = value,
            None => spec["process"]["rlimits"] = value,
        }
        let policy =
            pod(&[("zerocap.io/filesystem", "read-only")]).sandbox().map_err(|e| TestCaseError::fail(e.to_string()))?;
        for target in [Target::Sandbox, Target::Init, Target::Exec { process: &spec["process"] }] {
            match confine(&spec, target, &policy, &host()) {
                Ok(_) => accepted.set(accepted.get() + 1),
                Err(error) => prop_assert!(error.code.entry().is_some()),
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.get() > 100, "nothing gets past the first checks");
}

#[test]
fn any_text_as_a_floor_and_as_a_frozen_policy() {
    let line = prop_oneof![
        "\\PC{0,30}",
        Just("version = 1".to_owned()),
        "\\[(defaults|ceilings|policies\\.[a-z]{1,3})\\]",
        "\\[\\[section\\]\\]",
        "(unix|listen|proxy-port|fs-write|namespaces|forbidden|modes) = (\"[a-z*/,]{0,6}\"|[0-9]{1,6}|\\[\"[a-z*]{0,3}\"\\])",
    ];
    let text = proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"));
    let parsed = Cell::new(0u32);
    let result = runner(3000).run(&text, |text| {
        match Floor::parse(&text) {
            Ok(_) => parsed.set(parsed.get() + 1),
            Err(error) => prop_assert!(error.to_string().contains("floor"), "{error}"),
        }
        prop_assert!(PodPolicy::from_json(&text).is_err());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(parsed.get() > 0, "no floor parses");
}

#[test]
fn any_annotation() {
    let pair = ("(network-enforcement|(([a-z-]{1,20}\\.)?zerocap\\.io/)?\\PC{0,20})", "\\PC{0,60}");
    let result = runner(3000).run(&proptest::collection::btree_map(pair.0, pair.1, 0..6), |annotations| {
        if let Err(error) = PodPolicy::new(&annotations, &Floor::builtin_platform()) {
            prop_assert!(("ZC01".."ZC03").contains(&error.code.as_str()), "{error}");
            prop_assert!(code::lookup(error.code.as_str()).is_some());
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
