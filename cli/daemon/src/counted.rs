//! What the shims count for their containers, summed over the node since the daemon began. A container that ends takes nothing back,
//! so these numbers only grow.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use zerocap_names::{Counters, Snapshot, Standing};
use zerocap_node::refusals::Refusals;
use zerocap_node::state::{Document, StateDir, Store};

use crate::evidence::NAMESPACE;

/// One kind of thing: the layer and the rule of a refusal, or a word of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A refusal of the packet fence, by its rule.
    Fence(&'static str),
    /// A question for a name.
    Question(&'static str),
    /// A message to or from the pod's servers, or an address in one.
    Upstream(&'static str),
}

/// How often each kind happened.
pub type Counts = BTreeMap<Kind, u64>;

/// How many names in `egress` there are, by what is known of them.
pub type Known = BTreeMap<Standing, u64>;

/// What was seen of one file of a container.
#[derive(Debug, Default)]
struct Seen {
    written: Option<SystemTime>,
    counts: Counts,
    names: Known,
}

/// The sums.
#[derive(Debug, Default)]
pub struct Sums {
    /// Since the daemon began.
    pub counts: Counts,
    /// Names in `egress` now.
    pub names: Known,
}

/// The sums, and what they are made of.
#[derive(Debug, Default)]
pub struct Counted {
    seen: HashMap<(String, &'static str), Seen>,
    /// The sums.
    pub sums: Sums,
}

impl Counted {
    /// Counts what these containers have more than the last time.
    pub fn recount<'a>(&mut self, store: &Store, ids: impl Iterator<Item = &'a str>) {
        let mut still = HashMap::new();
        let mut names = Known::new();
        for id in ids {
            let Ok(dir) = store.container(NAMESPACE, id) else { continue };
            for document in [Document::Refusals, Document::Names] {
                let key = (id.to_owned(), document.file_name());
                let mut seen = self.seen.remove(&key).unwrap_or_default();
                self.look(&dir, document, &mut seen);
                for (standing, count) in &seen.names {
                    *names.entry(*standing).or_default() += count;
                }
                still.insert(key, seen);
            }
        }
        self.seen = still;
        self.sums.names = names;
    }

    fn look(&mut self, dir: &StateDir, document: Document, seen: &mut Seen) {
        let written = dir.path().join(document.file_name()).metadata().and_then(|meta| meta.modified()).ok();
        if written.is_none() || written == seen.written {
            return;
        }
        let Some((counts, names)) = read(dir, document) else { return };
        for (kind, count) in &counts {
            // What makes room in the shim's list is not counted twice, and not taken back.
            let before = seen.counts.get(kind).copied().unwrap_or_default();
            *self.sums.counts.entry(*kind).or_default() += count.saturating_sub(before);
        }
        *seen = Seen { written, counts, names };
    }
}

fn read(dir: &StateDir, document: Document) -> Option<(Counts, Known)> {
    if document == Document::Refusals {
        let told: Refusals = dir.read_json(document).ok()??;
        let mut counts = Counts::new();
        for it in told.distinct {
            *counts.entry(Kind::Fence(it.rule.name())).or_default() += it.times;
        }
        return Some((counts, Known::new()));
    }
    let told: Snapshot = dir.read_json(document).ok()??;
    let Counters { answered, refused, bounded, failed, queries, ignored, blocked, surplus, unpermitted } =
        told.counters;
    let counts = [
        (Kind::Question("answered"), answered),
        (Kind::Question("refused"), refused),
        (Kind::Question("bounded"), bounded),
        (Kind::Question("failed"), failed),
        (Kind::Upstream("queries"), queries),
        (Kind::Upstream("ignored"), ignored),
        (Kind::Upstream("blocked"), blocked),
        (Kind::Upstream("surplus"), surplus),
        (Kind::Upstream("unpermitted"), unpermitted),
    ];
    let mut known = Known::new();
    for name in told.names {
        *known.entry(name.state).or_default() += 1;
    }
    Some((counts.into(), known))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn sums_only_grow() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path());
        let mut counted = Counted::default();
        let mut clock = SystemTime::UNIX_EPOCH;
        let mut write = |id: &str, document: Document, value: &Value| {
            let dir = store.container(NAMESPACE, id).unwrap();
            dir.write_json(document, value).unwrap();
            // Writes in one test are too close together to tell them by the clock.
            clock += Duration::from_secs(1);
            std::fs::File::options()
                .append(true)
                .open(dir.path().join(document.file_name()))
                .unwrap()
                .set_modified(clock)
                .unwrap();
        };
        let names = |answered: u64, state: &str| {
            let name = |state: &str| json!({ "name": "a.b", "asked": "a.b", "below": null, "addresses": [], "answered": 1, "state": state });
            let counters = Counters { answered, ..Counters::default() };
            json!({
                "at": 1, "responder": "127.0.0.1", "names": [name(state), name("resolved")], "permits": 0, "counters": counters,
                "blocked": [], "unlisted": [], "forgotten": 0,
            })
        };
        let refusals = |times: u64| {
            let it = json!({
                "hook": "connect", "destination": "d", "refused": true, "rule": "egress", "permit": null, "times": times,
                "first": "t", "last": "t", "process": "p", "pid": null,
            });
            json!({ "version": 1, "pod": { "namespace": "", "name": "", "uid": "" }, "container": "", "audit": false, "distinct": [it], "forgotten": 0 })
        };
        let known = |counted: &Counted| {
            let of = |standing| counted.sums.names.get(&standing).copied().unwrap_or_default();
            (of(Standing::Resolved), of(Standing::Stale))
        };
        let egress = Kind::Fence("egress");
        let answered = Kind::Question("answered");
        write("a", Document::Refusals, &refusals(3));
        write("a", Document::Names, &names(5, "resolved"));
        write("b", Document::Names, &names(2, "stale"));
        counted.recount(&store, ["a", "b", "never-there"].into_iter());
        counted.recount(&store, ["a", "b"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], known(&counted)), (3, 7, (3, 1)));
        write("a", Document::Refusals, &refusals(10));
        write("b", Document::Names, &names(4, "resolved"));
        counted.recount(&store, ["a", "b"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], known(&counted)), (10, 9, (4, 0)));
        write("a", Document::Refusals, &json!("no refusals"));
        counted.recount(&store, ["a"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], known(&counted)), (10, 9, (2, 0)));
        assert_eq!(counted.seen.len(), 2, "who is gone is forgotten");
    }
}
