//! Filters as bytes: an array of `struct sock_filter`, as `bwrap --seccomp` takes it and `seccomp_export_bpf` writes it.

use crate::{CheckError, Insn, MAX_INSNS, check};

/// Size of `struct sock_filter` in bytes.
const SIZE: usize = 8;

/// Bytes that are no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// Nothing there.
    #[error("the file is empty: a filter has at least one instruction of {SIZE} bytes")]
    Empty,
    /// Not whole instructions.
    #[error("{0} bytes are no whole number of instructions of {SIZE} bytes: the file was cut off or is no filter")]
    Cut(usize),
    /// More than the kernel takes.
    #[error("{0} bytes are more than the {MAX_INSNS} instructions of {SIZE} bytes that the kernel takes")]
    Long(usize),
    /// The kernel would refuse it.
    #[error("the kernel would refuse this filter: {0}")]
    Check(#[from] CheckError),
}

/// How many bytes a filter has at most: more need not be read to know that they are none.
pub const MAX_RAW: usize = MAX_INSNS * SIZE;

/// Read a filter, little endian, and check it as the kernel does before it loads one.
///
/// # Errors
///
/// [`RawError`] says what is wrong, and at which instruction.
pub fn read_raw(bytes: &[u8]) -> Result<Vec<Insn>, RawError> {
    match bytes.len() {
        0 => return Err(RawError::Empty),
        length if length > MAX_RAW => return Err(RawError::Long(length)),
        length if !length.is_multiple_of(SIZE) => return Err(RawError::Cut(length)),
        _ => {}
    }
    let (whole, _) = bytes.as_chunks::<SIZE>();
    let insns: Vec<Insn> = whole
        .iter()
        .map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| Insn {
            code: u16::from_le_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_le_bytes([k0, k1, k2, k3]),
        })
        .collect();
    check(&insns)?;
    Ok(insns)
}

/// A filter as bytes, little endian.
#[must_use]
pub fn write_raw(insns: &[Insn]) -> Vec<u8> {
    insns
        .iter()
        .flat_map(|insn| {
            let [c0, c1] = insn.code.to_le_bytes();
            let [k0, k1, k2, k3] = insn.k.to_le_bytes();
            [c0, c1, insn.jt, insn.jf, k0, k1, k2, k3]
        })
        .collect()
}
