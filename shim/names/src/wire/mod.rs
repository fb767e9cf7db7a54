//! Messages: what the workload asks, what servers are asked, and what both get. Pure.

mod question;
mod reply;

pub use question::{Malformed, Question, question_of};
pub(crate) use reply::MAX_ALIASES;
pub use reply::{Found, Reply, ask, read};

use domain::base::Rtype;

pub use crate::name::WireName;

/// The types of records that programs get addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::Aaaa];

    fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
        }
    }
}
