//! The two seccomp layers: `linux.seccomp` narrowed by name, and the filters that the launcher loads.
//!
//! The kernel takes the strictest answer of stacked filters. So wherever the OCI layer had to be widened for the
//! launcher, or is not applied at all, the pod's own profile is compiled and loaded by the launcher instead.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use zerocap_plan::{CookieSite, Filter, Insn};
use zerocap_seccomp::preset::{self, LastLayer};
use zerocap_seccomp::{Action, Arch, Gate, LAUNCHER_CALLS, oci};

use super::packets::PacketRules;
use super::{Target, custom};
use crate::code;
use crate::error::ZcError;
use crate::host::{Host, HostArch};
use crate::knob::{Listen, Unix};
use crate::policy::Policy;
use crate::report::Change;

/// What becomes of seccomp.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layers {
    /// What the launcher loads, in this order: the presets', the denied names', the pod's own profile. Each admits the loading of the next by its
    /// cookie.
    pub filters: Vec<Filter>,
    /// The new `linux.seccomp`, if it changes.
    oci: Option<Value>,
    /// Whether the engine loads a profile for this process.
    oci_loaded: bool,
    /// Names taken away from, and added to, the OCI layer; and those left there only because the engine needs them.
    removed: usize,
    added: Vec<String>,
    left: Vec<String>,
    /// Whether a filter of ours is among `filters`.
    last: bool,
}

impl Layers {
    pub(super) fn of(
        spec: &Value,
        target: Target<'_>,
        policy: &Policy,
        host: &Host,
        packets: Option<&PacketRules>,
    ) -> Result<Self, ZcError> {
        let launcher = target != Target::Sandbox;
        let last = last_layers(policy, packets);
        if last.iter().all(|layer| !layer.preset.keeps_platform()) && policy.unix() == Unix::None {
            return Err(ZcError::new(
                code::profile::NO_BUILTIN,
                "unix: none is kept by a built-in seccomp filter, and the container has none that does",
                "add seccomp: general, or network-enforcement: platform",
            ));
        }
        if last.is_empty() && policy.settings().seccomp_allow.is_some() {
            return Err(ZcError::new(
                code::profile::NO_BUILTIN,
                "seccomp-allow re-admits what a built-in seccomp filter refuses, and the container has none",
                "add seccomp: general, or remove seccomp-allow",
            ));
        }
        let own = spec.pointer("/linux/seccomp").filter(|own| !stands_for_none(own));
        let mut layers = Self {
            filters: Vec::new(),
            oci: None,
            oci_loaded: false,
            removed: 0,
            added: Vec::new(),
            left: Vec::new(),
            last: (!last.is_empty() || policy.settings().seccomp_deny.is_some()) && launcher,
        };
        if own.is_some() || !launcher {
            let mut refused = refused_by_name(&last);
            if launcher {
                refused.retain(|name| !custom::allowed(policy).any(|allowed| allowed == *name));
            }
            // On an exec this layer is the init's, and the engine's needs were met there.
            let engine: BTreeSet<&str> = host.engine.calls_after_seccomp.iter().map(String::as_str).collect();
            let deny = &refused - &engine;
            // Where no launcher loads the pod's own profile nothing may be added: such a container would be looser.
            let add: Vec<&str> = if launcher {
                LAUNCHER_CALLS.iter().copied().chain(engine.iter().copied()).collect()
            } else {
                Vec::new()
            };
            let narrowed = oci::narrow(own.unwrap_or(&Value::Null), &deny, &add).map_err(unreadable)?;
            layers.left = refused.intersection(&engine).map(|name| (*name).to_owned()).collect();
            layers.oci = Some(narrowed.seccomp);
            layers.added = narrowed.added;
            layers.removed = narrowed.removed.len();
            layers.oci_loaded = !matches!(target, Target::Exec { .. }) || host.engine.seccomp_on_exec;
        }
        for layer in last.iter().filter(|_| launcher) {
            layers.filters.push(match policy.settings().seccomp_allow {
                Some(_) => custom::readmitted(layer, policy, native(host.arch))?,
                None => built_in(layer, host.arch)?,
            });
        }
        if launcher {
            layers.filters.extend(custom::denied(policy, native(host.arch))?);
        }
        if let Some(own) = own.filter(|_| launcher && (!layers.added.is_empty() || !layers.oci_loaded)) {
            layers.filters.extend(compiled(own, host.arch)?);
        }
        Ok(layers)
    }

    /// How many filters the parked process has at least.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.filters.len()).unwrap_or(u32::MAX).saturating_add(u32::from(self.oci_loaded))
    }

    /// Whether programs of another ABI are refused.
    pub(super) fn native_abi_only(&self) -> bool {
        self.last
    }

    /// A copy of the spec with the new `linux.seccomp`. The old one, which is most of a spec, is not copied first.
    pub(super) fn write(&mut self, spec: &Value, changes: &mut Vec<Change>) -> Value {
        let (Value::Object(root), Some(oci)) = (spec, self.oci.take()) else { return spec.clone() };
        if self.removed > 0 || !self.added.is_empty() || !self.left.is_empty() {
            changes.push(Change::new("/linux/seccomp", self.described()));
        }
        let linux = |linux: &Map<String, Value>| {
            let others =
                linux.iter().filter(|(key, _)| *key != "seccomp").map(|(key, value)| (key.clone(), value.clone()));
            Value::Object(others.chain([("seccomp".to_owned(), oci)]).collect())
        };
        let mut linux = Some(linux);
        let part = |(key, value): (&String, &Value)| match value {
            Value::Object(map) if key == "linux" => linux.take().map(|linux| (key.clone(), linux(map))),
            _ => Some((key.clone(), value.clone())),
        };
        Value::Object(root.iter().filter_map(part).collect())
    }

    fn described(&self) -> String {
        let mut what = format!("{} calls taken away", self.removed);
        if !self.left.is_empty() {
            what.push_str(&format!(
                "; left there for the engine, which starts under this layer: {}",
                self.left.join(", ")
            ));
        }
        if !self.added.is_empty() {
            what.push_str(&format!(
                "; {} added until the launcher loads the pod's own profile: {}",
                self.added.len(),
                self.added.join(", ")
            ));
        }
        what
    }
}

/// Whether engines take the profile for "no seccomp": null, or neither a default action nor rules.
fn stands_for_none(own: &Value) -> bool {
    let absent = |key| match own.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    own.is_null() || (own.is_object() && absent("defaultAction") && absent("syscalls"))
}

/// The built-in filters that the policy selects, without those that another one stands for.
///
/// Datagram sockets can exist where the packet fence keeps their datagrams to the `udp://` entries, and nowhere else.
pub(super) fn last_layers(policy: &Policy, packets: Option<&PacketRules>) -> Vec<LastLayer> {
    let layer = |preset| LastLayer {
        preset,
        platform: policy.platform(),
        listen: !matches!(policy.listen(), Listen::Ports(ports) if ports.is_empty()),
        unix: policy.unix() != Unix::None,
        datagrams: packets.is_some_and(PacketRules::datagrams),
        exec_listed: policy.settings().fs_execute.is_some(),
    };
    policy.presets().strictest().map(|preset| layer(preset.built_in())).collect()
}

/// What the OCI layer refuses as well: of the calls that the presets refuse by name those that `general` refuses too.
/// Engines get along without these. Under what else `minimal` and `model-backend` refuse no engine could start anything, so that
/// is left to the filters that the launcher loads.
fn refused_by_name(layers: &[LastLayer]) -> BTreeSet<&'static str> {
    let general = |layer: &LastLayer| LastLayer { preset: preset::Preset::General, ..*layer };
    let engines_bear = |layer: &LastLayer| preset::refused_names(&general(layer)).iter().copied().collect();
    let known: BTreeSet<&str> = layers.first().map(engines_bear).unwrap_or_default();
    layers.iter().flat_map(preset::refused_names).copied().filter(|name| known.contains(name)).collect()
}

fn native(arch: HostArch) -> Arch {
    match arch {
        HostArch::X86_64 => Arch::X86_64,
        HostArch::Aarch64 => Arch::Aarch64,
    }
}

fn built_in(layer: &LastLayer, arch: HostArch) -> Result<Filter, ZcError> {
    let program = preset::last_layer(native(arch), layer).ok_or_else(|| {
        ZcError::new(
            code::profile::ARCHITECTURE,
            format!("there is no built-in filter for {}", native(arch).name()),
            "run the pod on an x86-64 or aarch64 node",
        )
    })?;
    Ok(filter(program.insns, program.cookie, true))
}

/// The pod's own profile as a filter; nothing where it allows everything.
fn compiled(own: &Value, arch: HostArch) -> Result<Option<Filter>, ZcError> {
    let profile = oci::read(own).map_err(unreadable)?;
    if !profile.any_action(|action| action != Action::Allow) {
        return Ok(None);
    }
    if profile.any_action(|action| action == Action::Notify) {
        return Err(ZcError::new(
            code::profile::NOT_COMPILABLE,
            "/linux/seccomp asks for notifications, and here it must be loaded by the launcher, which has no listener",
            "use a profile without SCMP_ACT_NOTIFY that allows the launcher's calls, for example RuntimeDefault",
        ));
    }
    let program = zerocap_seccomp::compile(&profile, native(arch), Gate::LastCalls).map_err(|error| {
        ZcError::new(
            code::profile::NOT_COMPILABLE,
            format!("/linux/seccomp: {error}"),
            "use a smaller profile, for example RuntimeDefault",
        )
    })?;
    Ok(Some(filter(&program.insns, &program.cookie, profile.flags.spec_allow)))
}

fn unreadable(error: oci::Error) -> ZcError {
    ZcError::new(code::profile::UNREADABLE, error.to_string(), "correct the profile, or use RuntimeDefault")
}

/// The same bytes in the plan's own types.
pub(super) fn filter(
    insns: &[zerocap_seccomp::Insn],
    cookie: &[zerocap_seccomp::CookieSite],
    spec_allow: bool,
) -> Filter {
    Filter {
        insns: insns.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect(),
        cookie: cookie.iter().map(|site| CookieSite { insn: site.insn, word: site.word }).collect(),
        spec_allow,
    }
}
