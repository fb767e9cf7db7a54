//! The fence as Prometheus text (exposition format 0.0.4).

use std::fmt::Write;

use super::show::hook;
use super::view::View;

/// Name, kind and help of each metric.
const METRICS: [(&str, &str, &str); 5] = [
    ("zerocap_egress_audit", "gauge", "1 where mode is audit: what goes out is counted and not refused."),
    ("zerocap_egress_approved_total", "counter", "Connects and sends that the policy permits."),
    ("zerocap_egress_refused_total", "counter", "What the policy does not permit, by hook."),
    ("zerocap_egress_lost_total", "counter", "Refusals that could not be told one by one."),
    ("zerocap_egress_destination_total", "counter", "Connects and sends by destination; the last 128 or so."),
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
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with("zerocap_egress_") || line.starts_with("# ")), "{text}");
    }
}
