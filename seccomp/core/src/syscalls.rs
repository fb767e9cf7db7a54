//! System call names and their numbers, per ABI.

use std::fmt;

use crate::{Arch, near};

/// The bit that marks the number of an x32 call (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Row {
    name: &'static str,
    numbers: [u32; 5],
}

/// Sorted by name. Generated from `seccomp/data/syscalls.tsv`.
static ROWS: &[Row] = include!(concat!(env!("OUT_DIR"), "/syscalls.rs"));

/// By column of the ABI: every number, with the place in `ROWS`. Sorted.
static NUMBERS: [&[(u32, u16)]; 5] = include!(concat!(env!("OUT_DIR"), "/numbers.rs"));

/// A system call that some ABI has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syscall(u16);

impl Syscall {
    /// Its place in the list of all calls, below [`count`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        ROWS[self.index()].name
    }

    /// Its number under this ABI, without the x32 bit; `None` if the ABI has no such call.
    #[must_use]
    pub fn number(self, arch: Arch) -> Option<u32> {
        match ROWS[self.index()].numbers[arch.column()] {
            NONE => None,
            number => Some(number),
        }
    }
}

/// The version of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.12.
    pub major: u8,
    /// 12 of 6.12.
    pub minor: u8,
    /// 16 of 2.6.16; 0 from Linux 3 on.
    pub patch: u8,
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch == 0 { Ok(()) } else { write!(f, ".{}", self.patch) }
    }
}

/// By place in the list of all calls. Generated from `seccomp/data/since.tsv`.
static SINCE: &[KernelVersion] = include!(concat!(env!("OUT_DIR"), "/since.rs"));

/// The first kernel that had a call of this name, on any architecture.
#[must_use]
pub fn since(name: &str) -> Option<KernelVersion> {
    lookup(name).and_then(|call| SINCE.get(call.index())).copied().filter(|version| version.major > 0)
}

/// The call that somebody may have meant by a name that no call has.
#[must_use]
pub fn suggest(name: &str) -> Option<&'static str> {
    near::closest(name, names().map(Syscall::name))
}

fn at(index: usize) -> Option<Syscall> {
    u16::try_from(index).ok().map(Syscall)
}

/// How many calls there are.
#[must_use]
pub fn count() -> usize {
    ROWS.len()
}

/// The call with this name, exactly written.
#[must_use]
pub fn lookup(name: &str) -> Option<Syscall> {
    ROWS.binary_search_by(|row| row.name.cmp(name)).ok().and_then(at)
}

/// Every call that any ABI has, sorted by name.
pub fn names() -> impl Iterator<Item = Syscall> {
    (0..ROWS.len()).filter_map(at)
}

/// The name of a number under this ABI (x32: without its bit). Where a kernel header has two names for one number, the
/// alphabetically first.
#[must_use]
pub fn name_of(arch: Arch, number: u32) -> Option<&'static str> {
    let list = NUMBERS[arch.column()];
    let found = list.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    at(usize::from(list[found].1)).map(Syscall::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_numbers() {
        let number = |name, arch| lookup(name).and_then(|call| call.number(arch));
        assert_eq!(number("read", Arch::X86_64), Some(0));
        assert_eq!(number("execve", Arch::X86_64), Some(59));
        assert_eq!(number("execve", Arch::X32), Some(520));
        assert_eq!(number("execve", Arch::I386), Some(11));
        assert_eq!(number("execve", Arch::Aarch64), Some(221));
        assert_eq!(number("open", Arch::Aarch64), None);
        assert_eq!(number("listns", Arch::Aarch64), Some(470));
        assert_eq!(number("mseal", Arch::X86_64), Some(462));
        assert!(lookup("Read").is_none());
        assert!(lookup("").is_none());
    }

    #[test]
    fn versions() {
        let version = |name| since(name).map(|version| version.to_string());
        assert_eq!(version("read").as_deref(), Some("1.0"));
        assert_eq!(version("openat").as_deref(), Some("2.6.16"));
        assert_eq!(version("clone3").as_deref(), Some("5.3"));
        assert_eq!(version("clock_gettime64").as_deref(), Some("5.1"));
        assert_eq!(version("mseal").as_deref(), Some("6.10"));
        assert!(since("mseal") > since("cachestat"));
        assert_eq!(since("no_such_call"), None);
        let unknown: Vec<_> = names().map(Syscall::name).filter(|name| since(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn suggestions() {
        assert_eq!(suggest("openta"), Some("openat"));
        assert_eq!(suggest("SOCKET"), Some("socket"));
        assert_eq!(suggest("mseall"), Some("mseal"));
        assert_eq!(suggest("<syscall name>"), None);
        assert_eq!(suggest(""), None);
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let all: Vec<_> = names().map(Syscall::name).collect();
        assert!(all.len() > 450);
        assert_eq!(all.len(), count());
        assert!(names().enumerate().all(|(index, call)| call.index() == index));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn numbers_lead_back_to_names() {
        for arch in Arch::ALL {
            for call in names() {
                if let Some(number) = call.number(arch) {
                    let name = name_of(arch, number).expect("this number has a name");
                    assert_eq!(lookup(name).and_then(|found| found.number(arch)), Some(number));
                }
            }
            assert_eq!(name_of(arch, u32::MAX), None);
        }
    }
}
