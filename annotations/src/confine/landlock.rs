//! The Landlock ruleset.

mod bits;
mod files;

use std::collections::BTreeSet;

pub(super) use bits::{fs, net, scope};
use zerocap_plan::{Landlock, PathRule, PortRule};

use super::Target;
use super::facts::Facts;
use super::packets::PacketRules;
use crate::host::Host;
use crate::knob::{Listen, Transport, Unix};
use crate::policy::Policy;

/// Where the responder is asked.
const DNS: u16 = 53;
/// More ports than this are left to the packet fence: Landlock takes a rule for each.
const MAX_CONNECT_PORTS: usize = 64;

/// A ruleset, and the connect that it must refuse.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compiled {
    pub ruleset: Landlock,
    pub forbidden_connect: Option<u16>,
}

/// What of the policy Landlock can keep on this host; `None` where that is nothing.
pub(super) fn compile(
    policy: &Policy,
    host: &Host,
    facts: &Facts<'_>,
    target: Target<'_>,
    packets: Option<&PacketRules>,
) -> Option<Compiled> {
    let mut ruleset = Landlock::default();
    let connect = connect_ports(policy, packets);
    ports(policy, host, connect.as_ref(), &mut ruleset);
    scopes(policy, host, facts, target, &mut ruleset);
    files::compile(policy, host, facts, &mut ruleset);
    domain(policy, host, &mut ruleset);
    if is_empty(&ruleset) {
        return None;
    }
    let tests_connect = ruleset.handled_net & net::CONNECT_TCP != 0;
    let forbidden = connect.and_then(|permitted| (1..=u16::MAX).find(|port| !permitted.contains(port)));
    Some(Compiled { ruleset, forbidden_connect: forbidden.filter(|_| tests_connect) })
}

/// The ports that may be connected to on some address: the proxy's, and those that the packet fence permits on the addresses
/// that it permits them for. `None` where they are too many for a second layer, or where the fence only watches. Without a packet fence nothing but the proxy's:
/// Landlock would open a port on every address.
fn connect_ports(policy: &Policy, packets: Option<&PacketRules>) -> Option<BTreeSet<u16>> {
    if packets.is_some_and(|rules| rules.audit) {
        return None;
    }
    let mut ports = BTreeSet::from([policy.proxy_port()]);
    let rules = packets.iter();
    let listed = rules.clone().flat_map(|rules| &rules.allow).map(|allow| (allow.transport, allow.ports));
    let named = rules.clone().flat_map(|rules| &rules.names).map(|named| (named.transport, named.ports));
    let responder = rules.filter(|rules| !rules.names.is_empty()).map(|_| (Transport::Tcp, (DNS, DNS)));
    let all = listed.chain(named).chain(responder).filter(|(transport, _)| *transport == Transport::Tcp);
    for (_, (first, last)) in all {
        if usize::from(last - first) >= MAX_CONNECT_PORTS {
            return None;
        }
        ports.extend(first..=last);
    }
    Some(ports).filter(|ports| ports.len() <= MAX_CONNECT_PORTS)
}

/// TCP: connect to these ports, bind to the ports of `listen`. Landlock knows ports only, not addresses.
fn ports(policy: &Policy, host: &Host, connect: Option<&BTreeSet<u16>>, ruleset: &mut Landlock) {
    if !policy.platform() {
        return;
    }
    ruleset.handled_net = host.landlock.net & (net::BIND_TCP | net::CONNECT_TCP);
    let mut rules: Vec<PortRule> = match connect {
        Some(ports) => ports.iter().map(|port| PortRule { port: *port, access: net::CONNECT_TCP }).collect(),
        None => {
            ruleset.handled_net &= !net::CONNECT_TCP;
            Vec::new()
        }
    };
    match policy.listen() {
        Listen::Any => ruleset.handled_net &= !net::BIND_TCP,
        Listen::Ports(ports) => rules.extend(ports.iter().map(|port| PortRule { port: *port, access: net::BIND_TCP })),
    }
    rules.retain(|rule| rule.access & ruleset.handled_net != 0);
    ruleset.ports = rules;
}

/// Abstract unix sockets always. Signals: init never needs to reach a process outside its domain. An exec does
/// (`kill -TERM 1` in a preStop hook), so there the scope is left out unless other containers' processes are in reach.
fn scopes(policy: &Policy, host: &Host, facts: &Facts<'_>, target: Target<'_>, ruleset: &mut Landlock) {
    if policy.unix() != Unix::Any {
        ruleset.scoped |= scope::ABSTRACT_UNIX_SOCKET;
        // Without a rule, the sockets of this very domain only.
        ruleset.handled_fs |= host.landlock.fs & fs::RESOLVE_UNIX;
    }
    if policy.platform() && (target == Target::Init || !facts.own_pid()) {
        ruleset.scoped |= scope::SIGNAL;
    }
    ruleset.scoped &= host.landlock.scoped;
}

/// Processes of a domain cannot trace what is outside it, nor read its memory and open files in /proc. Where the kernel has none of the
/// rights above, one that is granted everywhere makes a domain all the same. REFER is the one: with ABI 1, which lacks it, every domain
/// would refuse to move files between directories.
fn domain(policy: &Policy, host: &Host, ruleset: &mut Landlock) {
    if policy.platform() && is_empty(ruleset) && host.landlock.fs & fs::REFER != 0 {
        ruleset.handled_fs = fs::REFER;
        ruleset.paths.push(rule("/", fs::REFER));
    }
}

fn is_empty(ruleset: &Landlock) -> bool {
    ruleset.handled_fs | ruleset.handled_net | ruleset.scoped == 0
}

fn rule(path: &str, access: u64) -> PathRule {
    PathRule { path: path.as_bytes().to_vec(), access, missing: zerocap_plan::Missing::Skip }
}
