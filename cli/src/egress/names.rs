//! The names of one container: what its resolver wrote down last, and what that is worth now.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use zerocap_annotations::knob::{Egress, Knob, Peer};
use zerocap_names::{BootTime, Counters, NameState, Snapshot, Standing};
use zerocap_node::refusals::{Clock, Permit};

/// The port that is suggested for a name: a question does not say which one it is for.
pub const USUAL_PORT: u16 = 443;
/// A pinned name is asked for again within a minute of its answer's end, by a resolver that lives.
const OVERDUE: u64 = 90;

/// What is known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// Where the container asks.
    pub responder: IpAddr,
    /// When the resolver wrote this down: within a second of whatever it did last.
    pub written: String,
    pub names: Vec<Name>,
    pub unlisted: Vec<Unlisted>,
    pub forgotten: u64,
    pub blocked: Vec<Blocked>,
    pub questions: Counters,
}

/// One name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Name {
    pub name: String,
    pub asked: String,
    pub below: Option<String>,
    pub state: State,
    pub last_answer: Option<String>,
    pub age_seconds: Option<u64>,
    pub addresses: Vec<Address>,
}

/// What the last answer is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Resolved,
    Empty,
    Stale,
    Expired,
    Failed,
    /// It should have been asked for again, and was not: the resolver is gone or hangs.
    Overdue,
}

impl State {
    /// As the JSON form has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Empty => "empty",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
        }
    }

    const ALL: [Self; 6] = [Self::Resolved, Self::Empty, Self::Stale, Self::Expired, Self::Failed, Self::Overdue];
}

/// Every word for a state.
pub fn states() -> impl Iterator<Item = State> {
    State::ALL.into_iter()
}

/// One address of a name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Address {
    pub address: IpAddr,
    pub age_seconds: u64,
    pub ttl_left_seconds: u64,
    pub current: bool,
    pub permitted_seconds: u64,
}

/// A name that the container asked for and that `egress` does not have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unlisted {
    pub name: String,
    pub times: u64,
    pub last: String,
    pub permit: Option<Permit>,
}

/// An address that a name resolved to and may not have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blocked {
    pub name: String,
    pub address: IpAddr,
    pub network: String,
    pub times: u64,
}

impl Names {
    /// What a snapshot says at another moment.
    pub fn of(snapshot: Snapshot, now: BootTime, clock: &Clock) -> Self {
        let since = now.0.saturating_sub(snapshot.at.0) / 1_000_000_000;
        let unlisted = snapshot.unlisted.into_iter().map(|it| Unlisted {
            permit: entry(it.name.as_str()).map(|entry| Permit { knob: Knob::Egress, entry }),
            name: it.name.to_string(),
            times: it.times,
            last: clock.at(it.last.0),
        });
        let blocked = snapshot.blocked.into_iter().map(|it| Blocked {
            name: it.name.to_string(),
            address: it.address,
            network: format!("{}/{}", it.network.0, it.network.1),
            times: it.times,
        });
        Self {
            responder: snapshot.responder,
            written: clock.at(snapshot.at.0),
            names: snapshot.names.into_iter().map(|name| Name::of(name, since, now, clock)).collect(),
            unlisted: unlisted.collect(),
            forgotten: snapshot.forgotten,
            blocked: blocked.collect(),
            questions: snapshot.counters,
        }
    }

    /// An entry for an address, written with the name that has or had this address; those of the policy itself first.
    pub fn named(&self, entry: &str) -> Option<String> {
        let (transport, to) = entry.strip_prefix("udp://").map_or(("", entry), |to| ("udp://", to));
        let to: SocketAddr = to.parse().ok()?;
        let has = |name: &&Name| name.addresses.iter().any(|address| address.address == to.ip());
        let name = self.names.iter().filter(has).min_by_key(|name| (name.below.is_some(), &name.name))?;
        Some(format!("{transport}{}:{}", name.name, to.port()))
    }
}

impl Name {
    fn of(known: NameState, since: u64, now: BootTime, clock: &Clock) -> Self {
        let addresses: Vec<Address> = known
            .addresses
            .iter()
            .map(|it| Address {
                address: it.address,
                age_seconds: it.age + since,
                ttl_left_seconds: u64::from(it.ttl).saturating_sub(it.age + since),
                current: it.current,
                permitted_seconds: it.permitted.saturating_sub(since),
            })
            .filter(|it| it.current || it.permitted_seconds > 0)
            .collect();
        let answered = Some(known.answered).filter(|answered| *answered != BootTime::default());
        let over = addresses.iter().filter(|it| it.current).all(|it| it.ttl_left_seconds == 0);
        let state = match known.state {
            Standing::Resolved | Standing::Stale if over && known.below.is_some() => State::Expired,
            Standing::Resolved | Standing::Stale if over && since > OVERDUE => State::Overdue,
            Standing::Resolved => State::Resolved,
            Standing::Empty => State::Empty,
            Standing::Stale => State::Stale,
            Standing::Expired => State::Expired,
            Standing::Failed => State::Failed,
        };
        Self {
            name: known.name.to_string(),
            asked: known.asked.to_string(),
            below: known.below.map(|domain| domain.to_string()),
            state,
            last_answer: answered.map(|answered| clock.at(answered.0)),
            age_seconds: answered.map(|answered| now.0.saturating_sub(answered.0) / 1_000_000_000),
            addresses,
        }
    }
}

/// The entry of `egress` for a name; `None` where it can have none.
fn entry(name: &str) -> Option<String> {
    let entry = format!("{name}:{USUAL_PORT}");
    let named = |list: &Egress| list.0.iter().all(|it| matches!(it.peer, Peer::Name(_)));
    Egress::read(&entry).filter(named).map(|_| entry)
}

/// A snapshot with everything in it.
#[cfg(test)]
pub fn example() -> Snapshot {
    use zerocap_names::{AddressState, HostName};
    let host = |name: &str| HostName::parse(name).expect("a name");
    let second = 1_000_000_000;
    let name = |name: &str, below: Option<&str>, last, state, answered| NameState {
        name: host(name),
        asked: host(&format!("{name}.cluster.test")),
        below: below.map(host),
        addresses: vec![AddressState {
            address: [10, 0, 0, last].into(),
            age: 5,
            ttl: 20,
            current: true,
            permitted: 140,
        }],
        answered: BootTime(answered * second),
        state,
    };
    Snapshot {
        at: BootTime(100 * second),
        responder: [127, 53, 0, 1].into(),
        names: vec![
            name("api.example", None, 7, Standing::Resolved, 95),
            name("a.wild.example", Some("wild.example"), 7, Standing::Resolved, 95),
            name("b.wild.example", Some("wild.example"), 8, Standing::Resolved, 95),
        ],
        permits: 3,
        counters: Counters { answered: 4, refused: 3, queries: 2, ..Counters::default() },
        blocked: vec![zerocap_names::Blocked {
            name: host("c.wild.example"),
            address: [169, 254, 169, 254].into(),
            network: ([169, 254, 0, 0].into(), 16),
            times: 2,
        }],
        unlisted: ["evil.example", "_ldap._tcp.example"]
            .map(|name| zerocap_names::Unlisted { name: host(name), times: 3, last: BootTime(99 * second) })
            .into(),
        forgotten: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Names {
        Names::of(example(), BootTime((100 + seconds) * 1_000_000_000), &Clock::now())
    }

    #[test]
    fn time_goes_on_after_it_was_written() {
        let of = |names: &Names| {
            let [api, wild, _] = names.names.as_slice() else { panic!("{names:?}") };
            let first = &api.addresses[0];
            (first.age_seconds, first.ttl_left_seconds, first.permitted_seconds, api.state, wild.state)
        };
        assert_eq!(of(&after(0)), (5, 15, 140, State::Resolved, State::Resolved));
        assert_eq!(of(&after(10)), (15, 5, 130, State::Resolved, State::Resolved));
        // Nobody asks again for a name below a wildcard; a pinned one has a minute.
        assert_eq!(of(&after(40)), (45, 0, 100, State::Resolved, State::Expired));
        assert_eq!(of(&after(100)), (105, 0, 40, State::Overdue, State::Expired));
        assert_eq!(after(40).names[0].age_seconds, Some(45));
    }

    #[test]
    fn an_address_has_the_name_that_the_policy_has() {
        let names = after(0);
        let named = |entry: &str| names.named(entry);
        assert_eq!(named("10.0.0.7:8443").as_deref(), Some("api.example:8443"));
        assert_eq!(named("udp://10.0.0.8:53").as_deref(), Some("udp://b.wild.example:53"));
        assert_eq!(named("10.0.0.9:1"), None);
        assert_eq!(named("nonsense"), None);
    }

    #[test]
    fn only_what_the_annotation_may_have_is_suggested() {
        let permits: Vec<_> = after(0).unlisted.into_iter().map(|it| it.permit.map(|permit| permit.entry)).collect();
        assert_eq!(permits[0].as_deref(), Some("evil.example:443"));
        for name in ["x.localhost", "1.2.3.4", "a.1"] {
            assert_eq!(entry(name), None, "{name}");
        }
    }
}
