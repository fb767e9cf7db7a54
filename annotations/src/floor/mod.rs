//! The floor: what the node's administrator demands, per Kubernetes namespace and per handler, annotation or not.
//!
#![doc = concat!("```toml\n", include_str!("example.toml"), "```")]
//!
//! A value that nobody wrote is raised to the ceiling; a written one that is looser is refused. The ceilings of
//! `listen` and `proxy-port` hold in platform mode; to demand the mode itself, write its ceiling.

mod file;
mod names;
mod pattern;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::code;
use crate::error::{ZcError, quote};
use crate::knob::{Knob, Mode, NetworkEnforcement, Settings};
pub use names::NameNetworks;
use pattern::Pattern;

/// A floor file that uses every key, for the pages and for people who write their first one.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Largest floor file that is read, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;

/// The administrator's demands for a node and a handler.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Floor {
    base: Section,
    sections: Vec<(Vec<Pattern>, Section)>,
    policies: BTreeMap<String, Settings>,
    platform: bool,
}

/// One part of the floor file.
#[derive(Debug, Clone, Default, PartialEq)]
struct Section {
    defaults: Settings,
    ceilings: Settings,
    forbidden: BTreeSet<Knob>,
    modes: Option<BTreeSet<Mode>>,
    policies: Option<BTreeSet<String>>,
    names: NameNetworks,
}

/// What the floor demands in one namespace, as it is frozen with the pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Demands {
    /// Values where a pod says nothing.
    pub defaults: Settings,
    /// The loosest values; each of the layers must hold.
    pub ceilings: Vec<Settings>,
    /// Knobs that a pod may not write.
    pub forbidden: BTreeSet<Knob>,
    /// Modes that a pod may choose.
    pub modes: BTreeSet<Mode>,
    /// Policies that a pod may name.
    pub policies: BTreeMap<String, Settings>,
    /// What names may resolve to.
    #[serde(default)]
    pub names: NameNetworks,
}

impl Floor {
    /// No demands: annotations alone decide.
    pub fn none() -> Self {
        Self::default()
    }

    /// The floor of the handler `zerocap-platform`: platform mode for every pod, annotation or not.
    pub fn builtin_platform() -> Self {
        Self::none().and_platform()
    }

    /// Reads a floor file.
    ///
    /// # Errors
    /// ZC0201 to ZC0205 and ZC0210, with line and column.
    pub fn parse(toml: &str) -> Result<Self, ZcError> {
        file::parse(toml)
    }

    /// Adds the built-in floor that a handler's option `floor = "NAME"` names.
    ///
    /// # Errors
    /// ZC0211 for a name that is not built in.
    pub fn and_builtin(self, name: &str) -> Result<Self, ZcError> {
        match name {
            "platform" => Ok(self.and_platform()),
            _ => Err(ZcError::new(
                code::floor::UNKNOWN_BUILTIN,
                format!("the handler's option floor has {}, which is not built in", quote(name)),
                "write floor = \"platform\", or remove the option",
            )),
        }
    }

    /// Adds the demand of platform mode in every namespace.
    #[must_use]
    pub fn and_platform(mut self) -> Self {
        self.platform = true;
        self
    }

    /// What holds in a Kubernetes namespace; the empty name stands for a container that Kubernetes did not start.
    pub fn demands(&self, namespace: &str) -> Demands {
        let section = self.sections.iter().find(|(patterns, _)| patterns.iter().any(|p| p.matches(namespace)));
        let layers = || [Some(&self.base), section.map(|(_, section)| section)].into_iter().flatten();
        let mut demands =
            Demands { modes: [Mode::Enforce].into(), policies: self.policies.clone(), ..Demands::default() };
        for layer in layers() {
            for knob in layer.defaults.knobs() {
                demands.defaults.copy(knob, &layer.defaults);
            }
            demands.ceilings.push(layer.ceilings.clone());
            demands.forbidden.extend(&layer.forbidden);
            demands.names.extend(&layer.names);
            if let Some(modes) = &layer.modes {
                demands.modes = modes.iter().copied().chain([Mode::Enforce]).collect();
            }
            if let Some(named) = &layer.policies {
                demands.policies.retain(|name, _| named.contains(name));
            }
        }
        if self.platform {
            let platform = Some(NetworkEnforcement::Platform);
            demands.defaults.network_enforcement = platform;
            demands.ceilings.push(Settings { network_enforcement: platform, ..Settings::default() });
        }
        demands.ceilings.retain(|ceilings| *ceilings != Settings::default());
        demands
    }
}
