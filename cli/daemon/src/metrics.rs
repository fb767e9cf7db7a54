//! The node's numbers, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use zerocap_annotations::knob::Knob;
use zerocap_annotations::report::TargetKind;
use zerocap_annotations::{Report, Verdict};

use crate::counted::{Kind, Sums};

/// Upper bounds of the start histogram, in seconds.
const BOUNDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// "platform" or "cluster".
pub fn mode(report: &Report) -> &'static str {
    match report.policy.get(&Knob::NetworkEnforcement) {
        Some(setting) if setting.value == "platform" => "platform",
        _ => "cluster",
    }
}

/// A histogram of start times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Starts {
    /// How many fell under each bound, and above all.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Starts {
    /// Counts a start.
    pub fn add(&mut self, seconds: f64) {
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at] += 1;
        self.sum += seconds;
    }
}

/// What is counted. Labels come from fixed tables only, so their number is bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Containers by mode and verdict.
    pub containers: BTreeMap<(&'static str, Verdict), u64>,
    /// Confined containers by the mechanism that is applied.
    pub fences: BTreeMap<String, u64>,
    /// Promises by name and state.
    pub promises: BTreeMap<(&'static str, String), u64>,
    /// Pods by the condition's status.
    pub pods: BTreeMap<&'static str, u64>,
    /// Refused starts by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// What the packet fence refused, by rule.
    pub blocked: BTreeMap<&'static str, u64>,
    /// Start times.
    pub starts: Starts,
    /// Events that were not written, since too many were.
    pub suppressed: u64,
    /// Calls of the API that failed.
    pub troubles: u64,
}

/// The word that JSON has for a fieldless value.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Numbers {
    /// Counts the containers anew.
    pub fn recount<'a>(&mut self, reports: impl Iterator<Item = &'a Report>) {
        self.containers.clear();
        self.fences.clear();
        self.promises.clear();
        for report in reports.filter(|report| report.target != TargetKind::Sandbox) {
            *self.containers.entry((mode(report), Verdict::of(Some(report)))).or_default() += 1;
            let mut applied: Vec<_> =
                report.promises.iter().flat_map(|p| &p.fences).filter(|f| f.applied).map(|f| f.fence).collect();
            applied.sort();
            applied.dedup();
            for fence in applied {
                *self.fences.entry(word(fence)).or_default() += 1;
            }
            for promise in &report.promises {
                *self.promises.entry((promise.promise.name(), word(promise.state))).or_default() += 1;
            }
        }
    }

    /// The text of `/metrics`.
    pub fn render(&self, version: &str, shims: &Sums) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: &mut dyn Iterator<Item = (String, String)>| {
            // Writing to a String does not fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        family(
            "zerocap_build_info",
            "gauge",
            "The version of the node daemon.",
            &mut std::iter::once((format!("{{version=\"{version}\"}}"), "1".to_owned())),
        );
        family(
            "zerocap_containers",
            "gauge",
            "Containers with an enforcement report, by mode and verdict.",
            &mut self.containers.iter().map(|((mode, verdict), count)| {
                (format!("{{mode=\"{mode}\",verdict=\"{}\"}}", word(verdict)), count.to_string())
            }),
        );
        family(
            "zerocap_container_fences",
            "gauge",
            "Containers to which a mechanism is applied.",
            &mut self.fences.iter().map(|(fence, count)| (format!("{{fence=\"{fence}\"}}"), count.to_string())),
        );
        family(
            "zerocap_container_promises",
            "gauge",
            "Promises of containers, by how far they are kept.",
            &mut self.promises.iter().map(|((promise, state), count)| {
                (format!("{{promise=\"{promise}\",state=\"{state}\"}}"), count.to_string())
            }),
        );
        family(
            "zerocap_pods",
            "gauge",
            "Pods of this node by their condition zerocap.io/Enforced.",
            &mut self.pods.iter().map(|(status, count)| (format!("{{enforced=\"{status}\"}}"), count.to_string())),
        );
        family(
            "zerocap_refused_starts_total",
            "counter",
            "Starts that were refused, by error code: each container and code of a pod once.",
            &mut self.refused.iter().map(|(code, count)| (format!("{{code=\"{code}\"}}"), count.to_string())),
        );
        family(
            "zerocap_blocked_total",
            "counter",
            "Rules by which a packet fence refused something: each container and rule of a pod once.",
            &mut self.blocked.iter().map(|(rule, count)| (format!("{{rule=\"{rule}\"}}"), count.to_string())),
        );
        let mut sums = |name: &str, help: &str, labels: fn(&Kind) -> Option<String>| {
            let rows = shims.counts.iter();
            family(name, "counter", help, &mut rows.filter_map(|(kind, sum)| Some((labels(kind)?, sum.to_string()))));
        };
        sums(
            "zerocap_refusals_total",
            "What was refused to running containers, by layer and rule; at least so often. What seccomp and Landlock refuse nobody is told.",
            |kind| match kind {
                Kind::Fence(rule) => Some(format!("{{layer=\"packet-fence\",rule=\"{rule}\"}}")),
                Kind::Question(rule @ ("refused" | "bounded")) => {
                    Some(format!("{{layer=\"names\",rule=\"question-{rule}\"}}"))
                }
                Kind::Upstream(rule @ "blocked") => Some(format!("{{layer=\"names\",rule=\"address-{rule}\"}}")),
                _ => None,
            },
        );
        sums("zerocap_dns_questions_total", "Questions of workloads for names, by outcome.", |kind| match kind {
            Kind::Question(outcome) => Some(format!("{{outcome=\"{outcome}\"}}")),
            _ => None,
        });
        sums(
            "zerocap_dns_upstream_total",
            "Messages to the pods' name servers, and what of their answers was dropped.",
            |kind| match kind {
                Kind::Upstream(what) => Some(format!("{{what=\"{what}\"}}")),
                _ => None,
            },
        );
        family(
            "zerocap_dns_names",
            "gauge",
            "Names in egress by what is known of them.",
            &mut shims.names.iter().map(|(state, count)| (format!("{{state=\"{}\"}}", word(state)), count.to_string())),
        );
        family(
            "zerocap_events_suppressed_total",
            "counter",
            "Events that were not written, since too many were.",
            &mut std::iter::once((String::new(), self.suppressed.to_string())),
        );
        family(
            "zerocap_api_errors_total",
            "counter",
            "Calls of the Kubernetes API that failed.",
            &mut std::iter::once((String::new(), self.troubles.to_string())),
        );
        self.render_starts(&mut out);
        out
    }

    fn render_starts(&self, out: &mut String) {
        const NAME: &str = "zerocap_start_seconds";
        let _ = writeln!(out, "# HELP {NAME} From the shim's Create to the verification of the parked process.");
        let _ = writeln!(out, "# TYPE {NAME} histogram");
        let mut total = 0;
        for (bound, count) in BOUNDS.iter().map(ToString::to_string).chain(["+Inf".into()]).zip(self.starts.counts) {
            total += count;
            let _ = writeln!(out, "{NAME}_bucket{{le=\"{bound}\"}} {total}");
        }
        let _ = writeln!(out, "{NAME}_sum {}\n{NAME}_count {total}", self.starts.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheus() {
        let mut numbers = Numbers::default();
        numbers.containers.insert(("platform", Verdict::Confined), 2);
        numbers.fences.insert("packet-fence".into(), 2);
        numbers.promises.insert(("egress", "kept".into()), 2);
        numbers.pods.insert("True", 1);
        numbers.refused.insert("ZC0209", 3);
        numbers.blocked.insert("egress", 2);
        for seconds in [0.02, 0.03, 60.0] {
            numbers.starts.add(seconds);
        }
        let counts =
            [(Kind::Fence("listen"), 4), (Kind::Question("refused"), 5), (Kind::Upstream("queries"), 6)].into();
        let text = numbers.render("0.1.0", &Sums { counts, names: [(zerocap_names::Standing::Stale, 8)].into() });
        for line in [
            "zerocap_containers{mode=\"platform\",verdict=\"confined\"} 2",
            "zerocap_container_fences{fence=\"packet-fence\"} 2",
            "zerocap_container_promises{promise=\"egress\",state=\"kept\"} 2",
            "zerocap_pods{enforced=\"True\"} 1",
            "zerocap_refused_starts_total{code=\"ZC0209\"} 3",
            "zerocap_blocked_total{rule=\"egress\"} 2",
            "zerocap_refusals_total{layer=\"packet-fence\",rule=\"listen\"} 4",
            "zerocap_refusals_total{layer=\"names\",rule=\"question-refused\"} 5",
            "zerocap_dns_questions_total{outcome=\"refused\"} 5",
            "zerocap_dns_upstream_total{what=\"queries\"} 6",
            "zerocap_dns_names{state=\"stale\"} 8",
            "zerocap_start_seconds_bucket{le=\"0.01\"} 0",
            "zerocap_start_seconds_bucket{le=\"0.025\"} 1",
            "zerocap_start_seconds_bucket{le=\"10\"} 2",
            "zerocap_start_seconds_bucket{le=\"+Inf\"} 3",
            "zerocap_start_seconds_count 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        // Each family is described once, before its rows.
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(text.lines().nth(at - 1).unwrap().starts_with(&format!("# HELP {name} ")));
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
        }
    }
}
