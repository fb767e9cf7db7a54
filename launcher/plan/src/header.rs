//! The front of a plan.

use crate::layout;
use crate::reader::Reader;
use crate::{DecodeError, Role};

/// The header's fields, each within its bounds.
pub(crate) struct Header {
    pub(crate) total: u32,
    pub(crate) role: Role,
    pub(crate) flags: u8,
    pub(crate) forbidden_connect: u16,
    pub(crate) handled_fs: u64,
    pub(crate) handled_net: u64,
    pub(crate) scoped: u64,
    pub(crate) paths: u16,
    pub(crate) ports: u16,
    pub(crate) filters: u16,
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        if reader.take(layout::MAGIC.len()) != Some(&layout::MAGIC) {
            return Err(DecodeError::Magic);
        }
        if reader.u16() != Some(layout::VERSION) {
            return Err(DecodeError::Version);
        }
        let header = Self::fields(&mut reader).ok_or(DecodeError::Header)?;
        let bounds = [
            (header.paths, layout::MAX_PATHS),
            (header.ports, layout::MAX_PORTS),
            (header.filters, layout::MAX_FILTERS),
        ];
        if bounds.iter().any(|&(count, limit)| usize::from(count) > limit) {
            return Err(DecodeError::Count);
        }
        Ok(header)
    }

    fn fields(reader: &mut Reader<'_>) -> Option<Self> {
        let total = reader.u32()?;
        let role = match reader.u8()? {
            0 => Role::Init,
            1 => Role::Exec,
            _ => return None,
        };
        let header = Self {
            total,
            role,
            flags: reader.u8()?,
            forbidden_connect: reader.u16()?,
            handled_fs: reader.u64()?,
            handled_net: reader.u64()?,
            scoped: reader.u64()?,
            paths: reader.u16()?,
            ports: reader.u16()?,
            filters: reader.u16()?,
        };
        let known = layout::FLAG_LANDLOCK | layout::FLAG_FORBIDDEN_CONNECT | layout::FLAG_NATIVE_ABI_ONLY;
        let no_landlock = header.flags & layout::FLAG_LANDLOCK == 0;
        let unused =
            header.handled_fs | header.handled_net | header.scoped | u64::from(header.paths) | u64::from(header.ports);
        let stray_port = header.flags & layout::FLAG_FORBIDDEN_CONNECT == 0 && header.forbidden_connect != 0;
        let wrong = header.flags & !known != 0 || reader.u16()? != 0 || (no_landlock && unused != 0) || stray_port;
        (!wrong).then_some(header)
    }
}
