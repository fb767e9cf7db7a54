//! The Landlock ruleset.

mod bits;
mod files;

pub(super) use bits::{fs, net, scope};
use zerocap_plan::{Landlock, PathRule, PortRule};

use super::Target;
use super::facts::Facts;
use crate::host::Host;
use crate::knob::{Listen, Unix};
use crate::policy::Policy;

/// A ruleset, and the connect that it must refuse.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compiled {
    pub ruleset: Landlock,
    pub forbidden_connect: Option<u16>,
}

/// What of the policy Landlock can keep on this host; `None` where that is nothing.
pub(super) fn compile(policy: &Policy, host: &Host, facts: &Facts<'_>, target: Target<'_>) -> Option<Compiled> {
    let mut ruleset = Landlock::default();
    ports(policy, host, &mut ruleset);
    scopes(policy, host, facts, target, &mut ruleset);
    files::compile(policy, host, facts, &mut ruleset);
    if ruleset.handled_fs | ruleset.handled_net | ruleset.scoped == 0 {
        return None;
    }
    let tests_connect = ruleset.handled_net & net::CONNECT_TCP != 0;
    let forbidden = if policy.proxy_port() == 1 { 2 } else { 1 };
    Some(Compiled { ruleset, forbidden_connect: tests_connect.then_some(forbidden) })
}

/// TCP: connect to the proxy's port, bind to the ports of `listen`. Landlock knows ports only, not addresses.
fn ports(policy: &Policy, host: &Host, ruleset: &mut Landlock) {
    if !policy.platform() {
        return;
    }
    ruleset.handled_net = host.landlock.net & (net::BIND_TCP | net::CONNECT_TCP);
    let mut rules = vec![PortRule { port: policy.proxy_port(), access: net::CONNECT_TCP }];
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

fn rule(path: &str, access: u64) -> PathRule {
    PathRule { path: path.as_bytes().to_vec(), access, missing: zerocap_plan::Missing::Skip }
}
