//! Runs attacks in a pod and gathers the verdicts.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use crate::attack::observer::{Mac, Observer};
use crate::attack::table::{NEIGHBOUR, SHARED, World};
use crate::pod::{Container, Pod, Profile};
use crate::verdict::{Outcome, fail};
use crate::{Node, ensure, netns};

/// Where attacks look for a listener: each has a port of its own, so that a late packet of one is not taken for another's.
static NEXT_PORT: AtomicU16 = AtomicU16::new(15_000);
/// The node, as pods reach it.
const HOST4: &str = "10.88.0.1";
const HOST6: &str = "fd00:88::1";
/// A frame may arrive a little after the program that sent it has ended.
const SETTLE: Duration = Duration::from_millis(150);

/// What became of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It got through: by its own account, or the observer saw its packets.
    Succeeded(String),
    /// It was refused, by errno.
    Refused(String),
    /// What it needs first failed, so it says nothing about itself.
    Unprepared(String),
    /// Its process was ended.
    Ended(String),
}

impl Verdict {
    /// Reads a line of the attack program.
    fn parse(line: &str) -> Option<(String, Self)> {
        let mut words = line.splitn(3, ' ');
        let (name, kind, rest) = (words.next()?, words.next()?, words.next().unwrap_or_default().to_owned());
        let verdict = match kind {
            "SUCCEEDED" => Self::Succeeded(rest),
            "REFUSED" => Self::Refused(rest),
            "UNPREPARED" => Self::Unprepared(rest),
            "ENDED" => Self::Ended(rest),
            _ => return None,
        };
        Some((name.to_owned(), verdict))
    }

    /// Whether the attacker has what it wanted.
    pub fn succeeded(&self) -> bool {
        matches!(self, Self::Succeeded(_))
    }

    /// Whether the attack itself was not reached: what it needs first failed, or it gave up without a verdict of its own.
    pub fn says_nothing(&self) -> bool {
        match self {
            Self::Unprepared(_) => true,
            Self::Refused(why) => why.starts_with("0 "),
            Self::Succeeded(_) | Self::Ended(_) => false,
        }
    }

    /// Whether the kernel lacks what the attack needs, where nothing else can have refused it.
    pub fn absent(&self) -> bool {
        let (Self::Refused(why) | Self::Unprepared(why)) = self else { return false };
        let mut words = why.split(' ');
        let (errno, call) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // A missing file is our mistake, a missing protocol behind an option is the kernel's.
        if errno == "ENOENT" {
            return call == "setsockopt";
        }
        ["ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "ENODEV", "ENOPROTOOPT", "EOPNOTSUPP", "EIO"]
            .contains(&errno)
    }
}

/// Verdicts by attack.
pub type Verdicts = BTreeMap<String, Verdict>;

/// Runs attacks by exec in a fresh pod of that handler; ours are asked for platform mode.
pub fn by_exec(
    node: &Node,
    handler: &str,
    world: World,
    profile: Profile,
    names: &[&str],
) -> Result<Verdicts, Outcome> {
    let pod = world.pod(node, handler).profile(profile).start()?;
    let _neighbour = neighbour(&pod, world)?;
    let attacker = world.container(&pod)?.command(&["sleep", "100000"]).start()?;
    in_container(node, &pod, &attacker, world, names)
}

/// Runs attacks by exec in a container that was made from the attack image.
pub fn in_container(
    node: &Node,
    pod: &Pod<'_>,
    attacker: &Container<'_>,
    world: World,
    names: &[&str],
) -> Result<Verdicts, Outcome> {
    let range = Range::open(node, pod, names)?;
    let arguments = arguments(attacker, world, &range)?;
    let command: Vec<&str> =
        std::iter::once("/attacks").chain(arguments.iter().map(String::as_str)).chain(names.iter().copied()).collect();
    let output = attacker.exec(&command)?;
    range.judge(&output.stdout, names)
}

/// Runs attacks as a container's init process.
pub fn by_init(node: &Node, handler: &str, world: World, names: &[&str]) -> Result<Verdicts, Outcome> {
    let pod = world.pod(node, handler).start()?;
    let _neighbour = neighbour(&pod, world)?;
    let range = Range::open(node, &pod, names)?;
    let arguments = range.arguments();
    let command: Vec<&str> =
        std::iter::once("/attacks").chain(arguments.iter().map(String::as_str)).chain(names.iter().copied()).collect();
    let attacker = world.container(&pod)?.command(&command).start()?;
    attacker.wait(Duration::from_secs(60))?;
    range.judge(&attacker.log()?, names)
}

/// The container that offers what [`World::Network`]'s attackers reach for.
pub fn neighbour<'p>(pod: &'p Pod<'_>, world: World) -> Result<Option<Container<'p>>, Outcome> {
    if !world.has_neighbour() {
        return Ok(None);
    }
    let container = pod.container(NEIGHBOUR).image("attacks").mount(&pod.volume(SHARED)?, "/shared", false);
    let container = container.command(&["/attacks", "neighbour"]).start()?;
    for _ in 0..3000 {
        let log = container.log().unwrap_or_default();
        if log.contains("ready") {
            // One that offers less would make refusals out of nothing.
            ensure!(log.contains("lacks 0"), "the neighbour could not make all that is to be reached for: {log}");
            return Ok(Some(container));
        }
        thread::sleep(Duration::from_millis(10));
    }
    fail("the neighbour does not get ready")
}

fn arguments(attacker: &Container<'_>, world: World, range: &Range) -> Result<Vec<String>, Outcome> {
    let mut arguments = range.arguments();
    if world == World::Neighbour {
        // The neighbour is found as an attacker finds it: by looking around.
        let find = "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline 2>/dev/null) in '/attacks neighbour'*) echo ${p#/proc/};; esac; done";
        let found = attacker.sh(find)?.stdout;
        // A neighbour that is not found would make refusals out of nothing.
        let Some(pid) = found.lines().next() else { return fail("the attacker does not find its neighbour") };
        arguments.push(format!("neighbour={pid}"));
    }
    Ok(arguments)
}

/// A listener for each attack, on the node and on the pod's loopback, and an observer between.
struct Range {
    first: u16,
    token: String,
    /// The pod's interface.
    mac: Mac,
    observer: Observer,
    _listeners: Vec<TcpListener>,
}

impl Range {
    fn open(node: &Node, pod: &Pod<'_>, names: &[&str]) -> io::Result<Self> {
        let count = u16::try_from(names.len()).map_err(io::Error::other)?;
        let first = NEXT_PORT.fetch_add(count, Ordering::Relaxed);
        let here = pod.netns().map_err(io::Error::other)?;
        let mut listeners = Vec::new();
        for namespace in [node.netns(), here.clone()] {
            listeners.extend(netns::within(&namespace, || {
                (first..first + count).map(|port| TcpListener::bind(("::", port))).collect::<io::Result<Vec<_>>>()
            })?);
        }
        for address in ["127.0.0.1:3128", "[::1]:3128"] {
            listeners.push(netns::within(&here, || TcpListener::bind(address))?);
        }
        proxy_port_of_the_node(node)?;
        let (token, mac) = (format!("zc{first}"), pod.mac()?);
        Ok(Self { first, token, mac, observer: Observer::start(node)?, _listeners: listeners })
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            format!("port={}", self.first),
            format!("token={}", self.token),
            format!("host4={HOST4}"),
            format!("host6={HOST6}"),
            "dir=/home/folder".to_owned(),
            "file=/home/folder/own".to_owned(),
            "other=/home/other".to_owned(),
        ]
    }

    fn judge(&self, output: &str, names: &[&str]) -> Result<Verdicts, Outcome> {
        thread::sleep(SETTLE);
        let mut verdicts: Verdicts = output.lines().filter_map(Verdict::parse).collect();
        for (port, &name) in (self.first..).zip(names) {
            let Some(verdict) = verdicts.get_mut(name) else {
                return crate::verdict::fail(format!("{name} gave no verdict; output: {output}"));
            };
            let seen = self.observer.saw_payload(&format!("{}-{name}.", self.token))
                || self.observer.saw_port(port, Some(self.mac));
            if seen && !verdict.succeeded() {
                *verdict = Verdict::Succeeded(format!("its packets left the pod, though it says {verdict:?}"));
            }
        }
        Ok(verdicts)
    }
}

/// A listener on the proxy's port where no proxy should be looked for; runs share it.
fn proxy_port_of_the_node(node: &Node) -> io::Result<()> {
    static LISTENER: Mutex<Option<TcpListener>> = Mutex::new(None);
    let mut listener = LISTENER.lock().map_err(|_| io::Error::other("a run panicked"))?;
    if listener.is_none() {
        *listener = Some(netns::within(&node.netns(), || TcpListener::bind(("::", 3128)))?);
    }
    Ok(())
}
