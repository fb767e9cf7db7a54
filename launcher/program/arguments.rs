//! What the kernel laid on the stack: the launcher's arguments, of which all but the first are the workload's, and the environment.

use core::ffi::{CStr, c_char};

/// The workload's part of the arguments.
pub struct Workload {
    /// Its `argv[0]`: the program, by path or by name.
    pub name: &'static CStr,
    /// Its `argv`.
    pub arguments: *const *const c_char,
    /// Its `envp`, untouched.
    pub environment: *const *const c_char,
}

/// Arguments and environment of this process.
pub struct Arguments {
    count: usize,
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

impl Arguments {
    /// # Safety
    /// `stack` must be the initial stack pointer: argc, argv, NULL, envp, NULL.
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: as the caller promised; argv[argc] is NULL and envp follows it.
        unsafe {
            let count = *stack;
            let arguments = stack.add(1).cast();
            Self { count, arguments, environment: stack.add(count + 2).cast() }
        }
    }

    /// What follows the launcher's own name; `None` if nothing does.
    pub fn workload(&self) -> Option<Workload> {
        if self.count < 2 {
            return None;
        }
        // SAFETY: argv[1] exists, is a NUL-terminated string and stays where it is until execve.
        let (arguments, name) = unsafe {
            let arguments = self.arguments.add(1);
            (arguments, CStr::from_ptr(*arguments))
        };
        Some(Workload { name, arguments, environment: self.environment })
    }

    /// The value of PATH. The last one counts, as it does for the engines.
    pub fn search_path(&self) -> &'static [u8] {
        let mut found: &[u8] = &[];
        let mut at = self.environment;
        loop {
            // SAFETY: envp ends with NULL, and `at` has not passed it; entries are NUL-terminated and never move.
            let entry = unsafe {
                if (*at).is_null() {
                    return found;
                }
                let start: *const u8 = (*at).cast();
                at = at.add(1);
                // Environments may be large: only entries that begin like PATH are measured.
                if !starts_with_path(start) {
                    continue;
                }
                CStr::from_ptr(start.cast()).to_bytes()
            };
            found = entry.get(PREFIX.len()..).unwrap_or_default();
        }
    }
}

const PREFIX: &[u8] = b"PATH=";

/// # Safety
/// `entry` must be a NUL-terminated string.
unsafe fn starts_with_path(entry: *const u8) -> bool {
    // SAFETY: the comparison stops at the first byte that differs, thus at the terminator at the latest.
    PREFIX.iter().enumerate().all(|(index, &byte)| unsafe { *entry.add(index) } == byte)
}
