//! The allocator's unused memory.
#![allow(unsafe_code)]

/// Gives memory that is free inside the allocator back to the kernel.
///
/// Creating a container takes a megabyte for a moment (spec, filters, plan); a shim lives for weeks, and a node has
/// hundreds.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only works on the allocator's own free lists, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
