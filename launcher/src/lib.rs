//! The launcher as bytes: what the shim puts into the directory that it mounts at [`zerocap_plan::MOUNT_POINT`].
//!
//! The program itself is in `program/`; `build.rs` compiles it. See [`zerocap_plan`] for what it executes.

// Only for `cargo fmt`, which formats what it can reach.
#[cfg(any())]
#[path = "../program/main.rs"]
mod program;

/// The static program, for the architecture that this crate is built for.
pub const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));

/// The most that [`BYTES`] may have.
pub const MAX_BYTES: usize = 16 * 1024;

/// The mode of the launcher's file: without read permission the kernel keeps its memory from processes of the same user.
pub const MODE: u32 = 0o111;

/// System calls that the launcher makes before its last filter is loaded.
pub const CALLS: &[&str] = &[
    "close",
    "close_range",
    "connect",
    "faccessat2",
    "fcntl",
    "fstat",
    "getcwd",
    "getrandom",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "openat",
    "openat2",
    "prctl",
    "pread64",
    "socket",
];

/// System calls that the launcher makes while filters of its own are loaded already, with the cookie in the arguments that
/// they do not use.
pub const LAST_CALLS: &[&str] = &["execve", "exit_group", "read", "seccomp", "write"];
