//! The report's JSON is what its schema says: checked with the part of JSON Schema that the schema uses.

mod common;

use common::{exec_process, host, map, pod, workload_spec};
use serde_json::{Value, json};
use zerocap_annotations::report::Verified;
use zerocap_annotations::{Report, Target, confine};

/// What is wrong with `value`, if anything.
fn invalid(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let found = root.pointer(name.trim_start_matches('#')).expect("a definition");
        return invalid(root, found, value, at);
    }
    if let Some(constant) = schema.get("const") {
        return (constant != value).then(|| format!("{at} is not {constant}"));
    }
    if let Some(words) = schema["enum"].as_array() {
        return (!words.contains(value)).then(|| format!("{at}: {value} is none of {words:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) => "number",
    };
    let kinds = &schema["type"];
    if kinds != kind && !kinds.as_array().is_some_and(|all| all.contains(&kind.into())) {
        return Some(format!("{at} is a {kind}, not {kinds}"));
    }
    let items = value.as_array().into_iter().flatten().enumerate();
    let wrong_item = items.filter_map(|(i, item)| invalid(root, &schema["items"], item, &format!("{at}/{i}"))).next();
    wrong_item.or_else(|| invalid_object(root, schema, value.as_object()?, at))
}

fn invalid_object(root: &Value, schema: &Value, map: &serde_json::Map<String, Value>, at: &str) -> Option<String> {
    let missing = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|key| !map.contains_key(*key));
    if let Some(key) = missing {
        return Some(format!("{at} lacks {key}"));
    }
    map.iter().find_map(|(key, value)| {
        let at = format!("{at}/{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => Some(format!("{at} is not in the schema")),
            (Value::Null, others) => invalid(root, &schema["propertyNames"], &key.as_str().into(), &at)
                .or_else(|| invalid(root, others, value, &at)),
            (known, _) => invalid(root, known, value, &at),
        }
    })
}

fn reports() -> Vec<Report> {
    let spec = workload_spec();
    let process = exec_process(&spec, &["true"]);
    let frozen =
        pod(&[("zerocap.io/listen", "8080"), ("zerocap.io/filesystem", "read-only"), ("unix.zerocap.io/c1", "any")]);
    let policy = frozen
        .container("c1", &map(&[("network-enforcement", "platform"), ("zerocap.io/fs-read", "/usr")]))
        .expect("a policy");
    let cluster = common::pod_with(&[]).container("c1", &map(&[])).expect("a policy");
    let report = |target, policy| confine(&spec, target, policy, &host()).expect("a confinement").report;
    let mut reports = vec![
        report(Target::Init, &policy),
        report(Target::Exec { process: &process }, &policy),
        report(Target::Sandbox, &policy),
        report(Target::Init, &cluster),
    ];
    reports[0].verified.push(Verified { step: "CapEff".into(), expected: "0".into(), seen: "0".into(), holds: true });
    reports
}

#[test]
fn reports_are_what_the_schema_says() {
    let schema: Value = serde_json::from_str(Report::SCHEMA).expect("JSON");
    for report in reports() {
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(invalid(&schema, &schema, &json, ""), None);
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema: Value = serde_json::from_str(Report::SCHEMA).expect("JSON");
    let report = serde_json::to_value(&reports()[0]).expect("JSON");
    for (at, wrong) in [
        ("/version", json!(2)),
        ("/target", json!("probe")),
        ("/active", json!("yes")),
        ("/policy/listen/source/from", json!("nobody")),
        ("/promises/0/state", json!(null)),
        ("/promises/0/fences/0", json!({})),
        ("/verified/0/holds", json!(1)),
    ] {
        let mut changed = report.clone();
        *changed.pointer_mut(at).expect("a field") = wrong;
        assert!(invalid(&schema, &schema, &changed, "").is_some(), "{at}");
    }
    let mut more = report.clone();
    more["another"] = json!(0);
    assert!(invalid(&schema, &schema, &more, "").is_some());
}
