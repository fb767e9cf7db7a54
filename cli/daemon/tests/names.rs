//! What the daemon counts of `names.json` is what the shim's resolver counts, word by word.

use std::collections::BTreeSet;

use serde_json::Value;
use zerocap_daemon::counted::{QUESTIONS, UPSTREAM};

#[test]
fn every_counter_of_the_resolver_is_a_number() {
    let Value::Object(counters) = serde_json::to_value(zerocap_names::Counters::default()).unwrap() else {
        panic!("no object");
    };
    let theirs: BTreeSet<&str> = counters.keys().map(String::as_str).collect();
    let ours: BTreeSet<&str> = QUESTIONS.into_iter().chain(UPSTREAM).collect();
    assert_eq!(theirs, ours);
}
