//! The pod condition `zerocap.io/Blocked`: what the packet fences of a pod refused, for everybody who may `get` the pod.
//!
//! Its message is JSON ([`Blocked`]), so that `kubectl zerocap egress` shows it as a table; the size is bounded, and how often it is
//! written: at once when something was refused first, then less and less often.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zerocap_node::refusals::{Distinct, Refusals};

use crate::pod::Condition;
use crate::text::bounded;

/// The condition's type.
pub const CONDITION: &str = "zerocap.io/Blocked";
/// Version of [`Blocked`].
pub const VERSION: u32 = 1;
/// Longest message, in bytes.
const MESSAGE: usize = 4096;
/// Most refusals that are told one by one, for each container.
const LAST: usize = 8;
/// Longest text from a workload, in bytes.
const TEXT: usize = 80;
/// Between two writes: at first, and at most.
const WAITS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// What was refused to a pod's containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blocked {
    /// [`VERSION`].
    pub version: u32,
    /// The containers to which something was refused.
    pub containers: Vec<Container>,
}

/// What was refused to one container since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// `mode: audit`: what goes out was let through.
    pub audit: bool,
    /// How often something was refused: at least so often, since what comes too fast is not told one by one.
    pub times: u64,
    /// How many hooks and destinations these were.
    pub distinct: u64,
    /// The last of them, the latest first.
    pub last: Vec<Last>,
}

/// One destination, or what else was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Last {
    /// `tcp://ADDRESS:PORT`, or words.
    pub destination: String,
    /// By which rule: `egress`, `listen`, `protocols`.
    pub rule: String,
    /// False where it would have been, and mode is audit.
    pub refused: bool,
    /// How often, at least.
    pub times: u64,
    /// When last: RFC 3339, UTC.
    pub at: String,
    /// What the process called itself.
    pub process: String,
    /// The annotation that would permit it and what to add there; absent where none does.
    pub permit: Option<(String, String)>,
}

impl Blocked {
    /// Of the containers by their names; `None` if nothing was refused.
    pub fn of(all: &[(String, Refusals)]) -> Option<Self> {
        let containers: Vec<Container> = all
            .iter()
            .filter(|(_, told)| !told.distinct.is_empty())
            .map(|(name, told)| Container::of(name, told))
            .collect();
        (!containers.is_empty()).then_some(Self { version: VERSION, containers })
    }

    /// What a pod's condition says; `None` if it says nothing that this version knows.
    pub fn read(condition: &Condition) -> Option<Self> {
        serde_json::from_str(&condition.message).ok().filter(|told: &Self| told.version == VERSION)
    }

    /// The condition.
    pub fn condition(mut self) -> Condition {
        let audit = self.containers.iter().all(|container| container.last.iter().all(|last| !last.refused));
        let mut most = LAST;
        let message = loop {
            let text = serde_json::to_string(&self).unwrap_or_default();
            if text.len() <= MESSAGE {
                break text;
            }
            match most.checked_sub(1) {
                Some(fewer) => {
                    most = fewer;
                    self.containers.iter_mut().for_each(|container| container.last.truncate(most));
                }
                None => drop(self.containers.pop()),
            }
        };
        Condition {
            kind: CONDITION.to_owned(),
            status: "True".to_owned(),
            reason: if audit { "WouldBlock" } else { "Blocked" }.to_owned(),
            message,
        }
    }
}

impl Container {
    fn of(name: &str, told: &Refusals) -> Self {
        let known = told.distinct.iter();
        Self {
            name: name.to_owned(),
            audit: told.audit,
            times: known.clone().map(|it| it.times).sum::<u64>() + told.forgotten,
            distinct: told.distinct.len() as u64 + told.forgotten,
            last: known.rev().take(LAST).map(Last::of).collect(),
        }
    }
}

impl Last {
    fn of(it: &Distinct) -> Self {
        Self {
            destination: bounded(&it.destination, TEXT),
            rule: it.rule.name().to_owned(),
            refused: it.refused,
            times: it.times,
            at: it.last.clone(),
            process: bounded(&it.process, TEXT),
            permit: it
                .permit
                .as_ref()
                .map(|permit| (format!("zerocap.io/{}", permit.knob), bounded(&permit.entry, TEXT))),
        }
    }
}

/// When a pod's condition may be written again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    next: Instant,
    wait: Duration,
}

impl Pace {
    /// Nothing was written yet.
    pub const fn new(now: Instant) -> Self {
        Self { next: now, wait: WAITS.0 }
    }

    /// Whether it may be written.
    pub fn may(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// It was. Who has been quiet for long is told soon again.
    pub fn written(&mut self, now: Instant) {
        let quiet = now.saturating_duration_since(self.next) > WAITS.1;
        let wait = if quiet { WAITS.0 } else { self.wait };
        *self = Self { next: now + wait, wait: (wait * 2).min(WAITS.1) };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusals(count: usize, refused: bool) -> Refusals {
        let distinct: Vec<_> = (0..count)
            .map(|n| {
                json!({
                    "hook": "connect", "destination": format!("tcp://10.0.0.{n}:443"), "refused": refused, "rule": "egress",
                    "permit": { "knob": "egress", "entry": format!("10.0.0.{n}:443") }, "times": 2, "first": "t", "last": format!("{n}"),
                    "process": "\\x1b".repeat(15), "pid": 7,
                })
            })
            .collect();
        serde_json::from_value(json!({
            "version": 1, "pod": { "namespace": "n", "name": "p", "uid": "u" }, "container": "c", "audit": !refused,
            "distinct": distinct, "forgotten": 3,
        }))
        .unwrap()
    }

    #[test]
    fn the_last_ones_of_each_container() {
        assert_eq!(Blocked::of(&[("main".into(), refusals(0, true))]), None);
        let all = [("main".to_owned(), refusals(20, true)), ("quiet".to_owned(), refusals(0, true))];
        let blocked = Blocked::of(&all).unwrap();
        assert_eq!(blocked.containers.len(), 1);
        let main = &blocked.containers[0];
        assert_eq!((main.times, main.distinct, main.last.len()), (43, 23, LAST));
        assert_eq!((main.last[0].destination.as_str(), main.last[0].at.as_str()), ("tcp://10.0.0.19:443", "19"));
        let condition = blocked.clone().condition();
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Blocked"));
        assert_eq!(Blocked::read(&condition), Some(blocked));
        let audit = Blocked::of(&[("main".into(), refusals(1, false))]).unwrap().condition();
        assert_eq!(audit.reason, "WouldBlock");
        let foreign = Condition { message: "{\"version\":2}".into(), ..audit };
        assert_eq!(Blocked::read(&foreign), None);
    }

    #[test]
    fn the_message_is_bounded() {
        let many: Vec<_> =
            (0..100).map(|n| (format!("container-{n}-{}", "x".repeat(40)), refusals(128, true))).collect();
        let condition = Blocked::of(&many).unwrap().condition();
        assert!(condition.message.len() <= MESSAGE, "{} bytes", condition.message.len());
        assert!(!Blocked::read(&condition).unwrap().containers.is_empty());
    }

    #[test]
    fn less_and_less_often() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut written = 0;
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            if pace.may(now) {
                pace.written(now);
                written += 1;
            }
        }
        assert!((140..160).contains(&written), "{written} writes in a day");
        let next_day = start + Duration::from_secs(2 * 86_400);
        pace.written(next_day);
        assert!(pace.may(next_day + WAITS.0) && !pace.may(next_day + Duration::from_secs(1)));
    }
}
