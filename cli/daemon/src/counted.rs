//! What the shims count for their containers, summed over the node since the daemon began. A container that ends takes nothing back,
//! so these numbers only grow.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use serde::Deserialize;
use zerocap_node::refusals::Refusals;
use zerocap_node::state::{Document, StateDir, Store};

use crate::evidence::NAMESPACE;

/// What happened to questions for names, by the word that the shim has for it.
pub const QUESTIONS: [&str; 4] = ["answered", "refused", "bounded", "failed"];
/// What passed between the resolver and the pod's servers.
pub const UPSTREAM: [&str; 5] = ["queries", "ignored", "blocked", "surplus", "unpermitted"];

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

/// The part of `names.json` that is counted.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    snapshot: Snapshot,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Snapshot {
    counters: BTreeMap<String, u64>,
    names: Vec<Name>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name {
    stale: bool,
}

/// What was seen of one file of a container.
#[derive(Debug, Default)]
struct Seen {
    written: Option<SystemTime>,
    counts: Counts,
    /// Names by whether they are stale.
    names: [u64; 2],
}

/// The sums.
#[derive(Debug, Default)]
pub struct Sums {
    /// Since the daemon began.
    pub counts: Counts,
    /// Names in `egress` now: resolved as they should be, and by an answer that is too old.
    pub names: [u64; 2],
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
        let mut names = [0; 2];
        for id in ids {
            let Ok(dir) = store.container(NAMESPACE, id) else { continue };
            for document in [Document::Refusals, Document::Names] {
                let key = (id.to_owned(), document.file_name());
                let mut seen = self.seen.remove(&key).unwrap_or_default();
                self.look(&dir, document, &mut seen);
                names = [names[0] + seen.names[0], names[1] + seen.names[1]];
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

fn read(dir: &StateDir, document: Document) -> Option<(Counts, [u64; 2])> {
    let mut counts = Counts::new();
    if document == Document::Refusals {
        let told: Refusals = dir.read_json(document).ok()??;
        for it in told.distinct {
            *counts.entry(Kind::Fence(it.rule.name())).or_default() += it.times;
        }
        return Some((counts, [0; 2]));
    }
    let Names { snapshot } = dir.read_json(document).ok()??;
    let mut take = |words: &[&'static str], kind: fn(&'static str) -> Kind| {
        for word in words {
            counts.insert(kind(word), snapshot.counters.get(*word).copied().unwrap_or_default());
        }
    };
    take(&QUESTIONS, Kind::Question);
    take(&UPSTREAM, Kind::Upstream);
    let stale = snapshot.names.iter().filter(|name| name.stale).count() as u64;
    Some((counts, [snapshot.names.len() as u64 - stale, stale]))
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
        let names = |answered: u64, stale: bool| json!({ "at": 1, "snapshot": { "counters": { "answered": answered, "later": 7 }, "names": [{ "stale": stale }, { "stale": false }] } });
        let refusals = |times: u64| {
            let it = json!({
                "hook": "connect", "destination": "d", "refused": true, "rule": "egress", "permit": null, "times": times,
                "first": "t", "last": "t", "process": "p", "pid": null,
            });
            json!({ "version": 1, "pod": { "namespace": "", "name": "", "uid": "" }, "container": "", "audit": false, "distinct": [it], "forgotten": 0 })
        };
        let egress = Kind::Fence("egress");
        let answered = Kind::Question("answered");
        write("a", Document::Refusals, &refusals(3));
        write("a", Document::Names, &names(5, false));
        write("b", Document::Names, &names(2, true));
        counted.recount(&store, ["a", "b", "never-there"].into_iter());
        counted.recount(&store, ["a", "b"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], counted.sums.names), (3, 7, [3, 1]));
        write("a", Document::Refusals, &refusals(10));
        write("b", Document::Names, &names(4, false));
        counted.recount(&store, ["a", "b"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], counted.sums.names), (10, 9, [4, 0]));
        write("a", Document::Refusals, &json!("no refusals"));
        counted.recount(&store, ["a"].into_iter());
        assert_eq!((counted.sums.counts[&egress], counted.sums.counts[&answered], counted.sums.names), (10, 9, [2, 0]));
        assert_eq!(counted.seen.len(), 2, "who is gone is forgotten");
    }
}
