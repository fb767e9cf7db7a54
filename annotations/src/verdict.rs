//! Whether a container is confined, as far as its enforcement report says.

use serde::{Deserialize, Serialize};

use crate::report::{Report, TargetKind};

/// Whether a container is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every asked promise is kept at least as far as required, and the kernel showed what was expected.
    Confined,
    /// `mode: audit`: confined in everything but where it sends, which is only watched.
    Audited,
    /// Decided, but the workload does not run yet (or never did).
    NotVerified,
    /// Nothing is enforced.
    NotConfined,
}

impl Verdict {
    /// Reads it off a report; a container without one is not confined.
    pub fn of(report: Option<&Report>) -> Self {
        let Some(report) = report.filter(|report| report.active) else {
            return Self::NotConfined;
        };
        // The pause container runs no foreign code: it has no launcher that could be parked and looked at.
        let verified = report.target == TargetKind::Sandbox || !report.verified.is_empty();
        let holds = report.verified.iter().all(|step| step.holds);
        match (verified, holds) {
            (_, false) => Self::NotConfined,
            (false, true) => Self::NotVerified,
            (true, true) if report.audits() => Self::Audited,
            (true, true) => Self::Confined,
        }
    }

    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::Audited => "AUDIT: egress is NOT enforced",
            Self::NotVerified => "not verified (yet)",
            Self::NotConfined => "NOT confined",
        }
    }
}
