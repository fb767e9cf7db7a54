//! `--suggest`: the annotations that would have permitted what was seen.

use std::collections::BTreeSet;

use zerocap_annotations::knob::{Knob, MAX_ENTRIES};
use zerocap_annotations::policy::Source;

use super::view::View;
use crate::out::outln;

/// Prints one line per annotation, as YAML; what a reader should know goes to standard error.
pub fn print(view: &View) {
    let lines = lines(view);
    for line in &lines {
        outln!("{line}");
    }
    if lines.is_empty() {
        eprintln!("nothing was refused that an annotation could permit");
        return;
    }
    eprintln!("read each entry before you use it: this is what the container tried, not what it should");
    if lines.iter().any(|line| line.contains("egress")) {
        eprintln!("addresses of a name change: write the name where you know it");
    }
    if view.forgotten > 0 || view.counters.as_ref().is_some_and(|counters| counters.lost > 0) {
        eprintln!("more was refused than could be kept one by one: the list may lack some");
    }
}

fn lines(view: &View) -> Vec<String> {
    [Knob::Egress, Knob::Listen].into_iter().filter_map(|knob| line(view, knob)).collect()
}

/// The annotation with what it has, and what it lacks.
fn line(view: &View, knob: Knob) -> Option<String> {
    let told = view.refusals.iter().filter_map(|it| it.permit.as_ref()).filter(|permit| permit.knob == knob);
    let mut more: BTreeSet<String> = told.map(|permit| permit.entry.clone()).collect();
    if knob == Knob::Egress {
        let counted = view.destinations.iter().filter(|asked| !asked.permitted);
        more.extend(counted.filter_map(|asked| asked.entry.clone()));
    }
    if more.is_empty() {
        return None;
    }
    let setting = view.policy.get(&knob);
    let has = setting.map(|setting| setting.value.as_str()).filter(|value| !matches!(*value, "" | "none"));
    let key = match setting.map(|setting| &setting.source) {
        Some(Source::Annotation(key) | Source::Exception(key)) => key.clone(),
        _ => format!("zerocap.io/{knob}"),
    };
    let entries: Vec<String> = has.map(str::to_owned).into_iter().chain(more).collect();
    if entries.join(",").split(',').count() > MAX_ENTRIES {
        eprintln!("more than {MAX_ENTRIES} entries, which no annotation may have: write networks instead");
    }
    Some(format!("{key}: \"{}\"", entries.join(",")))
}

#[cfg(test)]
mod tests {
    use super::super::view::example;
    use super::*;

    #[test]
    fn it_adds_what_was_refused_to_what_there_is() {
        assert_eq!(lines(&example()), ["zerocap.io/egress: \"tcp://10.0.0.1/32:443,10.0.0.5:443\""]);
        let mut bare = example();
        bare.policy.clear();
        assert_eq!(lines(&bare), ["zerocap.io/egress: \"10.0.0.5:443\""]);
        bare.refusals.clear();
        bare.destinations.truncate(1);
        assert!(lines(&bare).is_empty(), "what is permitted is not suggested");
    }
}
