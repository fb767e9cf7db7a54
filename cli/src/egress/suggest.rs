//! `--suggest`: the annotations that would have permitted what was seen.

use std::collections::BTreeSet;

use zerocap_annotations::knob::{Egress, Knob, MAX_ENTRIES, ProxyPort};
use zerocap_annotations::policy::Source;

use super::names::USUAL_PORT;
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
    if view.names.iter().flat_map(|names| &names.unlisted).any(|it| it.permit.is_some()) {
        eprintln!(
            "names that were asked for in vain stand with port {USUAL_PORT}: a question does not say which port it is for"
        );
    }
    if view.landlock_first {
        eprintln!(
            "connects to ports that no entry has are not known: Landlock refuses them first; `mode: audit` shows them"
        );
    }
    if view.names.as_ref().is_some_and(|names| names.forgotten > 0)
        || view.forgotten > 0
        || view.counters.as_ref().is_some_and(|counters| counters.lost > 0)
    {
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
        more = more.into_iter().map(|entry| by_name(view, &entry).unwrap_or(entry)).collect();
        let in_vain = view.names.iter().flat_map(|names| &names.unlisted);
        more.extend(in_vain.filter_map(|it| it.permit.as_ref()).map(|permit| permit.entry.clone()));
        let old = view.policy.get(&knob).and_then(|setting| Egress::read(&setting.value));
        more.retain(|entry| !old.as_ref().is_some_and(|old| has(old, entry)));
    }
    let setting = view.policy.get(&knob);
    if knob == Knob::Listen {
        // Every port is listed already, or it is the one that may never be.
        let all = setting.is_some_and(|setting| setting.value == "*");
        let proxy = view.policy.get(&Knob::ProxyPort).map(|setting| setting.value.clone());
        let proxy = proxy.unwrap_or_else(|| ProxyPort::default().0.to_string());
        more.retain(|entry| !all && *entry != proxy);
    }
    if more.is_empty() {
        return None;
    }
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

/// The entry by the name whose address it is.
fn by_name(view: &View, entry: &str) -> Option<String> {
    view.names.as_ref().and_then(|names| names.named(entry))
}

/// Whether a list has an entry already: an address that its name has no more is refused in spite of it.
fn has(list: &Egress, entry: &str) -> bool {
    Egress::read(entry).is_some_and(|new| list.covers(&new))
}

#[cfg(test)]
mod tests {
    use super::super::view::example;
    use super::*;

    #[test]
    fn it_adds_what_was_refused_to_what_there_is() {
        let all = "tcp://10.0.0.1/32:443,10.0.0.5:443,evil.example:443";
        assert_eq!(lines(&example()), [format!("zerocap.io/egress: \"{all}\"")]);
        let mut bare = example();
        bare.names = None;
        bare.policy.clear();
        assert_eq!(lines(&bare), ["zerocap.io/egress: \"10.0.0.5:443\""]);
        bare.refusals.clear();
        bare.destinations.truncate(1);
        assert!(lines(&bare).is_empty(), "what is permitted is not suggested");
    }

    #[test]
    fn an_address_of_a_name_is_suggested_by_the_name() {
        let mut view = example();
        for (to, entry) in [("10.0.0.7:8443", "10.0.0.7:8443"), ("10.0.0.7:443", "10.0.0.7:443")] {
            view.destinations.push(super::super::view::Asked {
                destination: format!("tcp://{to}"),
                permitted: false,
                times: 1,
                entry: Some(entry.into()),
            });
        }
        view.refusals.clear();
        view.destinations.retain(|it| it.destination.contains("10.0.0.7"));
        let setting = view.policy.get_mut(&Knob::Egress).expect("a setting");
        setting.value = "tcp://api.example:443".into();
        // The second one is of the name already: its address was another one then.
        let all = "tcp://api.example:443,api.example:8443,evil.example:443";
        assert_eq!(lines(&view), [format!("zerocap.io/egress: \"{all}\"")]);
    }

    /// A suggestion is an annotation that is accepted.
    #[test]
    fn ports_that_may_not_be_listed_are_not_suggested() {
        let mut view = example();
        view.policy.clear();
        let mut refusals = zerocap_node::refusals::Refusals::new(view.pod.clone(), "web".into(), false);
        for port in [3128, 4000, 8080] {
            let refusal = zerocap_fence::Refusal {
                at: 0,
                pid: None,
                comm: Vec::new(),
                hook: zerocap_fence::Hook::Bind,
                address: std::net::Ipv6Addr::UNSPECIFIED,
                port,
                protocol: 6,
                device: 0,
            };
            refusals.add(&refusal, String::new());
        }
        view.refusals = refusals.distinct;
        let listen = |view: &View| line(view, Knob::Listen);
        assert_eq!(listen(&view).as_deref(), Some("zerocap.io/listen: \"4000,8080\""));
        let setting = |value: &str| zerocap_annotations::report::Setting {
            value: value.into(),
            source: Source::Annotation("zerocap.io/x".into()),
        };
        view.policy.insert(Knob::ProxyPort, setting("4000"));
        assert_eq!(listen(&view).as_deref(), Some("zerocap.io/listen: \"3128,8080\""));
        view.policy.insert(Knob::Listen, setting("*"));
        assert_eq!(listen(&view), None);
    }
}
