//! The chart's admission policies know the annotations by a file of their own; here it is held to the grammar.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use zerocap_annotations::knob::Knob;

#[test]
fn the_chart_knows_the_same_knobs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/zerocap/files/grammar.json");
    let grammar: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let of = |knob: &Value| {
        let says = |key: &str, default| knob[key].as_bool().unwrap_or(default);
        (knob["name"].as_str().unwrap().to_owned(), (says("exceptions", true), says("platform", false)))
    };
    let chart: BTreeMap<String, (bool, bool)> = grammar["knobs"].as_array().unwrap().iter().map(of).collect();
    let shim: BTreeMap<String, (bool, bool)> =
        Knob::ALL.into_iter().map(|knob| (knob.name().to_owned(), (knob.has_order(), knob.needs_platform()))).collect();
    assert_eq!(chart, shim);
}
