//! The filters of the last layer, compiled when zerocap was built: using one costs no compilation.

use crate::{Arch, CookieSite, Insn, Program};

mod tables {
    //! What the build script wrote.
    use super::{Insn, StaticProgram, Variant};

    const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
        Insn { code, jt, jf, k }
    }

    include!(concat!(env!("OUT_DIR"), "/presets.rs"));
}

/// A filter that is part of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct StaticProgram {
    /// The instructions.
    pub insns: &'static [Insn],
    /// Where the words of the cookie have to be put; may be empty.
    pub cookie: &'static [CookieSite],
}

impl StaticProgram {
    /// A copy that can be patched.
    #[must_use]
    pub fn to_program(&self) -> Program {
        Program { insns: self.insns.to_vec(), cookie: self.cookie.to_vec() }
    }
}

/// A preset by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// Ordinary software without privileges.
    #[default]
    General,
    /// `general` without what few programs need.
    Strict,
    /// A static program that computes, uses the descriptors it was given, and exits.
    Minimal,
    /// An inference server: threads, devices, unix sockets; no new processes or programs, no network.
    ModelBackend,
    /// Everything but what shell sandboxes refuse.
    SandboxBlocklist,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::General, Self::Strict, Self::Minimal, Self::ModelBackend, Self::SandboxBlocklist];

    /// Its name in annotations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Strict => "strict",
            Self::Minimal => "minimal",
            Self::ModelBackend => "model-backend",
            Self::SandboxBlocklist => "sandbox-blocklist",
        }
    }

    /// The preset with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it is for, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::General => tables::GENERAL_SUMMARY,
            Self::Strict => tables::STRICT_SUMMARY,
            Self::Minimal => tables::MINIMAL_SUMMARY,
            Self::ModelBackend => tables::MODEL_BACKEND_SUMMARY,
            Self::SandboxBlocklist => tables::SANDBOX_BLOCKLIST_SUMMARY,
        }
    }

    /// Whether this preset allows nothing that the other refuses, whatever the knobs: loading both means loading this one.
    #[must_use]
    pub const fn within(self, other: Self) -> bool {
        match self {
            Self::Minimal => true,
            Self::Strict => matches!(other, Self::Strict | Self::General | Self::SandboxBlocklist),
            Self::General => matches!(other, Self::General | Self::SandboxBlocklist),
            // It lets unix servers listen, which `general` takes a knob for.
            Self::ModelBackend => matches!(other, Self::ModelBackend | Self::SandboxBlocklist),
            Self::SandboxBlocklist => matches!(other, Self::SandboxBlocklist),
        }
    }

    /// Whether the preset by itself keeps what platform mode promises of sockets.
    #[must_use]
    pub const fn keeps_platform(self) -> bool {
        !matches!(self, Self::SandboxBlocklist)
    }

    fn variants(self) -> &'static [Variant; 1 << tables::KNOBS.len()] {
        match self {
            Self::General => &tables::GENERAL,
            Self::Strict => &tables::STRICT,
            Self::Minimal => &tables::MINIMAL,
            Self::ModelBackend => &tables::MODEL_BACKEND,
            Self::SandboxBlocklist => &tables::SANDBOX_BLOCKLIST,
        }
    }
}

/// Which filter the last layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LastLayer {
    /// The preset.
    pub preset: Preset,
    /// With the conditions of `network-enforcement: platform` (sockets, socket options, Fast Open flags).
    pub platform: bool,
    /// `listen` and `accept` are permitted. Without `platform` they are anyway.
    pub listen: bool,
    /// Unix sockets are permitted; socket pairs are anyway.
    pub unix: bool,
    /// Only listed programs may run (`fs-execute`): no memory that can be executed as one.
    pub exec_listed: bool,
    /// Datagram sockets are permitted in `platform`, where a packet fence judges what they send. Without `platform` they are anyway.
    pub datagrams: bool,
}

impl Default for LastLayer {
    /// What a pod in platform mode gets: `general`, unix sockets, no listening.
    fn default() -> Self {
        Self {
            preset: Preset::General,
            platform: true,
            listen: false,
            unix: true,
            exec_listed: false,
            datagrams: false,
        }
    }
}

#[derive(Debug)]
struct Variant {
    x86_64: &'static StaticProgram,
    aarch64: &'static StaticProgram,
    refused: &'static [&'static str],
}

impl LastLayer {
    /// Every last layer there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Preset::ALL.into_iter().flat_map(|preset| {
            (0..1u8 << tables::KNOBS.len()).map(move |bits| Self {
                preset,
                platform: bits & 1 != 0,
                listen: bits & 2 != 0,
                unix: bits & 4 != 0,
                exec_listed: bits & 8 != 0,
                datagrams: bits & 16 != 0,
            })
        })
    }

    /// The names of the knobs that are on, as the preset's TOML has them.
    #[must_use]
    pub fn knobs(&self) -> Vec<&'static str> {
        let bits = self.bits();
        tables::KNOBS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, knob)| *knob).collect()
    }

    fn bits(&self) -> usize {
        [self.platform, self.listen, self.unix, self.exec_listed, self.datagrams]
            .into_iter()
            .enumerate()
            .map(|(bit, on)| usize::from(on) << bit)
            .sum()
    }

    fn variant(&self) -> &'static Variant {
        &self.preset.variants()[self.bits()]
    }
}

/// The filter for kernels of this native architecture; `None` for those that no filter is compiled for.
#[must_use]
pub fn last_layer(native: Arch, layer: &LastLayer) -> Option<&'static StaticProgram> {
    let variant = layer.variant();
    match native {
        Arch::X86_64 => Some(variant.x86_64),
        Arch::Aarch64 => Some(variant.aarch64),
        Arch::X32 | Arch::I386 | Arch::Arm => None,
    }
}

/// The calls that the last layer refuses whatever their arguments, sorted: what to take away in the OCI layer as well.
#[must_use]
pub fn refused_names(layer: &LastLayer) -> &'static [&'static str] {
    layer.variant().refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_the_build_script() {
        assert_eq!(tables::KNOBS, ["platform", "listen", "unix", "fs-execute", "datagrams"]);
        for layer in LastLayer::all() {
            let knobs = layer.knobs();
            assert_eq!(knobs.contains(&"platform"), layer.platform);
            assert_eq!(knobs.contains(&"listen"), layer.listen);
            assert_eq!(knobs.contains(&"unix"), layer.unix);
            assert_eq!(knobs.contains(&"fs-execute"), layer.exec_listed);
            assert_eq!(knobs.contains(&"datagrams"), layer.datagrams);
        }
        assert_eq!(LastLayer::all().count(), 32 * Preset::ALL.len());
    }

    #[test]
    fn names_lead_back_to_presets() {
        for preset in Preset::ALL {
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
            assert!(!preset.summary().is_empty());
        }
        assert_eq!(Preset::from_name("General"), None);
    }
}
