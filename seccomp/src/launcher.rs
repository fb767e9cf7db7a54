//! What the launcher asks of the filters above it.

/// The calls that the launcher makes, and that the OCI layer therefore has to allow whatever their arguments. The last
/// five are made after our own filter is loaded; there they pass by cookie.
pub const LAUNCHER_CALLS: &[&str] = &[
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
    "execve",
    "exit_group",
    "read",
    "seccomp",
    "write",
];

/// The arguments with which the launcher makes a call that profiles commonly allow under a condition: the TCP socket of
/// the connect that has to fail.
pub(crate) fn example_args(name: &str) -> Option<[u64; 6]> {
    const AF_INET: u64 = 2;
    const SOCK_STREAM_CLOEXEC: u64 = 0x80001;
    (name == "socket").then_some([AF_INET, SOCK_STREAM_CLOEXEC, 0, 0, 0, 0])
}
