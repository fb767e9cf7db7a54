//! From the owned plan to bytes. What does not fit the format is refused here, so that the launcher never meets it.

use std::fmt;

use crate::layout::{self, padding};
use crate::{CookieSite, Filter, LaunchPlan, Missing, PathRule, PortRule, Role};

/// Why a plan cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// More of something than the format permits.
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many the format permits.
        limit: usize,
    },
    /// A path that is not absolute, longer than PATH_MAX − 1, or holds a NUL.
    Path(Vec<u8>),
    /// A filter without instructions.
    EmptyFilter {
        /// Index of the filter.
        filter: usize,
    },
    /// A cookie site beyond the filter's instructions, or a word beyond the cookie.
    CookieSite {
        /// Index of the filter.
        filter: usize,
        /// The site.
        site: CookieSite,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { what, count, limit } => {
                write!(out, "the launch plan has {count} {what}, {limit} fit")
            }
            Self::Path(path) => {
                let shown: String = String::from_utf8_lossy(path).chars().take(80).collect();
                write!(
                    out,
                    "the launch plan cannot carry the path {shown:?}: it must be absolute, without NUL and at most 4095 bytes long"
                )
            }
            Self::EmptyFilter { filter } => {
                write!(out, "filter {filter} of the launch plan is empty")
            }
            Self::CookieSite { filter, site } => {
                write!(
                    out,
                    "filter {filter} of the launch plan has no instruction {} or the cookie no word {}",
                    site.insn, site.word
                )
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl LaunchPlan {
    /// The plan's bytes, as the launcher reads them.
    ///
    /// # Errors
    /// A [`PlanError`] when a part is over its bound or malformed.
    pub fn encode(&self) -> Result<Vec<u8>, PlanError> {
        let none = crate::Landlock::default();
        let landlock = self.landlock.as_ref().unwrap_or(&none);
        let paths = count("path rules", landlock.paths.len(), layout::MAX_PATHS)?;
        let ports = count("port rules", landlock.ports.len(), layout::MAX_PORTS)?;
        let filters = count("filters", self.filters.len(), layout::MAX_FILTERS)?;

        let mut flags = 0;
        flags |= if self.landlock.is_some() { layout::FLAG_LANDLOCK } else { 0 };
        flags |= if self.forbidden_connect.is_some() { layout::FLAG_FORBIDDEN_CONNECT } else { 0 };
        flags |= if self.native_abi_only { layout::FLAG_NATIVE_ABI_ONLY } else { 0 };
        let role = match self.role {
            Role::Init => 0,
            Role::Exec => 1,
        };

        let mut out = Vec::with_capacity(layout::HEADER);
        out.extend(layout::MAGIC);
        out.extend(layout::VERSION.to_le_bytes());
        out.extend([0; 4]); // the total, below
        out.extend([role, flags]);
        out.extend(self.forbidden_connect.unwrap_or(0).to_le_bytes());
        out.extend(landlock.handled_fs.to_le_bytes());
        out.extend(landlock.handled_net.to_le_bytes());
        out.extend(landlock.scoped.to_le_bytes());
        for number in [paths, ports, filters, 0] {
            out.extend(number.to_le_bytes());
        }
        for rule in &landlock.ports {
            port(&mut out, rule);
        }
        for rule in &landlock.paths {
            path(&mut out, rule)?;
        }
        for (index, one) in self.filters.iter().enumerate() {
            filter(&mut out, index, one)?;
        }

        let total = u32::try_from(out.len()).unwrap_or(u32::MAX);
        if out.len() > layout::MAX_PLAN {
            return Err(PlanError::TooMany { what: "bytes", count: out.len(), limit: layout::MAX_PLAN });
        }
        if let Some(field) = out.get_mut(8..12) {
            field.copy_from_slice(&total.to_le_bytes());
        }
        Ok(out)
    }
}

/// A count that fits its bound, as the format carries it.
fn count(what: &'static str, count: usize, limit: usize) -> Result<u16, PlanError> {
    match u16::try_from(count) {
        Ok(number) if count <= limit => Ok(number),
        _ => Err(PlanError::TooMany { what, count, limit }),
    }
}

fn port(out: &mut Vec<u8>, rule: &PortRule) {
    out.extend(rule.access.to_le_bytes());
    out.extend(rule.port.to_le_bytes());
    out.extend([0; 6]);
}

fn path(out: &mut Vec<u8>, rule: &PathRule) -> Result<(), PlanError> {
    let length = match u16::try_from(rule.path.len()) {
        Ok(length)
            if rule.path.len() <= layout::MAX_PATH_BYTES
                && rule.path.first() == Some(&b'/')
                && !rule.path.contains(&0) =>
        {
            length
        }
        _ => return Err(PlanError::Path(rule.path.clone())),
    };
    let missing = match rule.missing {
        Missing::Skip => 0,
        Missing::Fail => 1,
    };
    out.extend(rule.access.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend([missing, 0, 0, 0, 0, 0]);
    out.extend(&rule.path);
    out.push(0);
    out.extend(std::iter::repeat_n(0, padding(rule.path.len() + 1)));
    Ok(())
}

fn filter(out: &mut Vec<u8>, index: usize, filter: &Filter) -> Result<(), PlanError> {
    let insns = count("instructions in a filter", filter.insns.len(), layout::MAX_INSNS)?;
    let cookies = count("cookie sites in a filter", filter.cookie.len(), layout::MAX_COOKIE_SITES)?;
    if insns == 0 {
        return Err(PlanError::EmptyFilter { filter: index });
    }
    out.extend(insns.to_le_bytes());
    out.extend(cookies.to_le_bytes());
    out.extend([if filter.spec_allow { layout::FLAG_SPEC_ALLOW } else { 0 }, 0, 0, 0]);
    for insn in &filter.insns {
        out.extend(insn.code.to_le_bytes());
        out.extend([insn.jt, insn.jf]);
        out.extend(insn.k.to_le_bytes());
    }
    for site in &filter.cookie {
        if site.insn >= insns || usize::from(site.word) >= layout::COOKIE_WORDS {
            return Err(PlanError::CookieSite { filter: index, site: *site });
        }
        out.extend(site.insn.to_le_bytes());
        out.extend([site.word, 0]);
    }
    out.extend(std::iter::repeat_n(0, padding(filter.cookie.len() * layout::COOKIE)));
    Ok(())
}
