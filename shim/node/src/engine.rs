//! In what the engines differ, by their name.

use zerocap_annotations::EngineTraits;

/// What the translation must know of an engine. The name is that of the program, with or without its path.
///
/// Only of runc and crun it was seen that they give a container's seccomp profile to what is executed into it; of any
/// other engine the opposite is assumed, so that the launch plan carries the profile. Twice is harmless.
pub fn traits(name: &str) -> EngineTraits {
    let program = name.rsplit('/').next().unwrap_or(name);
    let calls: &[&str] = if program == "youki" { &YOUKI_AFTER_SECCOMP } else { &[] };
    EngineTraits {
        name: program.to_owned(),
        seccomp_on_exec: matches!(program, "runc" | "crun"),
        calls_after_seccomp: calls.iter().map(|call| (*call).to_owned()).collect(),
    }
}

/// youki 0.7 loads the profile, looks HOME up and the program, reports, and waits for `start` at a socket.
/// As seen by strace; with these and `execve` alone it starts a container.
const YOUKI_AFTER_SECCOMP: [&str; 13] = [
    "accept4",
    "brk",
    "close",
    "fstat",
    "lseek",
    "mmap",
    "munmap",
    "newfstatat",
    "openat",
    "read",
    "recvfrom",
    "sendmsg",
    "statx",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_youki_waits_under_its_filter() {
        assert!(traits("/opt/youki").calls_after_seccomp.contains(&"accept4".to_owned()));
        for other in ["runc", "crun", "zerocap-engine", "embedded"] {
            assert!(traits(other).calls_after_seccomp.is_empty(), "{other}");
        }
    }

    #[test]
    fn an_unknown_engine_is_not_trusted_with_the_profile() {
        assert!(traits("runc").seccomp_on_exec);
        assert!(traits("/usr/bin/crun").seccomp_on_exec);
        assert_eq!(traits("/usr/bin/crun").name, "crun");
        for other in ["youki", "zerocap-engine", "my-runc", ""] {
            assert!(!traits(other).seccomp_on_exec, "{other}");
        }
    }
}
