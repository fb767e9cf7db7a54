//! One layer of knob values: what an annotation set, a section of the floor file or a policy says, and no more.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{
    Absent, Egress, FdAllow, FdOpen, Filesystem, Knob, KnobValue, Listen, Malformed, Mode, NetworkEnforcement, Paths,
    PolicyName, Presets, ProxyPort, Require, SyscallsAllowed, SyscallsDenied, Unix,
};

/// Defines the struct with one optional field per knob, and what is done with a knob that is known by name only.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $value:ty = $knob:ident,)*) => {
        /// A value, or nothing, for every knob.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct Settings {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$value>,)*
        }

        impl Settings {
            /// Parses and sets one knob. Blanks around the value do not count.
            pub(crate) fn set(&mut self, knob: Knob, text: &str) -> Result<(), Malformed> {
                match knob {
                    $(Knob::$knob => self.$field = Some(<$value as KnobValue>::parse(text.trim())?),)*
                }
                Ok(())
            }

            /// Whether the knob has a value here.
            pub fn has(&self, knob: Knob) -> bool {
                match knob { $(Knob::$knob => self.$field.is_some(),)* }
            }

            /// The knob's value as an annotation would write it.
            pub fn text(&self, knob: Knob) -> Option<String> {
                match knob { $(Knob::$knob => self.$field.as_ref().map(ToString::to_string),)* }
            }

            /// Takes over the other layer's value of one knob, absence included.
            pub(crate) fn copy(&mut self, knob: Knob, from: &Self) {
                match knob { $(Knob::$knob => self.$field.clone_from(&from.$field),)* }
            }

            /// `Greater`: this layer's value of the knob is stricter than the other's. `None`: they cannot be compared.
            pub(crate) fn compare(&self, knob: Knob, other: &Self) -> Option<Ordering> {
                match knob { $(Knob::$knob => compare(self.$field.as_ref(), other.$field.as_ref()),)* }
            }

            /// Whether this version enforces the knob's value (nothing to enforce where it has none).
            pub(crate) fn enforced(&self, knob: Knob) -> bool {
                match knob { $(Knob::$knob => self.$field.as_ref().is_none_or(KnobValue::enforced),)* }
            }
        }
    };
}

fn compare<T: KnobValue>(a: Option<&T>, b: Option<&T>) -> Option<Ordering> {
    let absent = match T::ABSENT {
        Absent::Loosest => Ordering::Less,
        Absent::Strictest => Ordering::Greater,
    };
    match (a, b) {
        (None, None) => Some(Ordering::Equal),
        (None, Some(_)) => Some(absent),
        (Some(_), None) => Some(absent.reverse()),
        (Some(a), Some(b)) => a.compare(b),
    }
}

settings! {
    /// Who confines the network.
    network_enforcement: NetworkEnforcement = NetworkEnforcement,
    /// The loopback port of the proxy.
    proxy_port: ProxyPort = ProxyPort,
    /// Destinations beside the proxy.
    egress: Egress = Egress,
    /// Ports to bind and listen on.
    listen: Listen = Listen,
    /// Seccomp presets.
    seccomp: Presets = Seccomp,
    /// System calls to refuse.
    seccomp_deny: SyscallsDenied = SeccompDeny,
    /// System calls to re-admit.
    seccomp_allow: SyscallsAllowed = SeccompAllow,
    /// What may be written.
    filesystem: Filesystem = Filesystem,
    /// The only paths that may be read.
    fs_read: Paths = FsRead,
    /// The only paths that may be written.
    fs_write: Paths = FsWrite,
    /// The only paths that may be executed.
    fs_execute: Paths = FsExecute,
    /// Which unix sockets may be reached.
    unix: Unix = Unix,
    /// Files opened for the workload.
    fd_open: FdOpen = FdOpen,
    /// Descriptors that the workload may use.
    fd_allow: FdAllow = FdAllow,
    /// Promises that must be kept.
    require: Require = Require,
    /// Enforce, audit or record.
    mode: Mode = Mode,
    /// A policy of the floor file.
    policy: PolicyName = Policy,
}

impl Settings {
    /// The knobs that have a value here.
    pub fn knobs(&self) -> impl Iterator<Item = Knob> {
        Knob::ALL.into_iter().filter(|knob| self.has(*knob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that every knob accepts.
    fn sample(knob: Knob) -> &'static str {
        match knob {
            Knob::NetworkEnforcement => "platform",
            Knob::ProxyPort => "3129",
            Knob::Egress => "example.com:443",
            Knob::Listen => "8080",
            Knob::Seccomp => "general",
            Knob::SeccompDeny | Knob::SeccompAllow => "ptrace",
            Knob::Filesystem => "read-only",
            Knob::FsRead | Knob::FsWrite | Knob::FsExecute => "/data",
            Knob::Unix => "none",
            Knob::FdOpen => "7=/data:ro",
            Knob::FdAllow => "0-2",
            Knob::Require => "egress",
            Knob::Mode => "enforce",
            Knob::Policy => "web",
        }
    }

    #[test]
    fn each_knob_sets_its_own_field_and_comes_back_as_written() {
        for knob in Knob::ALL {
            let mut settings = Settings::default();
            assert_eq!(settings.set(knob, &format!(" {} ", sample(knob))), Ok(()), "{knob}");
            assert_eq!(settings.knobs().collect::<Vec<_>>(), [knob]);
            assert_eq!(
                settings.text(knob).as_deref().map(|t| t.trim_start_matches("tcp://")),
                Some(sample(knob)),
                "{knob}"
            );
            let json = serde_json::to_value(&settings).unwrap_or_default();
            assert_eq!(json.as_object().map(|o| o.keys().cloned().collect()), Some(vec![knob.name().to_owned()]));
            assert_eq!(serde_json::from_value::<Settings>(json).ok().as_ref(), Some(&settings));
            let mut copied = Settings::default();
            copied.copy(knob, &settings);
            assert_eq!(copied, settings);
        }
    }

    #[test]
    fn absence_is_loose_but_for_what_permits() {
        for knob in Knob::ALL {
            let mut written = Settings::default();
            assert_eq!(written.set(knob, sample(knob)), Ok(()));
            let permits = matches!(knob, Knob::SeccompAllow | Knob::Egress | Knob::FdOpen);
            let expected = if permits { Ordering::Greater } else { Ordering::Less };
            assert_eq!(Settings::default().compare(knob, &written), Some(expected), "{knob}");
            assert_eq!(written.compare(knob, &written), Some(Ordering::Equal), "{knob}");
        }
    }
}
