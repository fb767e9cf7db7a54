//! The launcher's look at a plan: bounds are checked once, in [`PlanView::decode`]; afterwards nothing can fail.
//!
//! Exactly one byte string stands for a plan: padding is zero, counts and total agree, nothing follows.

use core::ffi::CStr;

use crate::header::Header;
use crate::layout::{self, padding};
use crate::reader::{Reader, zeros};
use crate::{CookieSite, Insn, Missing, PortRule, Role};

/// Why bytes are not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum DecodeError {
    /// Longer than [`MAX_PLAN`](crate::MAX_PLAN), shorter than a header, or not as long as the header says.
    Length = 1,
    /// Not a plan at all.
    Magic = 2,
    /// A plan of another version.
    Version = 3,
    /// A header field holds a value that this version does not know.
    Header = 4,
    /// More rules or filters than the format permits.
    Count = 5,
    /// A path rule is malformed.
    Path = 6,
    /// A port rule is malformed.
    Port = 7,
    /// A filter is malformed.
    Filter = 8,
    /// A cookie site is malformed.
    Cookie = 9,
}

/// A checked plan, still in its bytes.
#[derive(Clone, Copy, Debug)]
pub struct PlanView<'a> {
    role: Role,
    native_abi_only: bool,
    forbidden_connect: Option<u16>,
    landlock: Option<LandlockView<'a>>,
    filters: Filters<'a>,
}

/// The Landlock part of a plan.
#[derive(Clone, Copy, Debug)]
pub struct LandlockView<'a> {
    /// `LANDLOCK_ACCESS_FS_*` that are refused unless a rule grants them.
    pub handled_fs: u64,
    /// `LANDLOCK_ACCESS_NET_*` that are refused unless a rule grants them.
    pub handled_net: u64,
    /// `LANDLOCK_SCOPE_*`.
    pub scoped: u64,
    paths: Paths<'a>,
    ports: Ports<'a>,
}

/// One path rule of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PathRuleView<'a> {
    /// `LANDLOCK_ACCESS_FS_*` bits.
    pub access: u64,
    /// What a missing path means.
    pub missing: Missing,
    path: &'a CStr,
}

/// One filter of a plan.
#[derive(Clone, Copy, Debug)]
pub struct FilterView<'a> {
    /// Load with `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
    pub spec_allow: bool,
    insns: &'a [u8],
    cookie: &'a [u8],
}

impl<'a> PlanView<'a> {
    /// Checks `bytes` in full.
    ///
    /// # Errors
    /// The first thing that is wrong, from the front.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > layout::MAX_PLAN {
            return Err(DecodeError::Length);
        }
        let total = bytes.len();
        let mut reader = Reader(bytes);
        let header = reader.take(layout::HEADER).ok_or(DecodeError::Length)?;
        let (raw, body) = (Header::read(header)?, reader.0);
        if usize::try_from(raw.total) != Ok(total) {
            return Err(DecodeError::Length);
        }

        let mut reader = Reader(body);
        let ports = reader.take(usize::from(raw.ports) * layout::PORT).ok_or(DecodeError::Port)?;
        if !Ports(ports).well_formed() {
            return Err(DecodeError::Port);
        }
        let mut walk = Paths { rest: reader.0, left: raw.paths };
        let paths = walk;
        while walk.left > 0 {
            walk.read().ok_or(DecodeError::Path)?;
        }
        let mut walk = Filters { rest: walk.rest, left: raw.filters };
        let filters = walk;
        while walk.left > 0 {
            walk.read()?;
        }
        if !walk.rest.is_empty() {
            return Err(DecodeError::Length);
        }

        let landlock = LandlockView {
            handled_fs: raw.handled_fs,
            handled_net: raw.handled_net,
            scoped: raw.scoped,
            paths,
            ports: Ports(ports),
        };
        Ok(Self {
            role: raw.role,
            native_abi_only: raw.flags & layout::FLAG_NATIVE_ABI_ONLY != 0,
            forbidden_connect: (raw.flags & layout::FLAG_FORBIDDEN_CONNECT != 0).then_some(raw.forbidden_connect),
            landlock: (raw.flags & layout::FLAG_LANDLOCK != 0).then_some(landlock),
            filters,
        })
    }

    /// Which process of the container this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the filters refuse every ABI but the native one.
    #[must_use]
    pub fn native_abi_only(&self) -> bool {
        self.native_abi_only
    }

    /// The TCP port whose connect must fail.
    #[must_use]
    pub fn forbidden_connect(&self) -> Option<u16> {
        self.forbidden_connect
    }

    /// The Landlock domain to enter.
    #[must_use]
    pub fn landlock(&self) -> Option<LandlockView<'a>> {
        self.landlock
    }

    /// The filters, in the order in which they are loaded.
    #[must_use]
    pub fn filters(&self) -> Filters<'a> {
        self.filters
    }
}

impl<'a> LandlockView<'a> {
    /// The path rules.
    #[must_use]
    pub fn paths(&self) -> Paths<'a> {
        self.paths
    }

    /// The port rules.
    #[must_use]
    pub fn ports(&self) -> Ports<'a> {
        self.ports
    }
}

impl<'a> PathRuleView<'a> {
    /// The path without its terminator.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.path.to_bytes()
    }

    /// The path as the kernel takes it.
    #[must_use]
    pub fn as_c_str(&self) -> &'a CStr {
        self.path
    }
}

impl<'a> FilterView<'a> {
    /// How many instructions the filter has: 1 to [`MAX_INSNS`](crate::MAX_INSNS).
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len() / layout::INSN
    }

    /// A decoded filter has at least one instruction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The instructions in order.
    pub fn insns(self) -> impl Iterator<Item = Insn> + use<'a> {
        self.insns.as_chunks().0.iter().map(|&[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; layout::INSN]| Insn {
            code: u16::from_le_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_le_bytes([k0, k1, k2, k3]),
        })
    }

    /// The operands to fill with the cookie; each lies within the instructions and the cookie.
    pub fn cookie(self) -> impl Iterator<Item = CookieSite> + use<'a> {
        self.cookie
            .as_chunks()
            .0
            .iter()
            .map(|&[i0, i1, word, _]: &[u8; layout::COOKIE]| CookieSite { insn: u16::from_le_bytes([i0, i1]), word })
    }
}

/// Iterator over the port rules of a checked plan.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'a>(&'a [u8]);

impl Ports<'_> {
    fn well_formed(self) -> bool {
        self.0.chunks(layout::PORT).all(|rule| rule.get(10..).is_some_and(zeros))
    }
}

impl Iterator for Ports<'_> {
    type Item = PortRule;

    fn next(&mut self) -> Option<PortRule> {
        let mut rule = Reader(self.0);
        let (access, port) = (rule.u64()?, rule.u16()?);
        rule.take(6)?;
        self.0 = rule.0;
        Some(PortRule { port, access })
    }
}

/// Iterator over the path rules of a checked plan.
#[derive(Clone, Copy, Debug)]
pub struct Paths<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Paths<'a> {
    fn read(&mut self) -> Option<PathRuleView<'a>> {
        let mut reader = Reader(self.rest);
        let (access, length, missing) = (reader.u64()?, usize::from(reader.u16()?), reader.u8()?);
        let missing = match missing {
            0 => Missing::Skip,
            1 => Missing::Fail,
            _ => return None,
        };
        if length > layout::MAX_PATH_BYTES || !zeros(reader.take(5)?) {
            return None;
        }
        let path = CStr::from_bytes_with_nul(reader.take(length + 1)?).ok()?;
        if path.to_bytes().first() != Some(&b'/') || !zeros(reader.take(padding(length + 1))?) {
            return None;
        }
        self.rest = reader.0;
        self.left = self.left.checked_sub(1)?;
        Some(PathRuleView { access, missing, path })
    }
}

impl<'a> Iterator for Paths<'a> {
    type Item = PathRuleView<'a>;

    fn next(&mut self) -> Option<PathRuleView<'a>> {
        if self.left == 0 { None } else { self.read() }
    }
}

/// Iterator over the filters of a checked plan.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Filters<'a> {
    fn read(&mut self) -> Result<FilterView<'a>, DecodeError> {
        let mut reader = Reader(self.rest);
        let filter = Self::parts(&mut reader).ok_or(DecodeError::Filter)?;
        let sites = filter.cookie.chunks(layout::COOKIE).all(|site| site.get(3) == Some(&0));
        let within = filter
            .cookie()
            .all(|site| usize::from(site.insn) < filter.len() && usize::from(site.word) < layout::COOKIE_WORDS);
        if !sites || !within {
            return Err(DecodeError::Cookie);
        }
        self.rest = reader.0;
        self.left = self.left.saturating_sub(1);
        Ok(filter)
    }

    fn parts(reader: &mut Reader<'a>) -> Option<FilterView<'a>> {
        let (insns, cookies, flags) = (usize::from(reader.u16()?), usize::from(reader.u16()?), reader.u8()?);
        let known = flags & !layout::FLAG_SPEC_ALLOW == 0 && zeros(reader.take(3)?);
        if !known || insns == 0 || insns > layout::MAX_INSNS || cookies > layout::MAX_COOKIE_SITES {
            return None;
        }
        let program = reader.take(insns * layout::INSN)?;
        let cookie = reader.take(cookies * layout::COOKIE)?;
        zeros(reader.take(padding(cookies * layout::COOKIE))?).then_some(FilterView {
            spec_allow: flags & layout::FLAG_SPEC_ALLOW != 0,
            insns: program,
            cookie,
        })
    }
}

impl<'a> Iterator for Filters<'a> {
    type Item = FilterView<'a>;

    fn next(&mut self) -> Option<FilterView<'a>> {
        if self.left == 0 { None } else { self.read().ok() }
    }
}
