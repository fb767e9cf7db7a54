//! Where each field of an encoded plan lies. Integers are little-endian; every part is a multiple of 8 bytes long.
//!
//! ```text
//! header   magic[6] version:u16 total:u32 role:u8 flags:u8 forbidden_connect:u16
//!          handled_fs:u64 handled_net:u64 scoped:u64 paths:u16 ports:u16 filters:u16 0:u16
//! ports    access:u64 port:u16 0[6]
//! paths    access:u64 len:u16 missing:u8 0[5] bytes[len] NUL, padded with NULs
//! filters  insns:u16 cookies:u16 flags:u8 0[3], insns × (code:u16 jt:u8 jf:u8 k:u32),
//!          cookies × (insn:u16 word:u8 0:u8), padded with zeros
//! ```

/// First bytes of every plan.
pub(crate) const MAGIC: [u8; 6] = *b"zcplan";
/// Version of the plan's format. The launcher refuses any other.
pub const VERSION: u16 = 1;

/// Upper bound of an encoded plan, in bytes.
pub const MAX_PLAN: usize = 256 * 1024;
/// Upper bound of path rules in a plan.
pub const MAX_PATHS: usize = 1024;
/// Upper bound of port rules in a plan.
pub const MAX_PORTS: usize = 1024;
/// Upper bound of a path, without its terminator (PATH_MAX − 1).
pub const MAX_PATH_BYTES: usize = 4095;
/// Upper bound of filters in a plan.
pub const MAX_FILTERS: usize = 4;
/// Upper bound of instructions in one filter (BPF_MAXINSNS).
pub const MAX_INSNS: usize = 4096;
/// Upper bound of cookie sites in one filter.
pub const MAX_COOKIE_SITES: usize = 256;
/// 32-bit words of the cookie: the two halves of the fourth, fifth and sixth argument.
pub const COOKIE_WORDS: usize = 6;
/// Bytes of the cookie.
pub const COOKIE_BYTES: usize = COOKIE_WORDS * 4;

pub(crate) const HEADER: usize = 48;
pub(crate) const PORT: usize = 16;
pub(crate) const INSN: usize = 8;
pub(crate) const COOKIE: usize = 4;

pub(crate) const FLAG_LANDLOCK: u8 = 1;
pub(crate) const FLAG_FORBIDDEN_CONNECT: u8 = 2;
pub(crate) const FLAG_NATIVE_ABI_ONLY: u8 = 4;
pub(crate) const FLAG_SPEC_ALLOW: u8 = 1;

/// Bytes that bring `length` to a multiple of 8.
pub(crate) const fn padding(length: usize) -> usize {
    length.wrapping_neg() % 8
}
