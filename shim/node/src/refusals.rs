//! What a container's packet fence refused: `refusals.json` in its state directory.
//!
//! The shim is the one reader of the fence's ring. It keeps what is *distinct* here, where `zerocap egress` and the node's other tools
//! look: the same hook and destination is one entry, however often and by whomever it was tried. The size is bounded whatever a workload
//! does. How often everything was refused in total stands in the fence's counters, not here: a full ring loses records.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zerocap_annotations::knob::Knob;
use zerocap_fence::{Hook, Refusal};

/// Version of [`Refusals`].
pub const VERSION: u32 = 1;

/// Most entries that are kept; the one not seen for longest makes room.
pub const MAX_DISTINCT: usize = 128;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What one container's fence refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusals {
    /// Version of this form, [`VERSION`].
    pub version: u32,
    /// The pod.
    pub pod: Pod,
    /// The container's name in its pod; empty outside Kubernetes.
    pub container: String,
    /// `mode: audit`: what goes out is let through.
    pub audit: bool,
    /// What is distinct, the one that was seen last at the end.
    pub distinct: Vec<Distinct>,
    /// How many entries had to make room.
    pub forgotten: u64,
}

/// Whose container it is; empty strings outside Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pod {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's UID.
    pub uid: String,
}

/// One hook and destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distinct {
    /// Where it was refused.
    pub hook: Hook,
    /// What was asked for: `tcp://ADDRESS:PORT`, `udp://ADDRESS:PORT`, or words where it is no destination.
    pub destination: String,
    /// Whether it was refused; under audit, what goes out is not.
    pub refused: bool,
    /// What of the policy refuses it.
    pub rule: Rule,
    /// What would permit it; absent where no annotation can.
    pub permit: Option<Permit>,
    /// How often it was read from the ring, which loses records when it is full: at least so often it was refused.
    pub times: u64,
    /// When it was first refused: RFC 3339, UTC.
    pub first: String,
    /// When it was last refused.
    pub last: String,
    /// What the last thread called itself: printable ASCII, everything else escaped as `\xNN`. Its own choice, no proof of anything.
    pub process: String,
    /// That thread's process on the node; absent where the hook cannot know it.
    pub pid: Option<u32>,
}

/// What refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No entry of `egress` names the destination, and it is not the proxy.
    Egress,
    /// `listen` does not name the port.
    Listen,
    /// Only TCP and UDP sockets are to be had, without options that redirect packets.
    Protocols,
}

impl Rule {
    /// The knob, or the promise where no knob permits it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Listen => "listen",
            Self::Protocols => "protocols",
        }
    }

    /// In a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Egress => "egress does not name it",
            Self::Listen => "listen does not name it",
            Self::Protocols => "TCP and UDP only, without options that redirect packets",
        }
    }
}

/// An entry of an annotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Permit {
    /// The knob, `egress` or `listen`.
    pub knob: Knob,
    /// What to add to its list.
    pub entry: String,
}

impl Refusals {
    /// Nothing yet.
    pub fn new(pod: Pod, container: String, audit: bool) -> Self {
        Self { version: VERSION, pod, container, audit, distinct: Vec::new(), forgotten: 0 }
    }

    /// What was refused first by each rule.
    pub fn firsts(&self) -> impl Iterator<Item = &Distinct> {
        [Rule::Egress, Rule::Listen, Rule::Protocols]
            .into_iter()
            .filter_map(|rule| self.distinct.iter().filter(|it| it.rule == rule).min_by(|a, b| a.first.cmp(&b.first)))
    }

    /// Takes one in, which happened `at`. Returns it if it is a new one.
    pub fn add(&mut self, refusal: &Refusal, at: String) -> Option<&Distinct> {
        let destination = destination_of(refusal);
        let known = self.distinct.iter().position(|it| it.hook == refusal.hook && it.destination == destination);
        let entry = match known {
            Some(place) => {
                let mut entry = self.distinct.remove(place);
                entry.times += 1;
                entry.last = at;
                entry.process = printable(&refusal.comm);
                entry.pid = refusal.pid;
                entry
            }
            None => {
                if self.distinct.len() >= MAX_DISTINCT {
                    self.distinct.remove(0);
                    self.forgotten += 1;
                }
                Distinct {
                    hook: refusal.hook,
                    destination,
                    refused: !(self.audit && matches!(refusal.hook, Hook::Connect | Hook::Send)),
                    rule: rule_of(refusal.hook),
                    permit: permit_of(refusal),
                    times: 1,
                    first: at.clone(),
                    last: at,
                    process: printable(&refusal.comm),
                    pid: refusal.pid,
                }
            }
        };
        self.distinct.push(entry);
        self.distinct.last().filter(|_| known.is_none())
    }
}

/// `tcp://10.0.0.1:443`: how a destination is written everywhere. Other protocols have their number.
pub fn destination(protocol: u8, address: IpAddr, port: u16) -> String {
    let address = SocketAddr::new(address.to_canonical(), port);
    match protocol {
        TCP => format!("tcp://{address}"),
        UDP => format!("udp://{address}"),
        other => format!("protocol {other} to {address}"),
    }
}

/// The entry of `egress` that names a destination and nothing else; `None` where it can have none.
pub fn egress_entry(protocol: u8, address: IpAddr, port: u16) -> Option<String> {
    // Port 0 is nobody's, and the unspecified address is loopback before it is judged.
    let address =
        Some(SocketAddr::new(address.to_canonical(), port)).filter(|it| port != 0 && !it.ip().is_unspecified())?;
    match protocol {
        TCP => Some(address.to_string()),
        UDP => Some(format!("udp://{address}")),
        _ => None,
    }
}

/// Bytes that a process chose, as printable ASCII.
pub fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn destination_of(refusal: &Refusal) -> String {
    let Refusal { address, port, protocol, .. } = *refusal;
    let words = address.to_bits();
    let (first, second) = ((words >> 96) as u32, (words >> 64) as u32);
    match refusal.hook {
        Hook::Connect | Hook::Send | Hook::PacketOut | Hook::Bind => destination(protocol, address.into(), port),
        Hook::PacketIn => {
            let to = if protocol == UDP { "udp" } else { "tcp" };
            format!("from {} to {to} port {port}", address.to_canonical())
        }
        Hook::Socket => format!("a socket of type {first} and protocol {protocol}"),
        Hook::Option => format!("option {second} of level {first}"),
    }
}

const fn rule_of(hook: Hook) -> Rule {
    match hook {
        Hook::Connect | Hook::Send | Hook::PacketOut => Rule::Egress,
        Hook::Bind | Hook::PacketIn => Rule::Listen,
        Hook::Socket | Hook::Option => Rule::Protocols,
    }
}

fn permit_of(refusal: &Refusal) -> Option<Permit> {
    let Refusal { address, port, protocol, .. } = *refusal;
    match refusal.hook {
        Hook::Connect | Hook::Send => {
            egress_entry(protocol, address.into(), port).map(|entry| Permit { knob: Knob::Egress, entry })
        }
        Hook::Bind | Hook::PacketIn if port != 0 => Some(Permit { knob: Knob::Listen, entry: port.to_string() }),
        _ => None,
    }
}

/// What the fence's clock, which counts since boot, is in everybody's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    boot: Duration,
    wall: SystemTime,
}

impl Clock {
    /// Both clocks, now.
    pub fn now() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        let boot = Duration::new(boot.tv_sec.unsigned_abs(), u32::try_from(boot.tv_nsec).unwrap_or(0));
        Self { boot, wall: SystemTime::now() }
    }

    /// The time at which it was read.
    pub fn text(&self) -> String {
        rfc3339(self.wall)
    }

    /// A time in nanoseconds since boot, as RFC 3339 in UTC, to the millisecond.
    pub fn at(&self, since_boot: u64) -> String {
        let then = Duration::from_nanos(since_boot);
        let wall = match self.boot.checked_sub(then) {
            Some(ago) => self.wall.checked_sub(ago),
            None => self.wall.checked_add(then - self.boot),
        };
        rfc3339(wall.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// How long until a time in nanoseconds since boot; `None` where it is over.
    pub fn until(&self, since_boot: u64) -> Option<Duration> {
        Duration::from_nanos(since_boot).checked_sub(self.boot)
    }
}

fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time).truncate_to_millisecond().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn refusal(hook: Hook, address: &str, port: u16, comm: &[u8]) -> Refusal {
        let address = match address.parse::<IpAddr>().expect("an address") {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Refusal { at: 0, pid: Some(7), comm: comm.to_vec(), hook, address, port, protocol: TCP, device: 0 }
    }

    fn empty(audit: bool) -> Refusals {
        Refusals::new(Pod::default(), "app".into(), audit)
    }

    #[test]
    fn the_same_is_one_entry_whoever_tries_it() {
        let mut refusals = empty(false);
        assert!(refusals.add(&refusal(Hook::Connect, "10.0.0.1", 443, b"curl"), "1".into()).is_some());
        assert!(refusals.add(&refusal(Hook::Connect, "10.0.0.2", 443, b"curl"), "2".into()).is_some());
        assert!(refusals.add(&refusal(Hook::Connect, "10.0.0.1", 443, b"other"), "3".into()).is_none());
        let [second, first] = refusals.distinct.as_slice() else { panic!("{refusals:?}") };
        assert_eq!((first.times, first.first.as_str(), first.last.as_str()), (2, "1", "3"));
        assert_eq!((first.process.as_str(), first.destination.as_str()), ("other", "tcp://10.0.0.1:443"));
        assert_eq!(second.permit, Some(Permit { knob: Knob::Egress, entry: "10.0.0.2:443".into() }));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut refusals = empty(false);
        for port in 1..=1000 {
            refusals.add(&refusal(Hook::Connect, "10.0.0.1", port, b"x"), String::new());
            // This one is seen again and again, and stays.
            refusals.add(&refusal(Hook::Connect, "10.0.0.9", 9, b"x"), String::new());
        }
        assert_eq!((refusals.distinct.len(), refusals.forgotten), (MAX_DISTINCT, 1001 - MAX_DISTINCT as u64));
        assert!(refusals.distinct.iter().any(|it| it.destination == "tcp://10.0.0.9:9" && it.times == 1000));
        assert!(serde_json::to_vec(&refusals).expect("JSON").len() < 64 * 1024);
    }

    #[test]
    fn the_first_of_each_rule() {
        let mut refusals = empty(false);
        for (at, port) in [("3", 3), ("1", 1), ("2", 2)] {
            refusals.add(&refusal(Hook::Connect, "10.0.0.1", port, b"x"), at.into());
        }
        refusals.add(&refusal(Hook::Bind, "0.0.0.0", 80, b"x"), "4".into());
        let firsts: Vec<_> = refusals.firsts().map(|it| (it.rule.name(), it.destination.as_str())).collect();
        assert_eq!(firsts, [("egress", "tcp://10.0.0.1:1"), ("listen", "tcp://0.0.0.0:80")]);
    }

    #[test]
    fn hostile_names_are_printable() {
        for name in [&b"\x1b[31m\n\"'\\\0"[..], &[0xff; 15], "\u{202e}\u{e9}".as_bytes(), b"a=b level=\"x"] {
            let shown = printable(name);
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
            assert!(!shown.contains("\"") || shown.contains("\\\""), "{shown}");
        }
        assert_eq!(printable(b"python3"), "python3");
    }

    #[test]
    fn each_hook_has_its_words_and_what_would_permit_it() {
        let shown = |hook, address: &str, port| {
            let mut refusals = empty(true);
            let entry = refusals.add(&refusal(hook, address, port, b""), String::new()).expect("it is new").clone();
            let permit = entry.permit.map(|permit| format!("{}: {}", permit.knob, permit.entry));
            (entry.destination, entry.refused, permit)
        };
        let row = |destination: &str, refused, permit: Option<&str>| {
            (destination.to_owned(), refused, permit.map(str::to_owned))
        };
        assert_eq!(shown(Hook::Connect, "fd00::1", 80), row("tcp://[fd00::1]:80", false, Some("egress: [fd00::1]:80")));
        assert_eq!(shown(Hook::Connect, "10.0.0.1", 0), row("tcp://10.0.0.1:0", false, None));
        assert_eq!(shown(Hook::Bind, "0.0.0.0", 80), row("tcp://0.0.0.0:80", true, Some("listen: 80")));
        assert_eq!(
            shown(Hook::PacketIn, "10.0.0.9", 80),
            row("from 10.0.0.9 to tcp port 80", true, Some("listen: 80"))
        );
        assert_eq!(shown(Hook::PacketOut, "10.0.0.9", 80), row("tcp://10.0.0.9:80", true, None));
        let words = Ipv6Addr::new(0, 3, 0, 36, 0, 0, 0, 0).to_string();
        assert_eq!(shown(Hook::Socket, &words, 0), row("a socket of type 3 and protocol 6", true, None));
        assert_eq!(shown(Hook::Option, &words, 0), row("option 36 of level 3", true, None));
    }

    #[test]
    fn times_are_everybodys() {
        let clock = Clock { boot: Duration::from_secs(100), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1000) };
        assert_eq!(clock.at(99_500_000_000), "1970-01-01T00:16:39.5Z");
        assert_eq!(clock.at(101_000_000_000), "1970-01-01T00:16:41Z");
        assert_eq!(clock.until(130_000_000_000), Some(Duration::from_secs(30)));
        assert_eq!(clock.until(70_000_000_000), None);
        assert!(Clock::now().until(0).is_none());
    }
}
