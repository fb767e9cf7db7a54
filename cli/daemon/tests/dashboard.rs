//! The chart's dashboard asks for numbers that the daemon has, and by labels that they have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use zerocap_annotations::Verdict;
use zerocap_daemon::counted::{Kind, Sums};
use zerocap_daemon::metrics::Numbers;

/// Each family with the labels of its rows.
fn families() -> BTreeMap<String, Vec<String>> {
    let mut numbers = Numbers::default();
    numbers.containers.insert(("platform", Verdict::Confined), 1);
    numbers.fences.insert("packet-fence".into(), 1);
    numbers.promises.insert(("egress", "kept".into()), 1);
    numbers.pods.insert("true", 1);
    numbers.refused.insert("ZC0209", 1);
    numbers.blocked.insert("egress", 1);
    let counts =
        [Kind::Fence("egress"), Kind::Question("answered"), Kind::Upstream("queries")].map(|kind| (kind, 1)).into();
    let text = numbers.render("0", &Sums { counts, names: [(zerocap_names::Standing::Resolved, 1)].into() });
    let mut families = BTreeMap::new();
    for row in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = row.split_once('{').unwrap_or((row.split(' ').next().unwrap(), ""));
        let labels =
            labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned()).collect();
        families.insert(name.to_owned(), labels);
    }
    families
}

fn words(text: &str) -> Vec<&str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_query_is_about_a_family_that_there_is() {
    let families = families();
    assert!(families.len() > 12, "{families:?}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/zerocap/dashboards/zerocap.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let known: Vec<&str> = words(query).into_iter().filter(|word| word.starts_with("zerocap_")).collect();
            assert!(!known.is_empty(), "{query} asks for nothing of ours");
            for name in &known {
                let labels = families.get(*name).unwrap_or_else(|| panic!("{query}: there is no {name}"));
                let grouped = query.split_once(" by (").map_or("", |(_, rest)| rest.split_once(')').unwrap().0);
                let selected = query.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
                let selected = selected.split(',').filter_map(|pair| words(pair).first().copied());
                for label in words(grouped).into_iter().chain(selected) {
                    assert!(labels.iter().any(|own| own == label), "{query}: {name} has no label {label}");
                }
            }
            asked.extend(known.into_iter().map(str::to_owned));
        }
    }
    // What no panel shows.
    let unseen: Vec<&String> = families.keys().filter(|name| !asked.contains(name)).collect();
    assert_eq!(
        unseen,
        [
            "zerocap_build_info",
            "zerocap_dns_names",
            "zerocap_events_suppressed_total",
            "zerocap_start_seconds_count",
            "zerocap_start_seconds_sum"
        ]
    );
}
