//! The fence as Prometheus text (exposition format 0.0.4).

use std::fmt::Write;

use zerocap_names::Counters;

use super::names::{Name, states};
use super::show::hook;
use super::view::View;

/// Name, kind and help of each metric.
const METRICS: [(&str, &str, &str); 10] = [
    ("zerocap_egress_audit", "gauge", "1 where mode is audit: what goes out is counted and not refused."),
    ("zerocap_egress_approved_total", "counter", "Connects and sends that the policy permits."),
    ("zerocap_egress_refused_total", "counter", "What the policy does not permit, by hook."),
    ("zerocap_egress_lost_total", "counter", "Refusals that could not be told one by one."),
    ("zerocap_egress_destination_total", "counter", "Connects and sends by destination; the last 128 or so."),
    ("zerocap_egress_name_addresses", "gauge", "Addresses in the last good answer of a name that egress lists itself."),
    ("zerocap_egress_name_age_seconds", "gauge", "Age of the last good answer of a name that egress lists itself."),
    ("zerocap_egress_name_state", "gauge", "1 for the state that a name which egress lists itself is in."),
    (
        "zerocap_egress_questions_total",
        "counter",
        "Questions of the container to its responder, by what became of them.",
    ),
    (
        "zerocap_egress_resolver_total",
        "counter",
        "Of the resolver: messages sent and ignored, addresses left out, by why.",
    ),
];

/// The text for these containers; those whose fence is gone have none.
pub fn text(views: &[View]) -> String {
    let mut text = String::new();
    for (name, kind, help) in METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for view in views {
            for (more, value) in values(name, view) {
                let _ = writeln!(text, "{name}{{{}{more}}} {value}", labels(view));
            }
        }
    }
    text
}

fn values(name: &str, view: &View) -> Vec<(String, u64)> {
    let Some(counters) = &view.counters else { return Vec::new() };
    match name {
        "zerocap_egress_audit" => vec![(String::new(), u64::from(view.audit))],
        "zerocap_egress_approved_total" => vec![(String::new(), counters.approved)],
        "zerocap_egress_lost_total" => vec![(String::new(), counters.lost)],
        "zerocap_egress_name_addresses" => pinned(view)
            .map(|it| (name_label(it), it.addresses.iter().filter(|it| it.current).count() as u64))
            .collect(),
        "zerocap_egress_name_age_seconds" => {
            pinned(view).filter_map(|it| Some((name_label(it), it.age_seconds?))).collect()
        }
        "zerocap_egress_name_state" => pinned(view)
            .flat_map(|it| states().map(move |state| (it, state)))
            .map(|(it, state)| (format!("{},state=\"{}\"", name_label(it), state.word()), u64::from(it.state == state)))
            .collect(),
        "zerocap_egress_questions_total" => of_names(view, |it| {
            [("answered", it.answered), ("refused", it.refused), ("bounded", it.bounded), ("failed", it.failed)]
        }),
        "zerocap_egress_resolver_total" => of_names(view, |it| {
            [
                ("queries", it.queries),
                ("ignored", it.ignored),
                ("blocked", it.blocked),
                ("surplus", it.surplus),
                ("unpermitted", it.unpermitted),
            ]
        }),
        "zerocap_egress_refused_total" => {
            let hooks = counters.refused.iter();
            hooks.map(|(of, times)| (format!(",hook=\"{}\"", hook(*of).replace(' ', "-")), *times)).collect()
        }
        _ => {
            let asked = view.destinations.iter();
            let label = |to: &str, ok| format!(",destination=\"{}\",permitted=\"{ok}\"", escape(to));
            asked.map(|it| (label(&it.destination, it.permitted), it.times)).collect()
        }
    }
}

/// The names of the policy: those below wildcards, and those asked for in vain, are the workload's own words, of which there is no end.
fn pinned(view: &View) -> impl Iterator<Item = &Name> {
    view.names.iter().flat_map(|names| &names.names).filter(|name| name.below.is_none())
}

fn name_label(name: &Name) -> String {
    format!(",name=\"{}\"", escape(&name.name))
}

fn of_names<const N: usize>(view: &View, of: impl Fn(&Counters) -> [(&'static str, u64); N]) -> Vec<(String, u64)> {
    let all = view.names.iter().flat_map(|names| of(&names.questions));
    all.map(|(what, times)| (format!(",what=\"{what}\""), times)).collect()
}

fn labels(view: &View) -> String {
    let all = [
        ("namespace", view.pod.namespace.as_str()),
        ("pod", &view.pod.name),
        ("uid", &view.pod.uid),
        ("container", &view.container),
        ("id", &view.id),
    ];
    all.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).join(",")
}

/// A label's value may have anything; three characters are written otherwise.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::view::example;
    use super::*;

    #[test]
    fn every_line_is_a_metric_whatever_the_labels_hold() {
        let text = text(&[example()]);
        let labels = r#"namespace="default",pod="web-0",uid="0f\"\\\n",container="web",id="0123456789abcdef""#;
        for line in [
            format!("zerocap_egress_audit{{{labels}}} 0"),
            format!("zerocap_egress_approved_total{{{labels}}} 3"),
            format!("zerocap_egress_refused_total{{{labels},hook=\"connect\"}} 2"),
            format!("zerocap_egress_refused_total{{{labels},hook=\"bind\"}} 0"),
            format!(
                "zerocap_egress_destination_total{{{labels},destination=\"tcp://10.0.0.5:443\",permitted=\"false\"}} 2"
            ),
            format!("zerocap_egress_name_addresses{{{labels},name=\"api.example\"}} 1"),
            format!("zerocap_egress_name_age_seconds{{{labels},name=\"api.example\"}} 15"),
            format!("zerocap_egress_name_state{{{labels},name=\"api.example\",state=\"resolved\"}} 1"),
            format!("zerocap_egress_name_state{{{labels},name=\"api.example\",state=\"stale\"}} 0"),
            format!("zerocap_egress_questions_total{{{labels},what=\"refused\"}} 3"),
            format!("zerocap_egress_resolver_total{{{labels},what=\"queries\"}} 2"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("wild.example") && !text.contains("evil.example"), "the workload's own words: {text}");
        assert!(text.lines().all(|line| line.starts_with("zerocap_egress_") || line.starts_with("# ")), "{text}");
    }
}
