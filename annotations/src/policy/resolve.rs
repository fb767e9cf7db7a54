//! Layers to values: exception over annotation over named policy over the floor's default over the built-in one, then
//! the floor's ceilings.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Policy, Source};
use crate::code;
use crate::error::{ZcError, quote};
use crate::floor::Demands;
use crate::grammar::{Written, exception_key};
use crate::knob::{Filesystem, Knob, Mode, NetworkEnforcement, PolicyName, Preset, Presets, Settings};

/// What happens with a written value that is looser than a ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looser {
    /// At the start of the pod: refuse it.
    Refuse,
    /// Later: the ceiling holds. The difference is ignored and reported anyway.
    Clamp,
}

/// The annotations of a pod against the demands of its namespace.
pub(super) struct Resolver<'a> {
    pub written: &'a Written,
    pub demands: &'a Demands,
    pub looser: Looser,
}

/// The values of one container, and who gave each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolved {
    pub settings: Settings,
    pub sources: BTreeMap<Knob, Source>,
}

const PATH_LISTS: [Knob; 3] = [Knob::FsRead, Knob::FsWrite, Knob::FsExecute];

impl Resolver<'_> {
    /// Checks everything that the annotations say and resolves the pod-wide values.
    pub(super) fn pod(&self) -> Result<Resolved, ZcError> {
        self.admitted(&self.written.pod, |knob| self.written.pod_key(knob))?;
        for (container, settings) in &self.written.exceptions {
            self.admitted(settings, |knob| exception_key(knob, container))?;
        }
        let pod = self.resolve(None)?;
        self.platform_only(&self.written.pod, &pod, |knob| self.written.pod_key(knob))?;
        self.exceptions(&pod)?;
        Ok(pod)
    }

    /// The values of one container; [`Resolver::pod`] has checked the annotations.
    pub(super) fn container(&self, name: &str) -> Result<Resolved, ZcError> {
        self.resolve(Some(name))
    }

    /// Forbidden, not permitted, not supported, contradictory.
    fn admitted(&self, settings: &Settings, key: impl Fn(Knob) -> String) -> Result<(), ZcError> {
        for knob in settings.knobs() {
            if self.demands.forbidden.contains(&knob) {
                return Err(ZcError::new(
                    code::floor::FORBIDDEN,
                    format!("annotation {} is forbidden by the floor of this namespace", quote(&key(knob))),
                    "remove it, or ask the node's administrator",
                ));
            }
        }
        if let Some(mode) = settings.mode.filter(|mode| !self.demands.modes.contains(mode)) {
            return Err(ZcError::new(
                code::floor::MODE_NOT_PERMITTED,
                format!(
                    "annotation {} has {mode}, which the floor of this namespace does not permit",
                    quote(&key(Knob::Mode))
                ),
                "write enforce, or remove it",
            ));
        }
        if let Some(knob) = settings.knobs().find(|knob| !settings.enforced(*knob)) {
            let value = settings.text(knob).unwrap_or_default();
            return Err(ZcError::new(
                code::annotation::NOT_SUPPORTED,
                format!("annotation {} = {} is not supported by this version", quote(&key(knob)), quote(&value)),
                "remove it: a restriction that is not enforced must not look like one that is",
            ));
        }
        if let (Some(_), Some(list)) = (settings.filesystem, PATH_LISTS.into_iter().find(|knob| settings.has(*knob))) {
            return Err(ZcError::new(
                code::annotation::CONTRADICTION,
                format!("annotations {} and {} exclude each other", quote(&key(Knob::Filesystem)), quote(&key(list))),
                "keep filesystem, or the path lists instead of it",
            ));
        }
        Ok(())
    }

    fn platform_only(
        &self,
        written: &Settings,
        resolved: &Resolved,
        key: impl Fn(Knob) -> String,
    ) -> Result<(), ZcError> {
        if is_platform(&resolved.settings) {
            return Ok(());
        }
        // There is no packet fence that could audit.
        let audits = |knob| knob == Knob::Mode && written.mode != Some(Mode::Enforce);
        match written.knobs().find(|knob| knob.needs_platform() || audits(*knob)) {
            None => Ok(()),
            Some(knob) => Err(ZcError::new(
                code::annotation::NEEDS_PLATFORM,
                format!("annotation {} has a meaning in platform mode only", quote(&key(knob))),
                "add network-enforcement: platform, or remove it",
            )),
        }
    }

    fn exceptions(&self, pod: &Resolved) -> Result<(), ZcError> {
        for (container, settings) in &self.written.exceptions {
            for knob in settings.knobs() {
                let key = exception_key(knob, container);
                if pod.sources.get(&Knob::NetworkEnforcement) == Some(&Source::Default) {
                    return Err(ZcError::new(
                        code::annotation::EXCEPTION_WITHOUT_MODE,
                        format!(
                            "annotation {} is an exception in a pod without a pod-wide network-enforcement",
                            quote(&key)
                        ),
                        "set network-enforcement for the pod, and except the containers that need less",
                    ));
                }
                if !knob.has_order() {
                    return Err(ZcError::new(
                        code::annotation::NO_EXCEPTIONS,
                        format!(
                            "annotation {} excepts a container from a knob whose values have no order",
                            quote(&key)
                        ),
                        format!("write zerocap.io/{knob} for the whole pod"),
                    ));
                }
                if settings.compare(knob, &pod.settings).is_none_or(Ordering::is_gt) {
                    let value = pod.settings.text(knob);
                    let value = value.as_deref().map_or("nothing written".to_owned(), quote);
                    return Err(ZcError::new(
                        code::annotation::EXCEPTION_STRICTER,
                        format!("annotation {} is not looser than the pod-wide value, {value}", quote(&key)),
                        format!("write the strict value as zerocap.io/{knob}, and exceptions for those that need less"),
                    ));
                }
            }
            let resolved = self.resolve(Some(container))?;
            self.platform_only(settings, &resolved, |knob| exception_key(knob, container))?;
        }
        Ok(())
    }

    fn resolve(&self, container: Option<&str>) -> Result<Resolved, ZcError> {
        let layers = Layers { all: self.layers(container)? };

        let mut resolved = Resolved { settings: Settings::default(), sources: BTreeMap::new() };
        layers.take(&mut resolved, Knob::NetworkEnforcement);
        resolved.settings.network_enforcement.get_or_insert(NetworkEnforcement::Cluster);
        resolved.sources.entry(Knob::NetworkEnforcement).or_insert(Source::Default);
        self.ceiling(&mut resolved, Knob::NetworkEnforcement)?;

        let platform = is_platform(&resolved.settings);
        let mode = resolved.settings.network_enforcement.unwrap_or(NetworkEnforcement::Platform);
        let defaults = Policy::defaults(mode);
        let rest = || Knob::ALL.into_iter().filter(|knob| *knob != Knob::NetworkEnforcement);
        for knob in rest() {
            resolved.settings.copy(knob, &defaults);
            if defaults.has(knob) {
                let by_mode = matches!(knob, Knob::Listen | Knob::Seccomp | Knob::Unix);
                resolved.sources.insert(knob, if by_mode { Source::Mode } else { Source::Default });
            }
            if platform || !knob.needs_platform() {
                layers.take(&mut resolved, knob);
            }
        }
        layers.exclude_files(&mut resolved);
        for knob in rest().filter(|knob| platform || !knob.needs_platform()) {
            self.ceiling(&mut resolved, knob)?;
        }
        self.coherent(&mut resolved)?;
        Ok(resolved)
    }

    /// The layers that may give a value, the strongest first.
    fn layers(&self, container: Option<&str>) -> Result<Vec<(&Settings, LayerName<'_>)>, ZcError> {
        let mut all: Vec<(&Settings, LayerName<'_>)> = Vec::with_capacity(4);
        if let Some((name, exception)) = container.and_then(|name| self.written.exceptions.get_key_value(name)) {
            all.push((exception, LayerName::Exception(name)));
        }
        all.push((&self.written.pod, LayerName::Pod(self.written)));
        if let Some(PolicyName(name)) = self.written.pod.policy.as_ref().or(self.demands.defaults.policy.as_ref()) {
            let Some((name, policy)) = self.demands.policies.get_key_value(name) else {
                return Err(self.no_such_policy(name));
            };
            all.push((policy, LayerName::Policy(name)));
        }
        all.push((&self.demands.defaults, LayerName::FloorDefault));
        Ok(all)
    }

    fn no_such_policy(&self, name: &str) -> ZcError {
        let known: Vec<&str> = self.demands.policies.keys().map(String::as_str).collect();
        ZcError::new(
            code::floor::NO_SUCH_POLICY,
            format!("policy {} is not defined for this namespace by the node's floor file", quote(name)),
            if known.is_empty() {
                "no policy is; remove zerocap.io/policy".to_owned()
            } else {
                format!("write one of {}", known.join(", "))
            },
        )
    }

    /// Raises a value that nobody wrote to the ceiling, and refuses a written one that is looser.
    fn ceiling(&self, resolved: &mut Resolved, knob: Knob) -> Result<(), ZcError> {
        for ceilings in self.demands.ceilings.iter().filter(|ceilings| ceilings.has(knob)) {
            if resolved.settings.compare(knob, ceilings).is_some_and(Ordering::is_ge) {
                continue;
            }
            let source = resolved.sources.get(&knob);
            let written = matches!(source, Some(Source::Annotation(_) | Source::Exception(_) | Source::Policy(_)));
            if written && self.looser == Looser::Refuse {
                return Err(beyond(resolved, knob, &ceilings.text(knob).unwrap_or_default()));
            }
            raise(&mut resolved.settings, knob, ceilings);
            resolved.sources.insert(knob, Source::FloorCeiling);
        }
        Ok(())
    }

    /// Platform mode's promises about sockets are kept by a preset. One that does not keep them stands beside one that
    /// does.
    fn platform_preset(&self, resolved: &mut Resolved) -> Result<(), ZcError> {
        let Some(with_general) =
            resolved.settings.seccomp.as_ref().filter(|_| is_platform(&resolved.settings)).and_then(add_general)
        else {
            return Ok(());
        };
        let written = matches!(
            resolved.sources.get(&Knob::Seccomp),
            Some(Source::Annotation(_) | Source::Exception(_) | Source::Policy(_))
        );
        if written && self.looser == Looser::Refuse {
            let value = resolved.settings.text(Knob::Seccomp).unwrap_or_default();
            return Err(ZcError::new(
                code::annotation::CONTRADICTION,
                format!(
                    "seccomp is {}, which alone keeps nothing of what platform mode promises of sockets",
                    quote(&value)
                ),
                format!("write {with_general}"),
            ));
        }
        resolved.settings.seccomp = Some(with_general);
        Ok(())
    }

    /// What two knobs of different layers cannot both mean.
    fn coherent(&self, resolved: &mut Resolved) -> Result<(), ZcError> {
        let settings = &mut resolved.settings;
        if settings.filesystem == Some(Filesystem::ReadOnly) && settings.fs_write.is_some() {
            if self.looser == Looser::Refuse {
                return Err(beyond(resolved, Knob::FsWrite, "filesystem: read-only"));
            }
            settings.fs_write = None;
            resolved.sources.remove(&Knob::FsWrite);
        }
        if !is_platform(settings) && settings.mode != Some(Mode::Enforce) {
            settings.mode = Some(Mode::Enforce);
            resolved.sources.insert(Knob::Mode, Source::Mode);
        }
        self.platform_preset(resolved)?;
        let settings = &resolved.settings;
        let port = settings.proxy_port.unwrap_or_default().0;
        if is_platform(settings) && settings.listen.as_ref().is_some_and(|listen| listen.names(port)) {
            return Err(ZcError::new(
                code::annotation::CONTRADICTION,
                format!("listen has {port}, which is the proxy's port"),
                "remove it from listen: a workload that takes the proxy's port could pose as the proxy",
            ));
        }
        Ok(())
    }
}

/// Takes the ceiling's value. Presets stack, so that those which held already go on to hold.
fn raise(settings: &mut Settings, knob: Knob, ceilings: &Settings) {
    match (knob, &mut settings.seccomp, &ceilings.seccomp) {
        (Knob::Seccomp, Some(held), Some(demanded)) => held.0.extend(&demanded.0),
        _ => settings.copy(knob, ceilings),
    }
}

/// Presets that each promise less than platform mode does, and one that adds what is missing.
fn add_general(presets: &Presets) -> Option<Presets> {
    let lacking = !presets.keep_platform();
    lacking.then(|| Presets(presets.0.iter().copied().chain([Preset::General]).collect()))
}

fn is_platform(settings: &Settings) -> bool {
    settings.network_enforcement == Some(NetworkEnforcement::Platform)
}

fn beyond(resolved: &Resolved, knob: Knob, ceiling: &str) -> ZcError {
    let value = resolved.settings.text(knob).unwrap_or_default();
    let what = match resolved.sources.get(&knob) {
        Some(Source::Annotation(key) | Source::Exception(key)) => format!("annotation {}", quote(key)),
        Some(Source::Policy(name)) => format!("{knob} of policy {}", quote(name)),
        _ => knob.to_string(),
    };
    ZcError::new(
        code::floor::BEYOND_CEILING,
        format!("{what} has {}, and the floor permits no more than {}", quote(&value), quote(ceiling)),
        "write a value that is at least as strict, or remove it",
    )
}

/// Which layer a value came from.
#[derive(Clone, Copy)]
enum LayerName<'a> {
    Exception(&'a str),
    Pod(&'a Written),
    Policy(&'a str),
    FloorDefault,
}

impl LayerName<'_> {
    fn source(self, knob: Knob) -> Source {
        match self {
            Self::Exception(container) => Source::Exception(exception_key(knob, container)),
            Self::Pod(written) => Source::Annotation(written.pod_key(knob)),
            Self::Policy(name) => Source::Policy(name.to_owned()),
            Self::FloorDefault => Source::FloorDefault,
        }
    }
}

struct Layers<'a> {
    all: Vec<(&'a Settings, LayerName<'a>)>,
}

impl Layers<'_> {
    fn rank(&self, knob: Knob) -> Option<usize> {
        self.all.iter().position(|(settings, _)| settings.has(knob))
    }

    fn take(&self, resolved: &mut Resolved, knob: Knob) {
        if let Some((settings, layer)) = self.rank(knob).map(|rank| self.all[rank]) {
            resolved.settings.copy(knob, settings);
            resolved.sources.insert(knob, layer.source(knob));
        }
    }

    /// Path lists stand instead of `filesystem`: of the two, the one from the stronger layer counts.
    fn exclude_files(&self, resolved: &mut Resolved) {
        let Some(filesystem) = self.rank(Knob::Filesystem) else { return };
        let lists = || PATH_LISTS.into_iter().filter_map(|knob| Some((knob, self.rank(knob)?)));
        if lists().any(|(_, rank)| rank < filesystem) {
            resolved.settings.filesystem = Some(Filesystem::Image);
            resolved.sources.insert(Knob::Filesystem, Source::Default);
            return;
        }
        for (knob, _) in lists() {
            resolved.settings.copy(knob, &Settings::default());
            resolved.sources.remove(&knob);
        }
    }
}
