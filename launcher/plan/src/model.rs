//! The owned plan, as the confinement is compiled to it.

use crate::{CookieSite, DecodeError, Insn, Missing, PlanView, PortRule, Role};

/// Everything that the launcher does between its own start and the workload's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// Which process of the container this is.
    pub role: Role,
    /// The Landlock domain to enter, if any.
    pub landlock: Option<Landlock>,
    /// A TCP port that the domain forbids: one connect to 127.0.0.1 at this port must fail with EACCES, or the start fails.
    pub forbidden_connect: Option<u16>,
    /// The filters refuse every ABI but the native one, so that a 32-bit program is refused with a sentence of its own
    /// instead of dying at its first call.
    pub native_abi_only: bool,
    /// Seccomp filters in the order in which they are loaded. Each must admit the loading of those after it, and all must
    /// admit the launcher's last calls.
    pub filters: Vec<Filter>,
}

/// A Landlock ruleset. The bits are the kernel's and must be known to the kernel that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landlock {
    /// `LANDLOCK_ACCESS_FS_*` that are refused unless a rule grants them.
    pub handled_fs: u64,
    /// `LANDLOCK_ACCESS_NET_*` that are refused unless a rule grants them.
    pub handled_net: u64,
    /// `LANDLOCK_SCOPE_*`.
    pub scoped: u64,
    /// What stays allowed beneath paths.
    pub paths: Vec<PathRule>,
    /// What stays allowed with ports.
    pub ports: Vec<PortRule>,
}

/// A Landlock path rule (`LANDLOCK_RULE_PATH_BENEATH`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Absolute path inside the container, without NUL. It is opened with `O_PATH`, symbolic links are followed, those of
    /// /proc are not.
    pub path: Vec<u8>,
    /// `LANDLOCK_ACCESS_FS_*` bits; the launcher masks them to those that files have where the path is not a directory.
    pub access: u64,
    /// What a missing path means.
    pub missing: Missing,
}

/// A seccomp filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub insns: Vec<Insn>,
    /// Operands that the launcher fills with its cookie.
    pub cookie: Vec<CookieSite>,
    /// Load with `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
    pub spec_allow: bool,
}

impl LaunchPlan {
    /// Reads an encoded plan back into owned form.
    ///
    /// # Errors
    /// What [`PlanView::decode`] finds wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let view = PlanView::decode(bytes)?;
        Ok(Self {
            role: view.role(),
            landlock: view.landlock().map(|landlock| Landlock {
                handled_fs: landlock.handled_fs,
                handled_net: landlock.handled_net,
                scoped: landlock.scoped,
                paths: landlock
                    .paths()
                    .map(|rule| PathRule { path: rule.path().to_vec(), access: rule.access, missing: rule.missing })
                    .collect(),
                ports: landlock.ports().collect(),
            }),
            forbidden_connect: view.forbidden_connect(),
            native_abi_only: view.native_abi_only(),
            filters: view
                .filters()
                .map(|filter| Filter {
                    insns: filter.insns().collect(),
                    cookie: filter.cookie().collect(),
                    spec_allow: filter.spec_allow,
                })
                .collect(),
        })
    }
}
