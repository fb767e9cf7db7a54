//! `seccomp-deny` and `seccomp-allow`: the last layer with names taken out and put in.
//!
//! Denied names are a filter of their own, which stands whatever else does. Re-admitted names change the preset's filter,
//! never the pod's own profile: the kernel takes the strictest answer, so nothing comes back that the pod's profile refuses.

use zerocap_plan::Filter;
use zerocap_seccomp::custom::{self, CustomError, General, Readmitted};
use zerocap_seccomp::preset::LastLayer;
use zerocap_seccomp::{Action, Arch, Decision, Syscall, lookup};

use super::layers::filter;
use crate::code;
use crate::error::{ZcError, quote};
use crate::knob::Unix;
use crate::policy::Policy;

/// Calls that `general` refuses, and that the promises of platform mode do without.
const NO_PROMISE: [&str; 6] = ["modify_ldt", "sysfs", "userfaultfd", "fanotify_init", "fanotify_mark", "acct"];
/// Calls that act on other processes or on what is not the container's alone. Landlock and the namespaces still stand, so
/// `neighbours` is partly kept.
const NEIGHBOURS: [&str; 11] = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "process_mrelease",
    "pidfd_getfd",
    "kcmp",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
];

/// The filter of `seccomp-deny`, if there is one.
pub(super) fn denied(policy: &Policy, native: Arch) -> Result<Option<Filter>, ZcError> {
    let Some(names) = &policy.settings().seccomp_deny else { return Ok(None) };
    let program = custom::refusing(native, names.0.iter().map(String::as_str)).map_err(|error| failed(&error))?;
    Ok(Some(filter(&program.insns, &program.cookie, true)))
}

/// The names of `seccomp-allow`.
pub(super) fn allowed(policy: &Policy) -> impl Iterator<Item = &str> {
    policy.settings().seccomp_allow.iter().flat_map(|names| &names.0).map(String::as_str)
}

/// A preset's filter with the names of `seccomp-allow` back in.
pub(super) fn readmitted(layer: &LastLayer, policy: &Policy, native: Arch) -> Result<Filter, ZcError> {
    let general = General::with(layer).map_err(|error| failed(&error))?;
    let calls = allowed(policy).filter_map(lookup).filter(|call| call.number(native).is_some());
    let decisions = calls
        .map(|call| match general.readmits(native, call) {
            Readmitted::AsGeneral(decision) => Ok((call, decision)),
            Readmitted::Refused if may_come_back(call, policy) => Ok((call, Decision::always(Action::Allow))),
            Readmitted::Refused => Err(needed(call)),
        })
        .collect::<Result<Vec<(Syscall, Decision)>, ZcError>>()?;
    let program = custom::changed(native, layer, decisions).map_err(|error| failed(&error))?;
    Ok(filter(&program.insns, &program.cookie, true))
}

/// Whether promises stand without the refusal of a call that `general` refuses altogether.
fn may_come_back(call: Syscall, policy: &Policy) -> bool {
    let promised = policy.platform() || policy.unix() == Unix::None;
    !promised || NO_PROMISE.contains(&call.name()) || NEIGHBOURS.contains(&call.name())
}

/// The re-admitted calls that reach beyond the container's own.
pub(super) fn reach_neighbours(policy: &Policy) -> Vec<&str> {
    allowed(policy).filter(|name| NEIGHBOURS.contains(name)).collect()
}

/// What a reader should know of the two knobs.
pub(super) fn notes(policy: &Policy, notes: &mut Vec<String>) {
    let settings = policy.settings();
    let denied = settings.seccomp_deny.as_ref().map(|names| &names.0);
    if let Some(names) = denied
        && names.contains("execve")
    {
        notes.push(
            "seccomp-deny has execve: the launcher executes the workload by its cookie, and from then on nothing is executed"
                .to_owned(),
        );
    }
    let both: Vec<&str> = allowed(policy).filter(|name| denied.is_some_and(|names| names.contains(*name))).collect();
    if !both.is_empty() {
        notes.push(format!("seccomp-deny and seccomp-allow both have {}: it is refused", both.join(", ")));
    }
    if settings.seccomp_allow.is_some() {
        notes.push(
            "seccomp-allow gives a call back as the preset general has it, with its conditions, and never what the pod's own profile refuses"
                .to_owned(),
        );
    }
}

fn needed(call: Syscall) -> ZcError {
    let hint = match call.name() {
        "listen" | "accept" | "accept4" => "write zerocap.io/listen with the ports".to_owned(),
        name => format!("remove {name}, or leave the network to the cluster: network-enforcement: cluster"),
    };
    ZcError::new(
        code::profile::READMITS,
        format!("seccomp-allow has {}, without whose refusal a promise would not be kept", quote(call.name())),
        hint,
    )
}

fn failed(error: &CustomError) -> ZcError {
    ZcError::new(code::profile::NOT_COMPILABLE, format!("seccomp-deny or seccomp-allow: {error}"), "shorten the lists")
}
