//! The C library, opened at run time, as far as the comparison needs it.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;

use libloading::{Library, Symbol};
use zerocap_seccomp::{Arch, Insn};

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ArgCmp {
    pub arg: c_uint,
    /// `enum scmp_compare`: 1 NE, 2 LT, 3 LE, 4 EQ, 5 GE, 6 GT, 7 MASKED_EQ
    pub op: c_int,
    pub a: u64,
    pub b: u64,
}

pub struct Libseccomp(Library);

/// A filter under construction.
pub struct Filter<'a> {
    library: &'a Libseccomp,
    context: *mut c_void,
}

/// `SCMP_ARCH_*`
pub fn token(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => 0x4000_003e,
        other => other.audit(),
    }
}

impl Libseccomp {
    /// The library, if it is installed. A test that gets `None` has not run, and says so.
    pub fn open() -> Option<Self> {
        // SAFETY: libseccomp has no initialisers that could break an invariant of ours.
        match unsafe { Library::new("libseccomp.so.2") } {
            Ok(library) => Some(Self(library)),
            Err(error) => {
                // Not println: libtest would keep it back.
                let _ = writeln!(std::io::stderr(), "SKIPPED: libseccomp is not installed ({error})");
                None
            }
        }
    }

    fn symbol<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: every caller names the type that seccomp.h declares for this function.
        unsafe { self.0.get(name.as_bytes()) }.expect("libseccomp has it since 2.4")
    }

    /// Its version.
    #[allow(dead_code)]
    pub fn version(&self) -> (u8, u8, u8) {
        let version: Symbol<unsafe extern "C" fn() -> *const [c_uint; 3]> = self.symbol("seccomp_version");
        // SAFETY: it takes nothing and points to three numbers that live as long as the library.
        let [major, minor, micro] = unsafe { *version() };
        let small = |number: c_uint| u8::try_from(number).expect("a version");
        (small(major), small(minor), small(micro))
    }

    /// The number of a name: -1 unknown, below that known but not to this ABI.
    pub fn resolve(&self, arch: Arch, name: &str) -> i32 {
        let name = CString::new(name).expect("no zero byte");
        let resolve: Symbol<unsafe extern "C" fn(u32, *const c_char) -> c_int> =
            self.symbol("seccomp_syscall_resolve_name_arch");
        // SAFETY: the name ends with a zero byte and is only read.
        unsafe { resolve(token(arch), name.as_ptr()) }
    }

    pub fn filter(&self, default: u32) -> Filter<'_> {
        let init: Symbol<unsafe extern "C" fn(u32) -> *mut c_void> = self.symbol("seccomp_init");
        // SAFETY: it takes a plain value; the result is checked.
        let context = unsafe { init(default) };
        assert!(!context.is_null(), "seccomp_init({default:#x})");
        Filter { library: self, context }
    }
}

impl Filter<'_> {
    pub fn add_arch(&self, arch: Arch) {
        let add: Symbol<unsafe extern "C" fn(*mut c_void, u32) -> c_int> = self.library.symbol("seccomp_arch_add");
        // SAFETY: the context lives until drop.
        let result = unsafe { add(self.context, token(arch)) };
        assert!(result == 0 || result == -libc::EEXIST, "seccomp_arch_add: {result}");
    }

    pub fn remove_arch(&self, arch: Arch) {
        let remove: Symbol<unsafe extern "C" fn(*mut c_void, u32) -> c_int> =
            self.library.symbol("seccomp_arch_remove");
        // SAFETY: the context lives until drop.
        assert_eq!(unsafe { remove(self.context, token(arch)) }, 0);
    }

    /// `SCMP_FLTATR_CTL_OPTIMIZE`: 2 = binary tree.
    pub fn optimize(&self, level: u32) {
        let set: Symbol<unsafe extern "C" fn(*mut c_void, c_int, u32) -> c_int> =
            self.library.symbol("seccomp_attr_set");
        // SAFETY: the context lives until drop.
        assert_eq!(unsafe { set(self.context, 8, level) }, 0);
    }

    /// 0, or a negative errno.
    pub fn add_rule(&self, action: u32, number: i32, conditions: &[ArgCmp]) -> i32 {
        let add: Symbol<unsafe extern "C" fn(*mut c_void, u32, c_int, c_uint, *const ArgCmp) -> c_int> =
            self.library.symbol("seccomp_rule_add_array");
        // SAFETY: pointer and length are of one slice that is only read.
        unsafe { add(self.context, action, number, conditions.len() as c_uint, conditions.as_ptr()) }
    }

    /// The filter that libseccomp would load.
    pub fn export(&self) -> Vec<Insn> {
        let export: Symbol<unsafe extern "C" fn(*mut c_void, c_int) -> c_int> =
            self.library.symbol("seccomp_export_bpf");
        let mut file = tempfile::tempfile().expect("a temporary file");
        // SAFETY: the context lives until drop, the descriptor until the end of this function.
        assert_eq!(unsafe { export(self.context, file.as_raw_fd()) }, 0);
        file.rewind().expect("a file");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("a file");
        assert_eq!(bytes.len() % 8, 0);
        let insn = |b: &[u8]| Insn {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        };
        bytes.chunks_exact(8).map(insn).collect()
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        let release: Symbol<unsafe extern "C" fn(*mut c_void)> = self.library.symbol("seccomp_release");
        // SAFETY: the context came from seccomp_init and is released once.
        unsafe { release(self.context) }
    }
}
