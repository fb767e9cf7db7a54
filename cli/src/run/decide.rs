//! What holds for a program on this machine: the same grammar, floor and decision as for a container.

use std::collections::BTreeMap;
use std::ffi::OsString;

use rustix::process::{getgid, getuid};
use rustix::thread::{CapabilitySet, capabilities};
use serde_json::json;
use zerocap_annotations::knob::Knob;
use zerocap_annotations::{
    Confinement, EngineTraits, Floor, PodPolicy, Target, ZcError, code, confine, grammar, quote,
};
use zerocap_handover::Sight;

use super::args::{Policy, User};
use super::failed;
use crate::failure::Failure;
use crate::{explain, this_host};

/// The prefix of every annotation but one.
const PREFIX: &str = "zerocap.io/";
/// The one, which is also the default.
const MODE: (&str, &str) = ("network-enforcement", "platform");

/// What was decided for one start.
pub struct Decision {
    /// The annotations that decided, with the default.
    pub annotations: BTreeMap<String, String>,
    pub confinement: Confinement,
    /// The port on loopback that may be reached.
    pub proxy_port: u16,
    /// Whether this process may empty the bounding set.
    pub privileged: bool,
    /// Another user to become.
    pub user: Option<User>,
    /// What of the parked launcher this process can see.
    pub sight: Sight,
}

impl Decision {
    /// Decides for a program.
    pub fn of(policy: &Policy, command: &[OsString]) -> Result<Self, Failure> {
        let annotations = annotations(&policy.annotation)?;
        let floor = match &policy.floor {
            Some(path) => explain::given_floor(path)?,
            None => Floor::none(),
        };
        let can = capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
        let user = policy.user.filter(|user| (user.uid, user.gid) != (getuid().as_raw(), getgid().as_raw()));
        if user.is_some() && !can.contains(CapabilitySet::SETUID | CapabilitySet::SETGID) {
            let message = "--user names another user, which takes root (CAP_SETUID and CAP_SETGID)";
            return Err(failed(ZcError::new(code::node::RUN_USER, message, "leave --user out, or run it as root")));
        }
        let privileged = can.contains(CapabilitySet::SETPCAP);
        let uid = user.map_or(getuid().as_raw(), |user| user.uid);
        let args: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let spec = json!({ "process": { "args": args, "user": { "uid": uid } }, "linux": {} });
        let host = this_host::abilities()?.host(no_engine(), "", "").map_err(failed)?;
        let decide = || -> Result<(Confinement, u16), ZcError> {
            let policy = PodPolicy::new(&annotations, &floor)?.container("", &annotations)?;
            Ok((confine(&spec, Target::Machine { privileged }, &policy, &host)?, policy.proxy_port()))
        };
        let (confinement, proxy_port) = decide().map_err(failed)?;
        if confinement.plan.is_none() {
            return Err(failed(ZcError::new(
                code::node::RUN_NOTHING,
                "the annotations ask for nothing, so the program would run as if without zerocap",
                "leave network-enforcement=cluster out, or start the program without zerocap",
            )));
        }
        let sight = if can.contains(CapabilitySet::SYS_PTRACE) { Sight::Full } else { Sight::Public };
        Ok(Self { annotations, confinement, proxy_port, privileged, user, sight })
    }

    /// Whether platform mode holds, so that there is nothing to keep of capabilities and core dumps.
    pub fn platform(&self) -> bool {
        self.confinement.expect.caps_zero
    }
}

/// Nothing but the launcher.
fn no_engine() -> EngineTraits {
    EngineTraits { name: "none".into(), seccomp_on_exec: true, calls_after_seccomp: Vec::new() }
}

/// The annotations of the command line. In a pod foreign keys are none of our business; here each was meant for us.
fn annotations(given: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for (key, value) in given {
        if let Some(instead) = wrong_key(key) {
            let message = format!("{} is no annotation of a program on this machine", quote(key));
            return Err(failed(ZcError::new(code::annotation::UNKNOWN_KNOB, message, instead)));
        }
        if all.insert(key.clone(), value.clone()).is_some() {
            let message = format!("annotation {} is given twice", quote(key));
            return Err(failed(ZcError::new(code::annotation::CONFLICTING_SPELLINGS, message, "keep one of the two")));
        }
    }
    if !all.contains_key(MODE.0) && !all.contains_key(&format!("{PREFIX}{}", MODE.0)) {
        all.insert(MODE.0.to_owned(), MODE.1.to_owned());
    }
    Ok(all)
}

/// What to write instead of a key that cannot mean anything here.
fn wrong_key(key: &str) -> Option<String> {
    if !grammar::is_ours(key) {
        let knob = key.rsplit('/').next().and_then(Knob::from_name);
        return Some(match knob {
            Some(knob) => format!("write {PREFIX}{knob}"),
            None => "see the table of annotations in README.md".to_owned(),
        });
    }
    // Exceptions are for the containers of a pod. Other misspellings are the grammar's to explain.
    let (knob, _) = key.split_once(".zerocap.io/")?;
    Knob::from_name(knob).map(|knob| format!("there are no containers to except: write {PREFIX}{knob}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let given: Vec<_> = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        annotations(&given).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn platform_mode_is_the_default() {
        let mode = |given| read(given).unwrap().remove("network-enforcement");
        assert_eq!(mode(&[]).as_deref(), Some("platform"));
        assert_eq!(mode(&[("zerocap.io/unix", "none")]).as_deref(), Some("platform"));
        assert_eq!(mode(&[("network-enforcement", "cluster")]).as_deref(), Some("cluster"));
        assert_eq!(mode(&[("zerocap.io/network-enforcement", "cluster")]), None);
    }

    #[test]
    fn no_key_is_passed_over_in_silence() {
        for (key, instead) in [
            ("seccomp", "write zerocap.io/seccomp"),
            ("example.com/unix", "write zerocap.io/unix"),
            ("unix.zerocap.io/app", "write zerocap.io/unix"),
            ("colour", "README.md"),
        ] {
            let error = read(&[(key, "x")]).unwrap_err();
            assert!(error.contains(instead), "{error}");
        }
        assert!(read(&[("zerocap.io/unix", "any"), ("zerocap.io/unix", "none")]).is_err());
    }
}
