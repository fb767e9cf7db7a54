//! Which names a container may have, and on which ports.

use std::collections::{BTreeMap, BTreeSet};

use zerocap_annotations::knob::{Destination, Peer, Transport};

use crate::error::StartError;
use crate::guard::Guard;
use crate::limits::{MAX_NAMES, MAX_PERMITS};
use crate::name::HostName;

/// A transport and one of its segments.
pub(crate) type Grant = (Transport, (u16, u16));

/// Why a name is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The policy has this very name.
    Pinned,
    /// It is below a domain of the policy. The longest prefix that no such domain covers is the workload's own choice.
    Below(HostName),
}

/// The names of one container's policy.
#[derive(Clone, Debug)]
pub struct Rules {
    exact: BTreeMap<HostName, Vec<Grant>>,
    below: BTreeMap<HostName, Vec<Grant>>,
    segments: BTreeMap<Transport, Vec<(u16, u16)>>,
    guard: Guard,
}

impl Rules {
    /// The names among the destinations of a policy; networks are left out.
    ///
    /// # Errors
    /// A name is no host name, or there are more than [`MAX_NAMES`].
    pub fn new<'a>(destinations: impl IntoIterator<Item = &'a Destination>, guard: Guard) -> Result<Self, StartError> {
        let mut exact: BTreeMap<HostName, Vec<Grant>> = BTreeMap::new();
        let mut below: BTreeMap<HostName, Vec<Grant>> = BTreeMap::new();
        for destination in destinations {
            let (name, map) = match &destination.peer {
                Peer::Network(..) => continue,
                Peer::Name(name) => (name, &mut exact),
                Peer::Below(domain) => (domain, &mut below),
            };
            let parsed = HostName::parse(name).ok_or_else(|| StartError::NoName(name.clone()))?;
            map.entry(parsed).or_default().push((destination.transport, destination.ports));
        }
        if exact.len() + below.len() > MAX_NAMES {
            return Err(StartError::TooManyNames { names: exact.len() + below.len(), limit: MAX_NAMES });
        }
        let mut segments = BTreeMap::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            let of_transport = |grant: &&Grant| grant.0 == transport;
            let ranges = exact.values().chain(below.values()).flatten().filter(of_transport).map(|(_, range)| *range);
            segments.insert(transport, disjoint(&ranges.collect::<Vec<_>>()));
        }
        for grants in exact.values_mut().chain(below.values_mut()) {
            *grants = split(grants, &segments);
        }
        Ok(Self { exact, below, segments, guard })
    }

    /// Whether the policy has no name at all: nothing needs to be started then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// The ports of all names of one transport as disjoint ranges, both ends included, in order. Every range of the policy is made of such
    /// ranges.
    #[must_use]
    pub fn segments(&self, transport: Transport) -> &[(u16, u16)] {
        self.segments.get(&transport).map_or(&[], Vec::as_slice)
    }

    /// Most permits that are held at a time.
    pub(crate) fn most_permits(&self) -> usize {
        // Two families with as many addresses as are taken, or fewer and some within their grace. What is below wildcards shares one size.
        let pinned: usize = self.exact.values().map(|grants| grants.len() * 32).sum();
        let below = self.below.values().map(Vec::len).max().unwrap_or(0) * 512;
        (pinned + below).min(MAX_PERMITS)
    }

    pub(crate) fn pinned(&self) -> impl Iterator<Item = &HostName> {
        self.exact.keys()
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// How a name is listed, and what it opens: the ports of its own entry and of every domain that it is below.
    pub(crate) fn listed(&self, name: &HostName) -> Option<(Listed, Vec<Grant>)> {
        let own = self.exact.get(name);
        let mut grants: BTreeSet<Grant> = own.into_iter().flatten().copied().collect();
        let mut domain = None;
        let mut rest = name.as_str();
        // From the longest domain to the shortest: the first hit leaves the workload the least.
        while let Some((_, parent)) = rest.split_once('.') {
            rest = parent;
            let Some((found, ports)) = self.below.get_key_value(parent) else { continue };
            grants.extend(ports);
            domain.get_or_insert_with(|| found.clone());
        }
        let listed = match (own, domain) {
            (Some(_), _) => Listed::Pinned,
            (None, Some(domain)) => Listed::Below(domain),
            (None, None) => return None,
        };
        Some((listed, grants.into_iter().collect()))
    }
}

/// The ranges cut at each other's ends, so that none overlaps another.
fn disjoint(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let starts = ranges.iter().map(|(first, _)| u32::from(*first));
    let ends = ranges.iter().map(|(_, last)| u32::from(*last) + 1);
    let cuts: Vec<u32> = starts.chain(ends).collect::<BTreeSet<_>>().into_iter().collect();
    let pairs = cuts.windows(2).map(|cut| (cut[0] as u16, (cut[1] - 1) as u16));
    pairs.filter(|part| ranges.iter().any(|range| within(*part, *range))).collect()
}

fn within(part: (u16, u16), range: (u16, u16)) -> bool {
    range.0 <= part.0 && part.1 <= range.1
}

fn split(grants: &[Grant], segments: &BTreeMap<Transport, Vec<(u16, u16)>>) -> Vec<Grant> {
    let mut parts = BTreeSet::new();
    for (transport, range) in grants {
        let of_transport = segments.get(transport).into_iter().flatten();
        parts.extend(of_transport.filter(|part| within(**part, *range)).map(|part| (*transport, *part)));
    }
    parts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::new(&crate::policy::destinations(text), Guard::default()).expect("rules")
    }

    fn listed(rules: &Rules, name: &str) -> Option<(Listed, Vec<Grant>)> {
        rules.listed(&HostName::parse(name).expect("a name"))
    }

    #[test]
    fn a_wildcard_is_one_or_more_labels() {
        let rules = rules("*.models.example:443, a.models.example:80");
        let below = Listed::Below(HostName::parse("models.example").expect("a name"));
        let tcp = |port: u16| (Transport::Tcp, (port, port));
        assert_eq!(listed(&rules, "b.models.example"), Some((below.clone(), vec![tcp(443)])));
        assert_eq!(listed(&rules, "c.b.MODELS.example."), Some((below, vec![tcp(443)])));
        assert_eq!(listed(&rules, "a.models.example"), Some((Listed::Pinned, vec![tcp(80), tcp(443)])));
        for other in ["models.example", "example", "xmodels.example", "b.models.example.com", "b.models"] {
            assert_eq!(listed(&rules, other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_domain_counts() {
        let rules = rules("*.example:1, *.b.example:2");
        let (found, grants) = listed(&rules, "a.b.example").expect("listed");
        assert_eq!(found, Listed::Below(HostName::parse("b.example").expect("a name")));
        assert_eq!(grants, [(Transport::Tcp, (1, 1)), (Transport::Tcp, (2, 2))]);
    }

    #[test]
    fn segments_are_cut_at_every_end() {
        let rules = rules("a.example:1-1024, b.example:443, udp://b.example:443, c.example:65535");
        assert_eq!(rules.segments(Transport::Tcp), [(1, 442), (443, 443), (444, 1024), (65535, 65535)]);
        assert_eq!(rules.segments(Transport::Udp), [(443, 443)]);
        assert_eq!(listed(&rules, "a.example").expect("listed").1.len(), 3);
    }

    #[test]
    fn there_is_a_bound() {
        let many: BTreeSet<Destination> = (0..=MAX_NAMES)
            .map(|number| Destination {
                transport: Transport::Tcp,
                peer: Peer::Name(format!("n{number}.example")),
                ports: (1, 1),
            })
            .collect();
        let refused = Rules::new(&many, Guard::default()).expect_err("one name too many");
        assert!(matches!(refused, StartError::TooManyNames { names: 1025, limit: 1024 }));
    }

    proptest! {
        #[test]
        fn disjoint_ranges_hold_the_same_ports(ranges in proptest::collection::vec((0..40u16, 0..40u16), 0..8)) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let parts = disjoint(&ranges);
            for port in 0..50 {
                let inside = ranges.iter().any(|range| within((port, port), *range));
                prop_assert_eq!(parts.iter().filter(|part| within((port, port), **part)).count(), usize::from(inside));
            }
            for part in &parts {
                for range in &ranges {
                    prop_assert!(within(*part, *range) || part.1 < range.0 || range.1 < part.0);
                }
            }
        }
    }
}
