//! What can go wrong with a packet fence.

use std::io;

/// A fence could not be made, or not put in place.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// There is no cgroup v2 tree here.
    #[error("no cgroup v2 tree can be used: {0}")]
    NoTree(#[source] io::Error),
    /// The kernel refused a map.
    #[error("the kernel refuses the map {map} of the packet fence: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refused a program.
    #[error("the kernel refuses the program {hook} of the packet fence: {source}{}", last_line(log))]
    Program {
        /// Where the program belongs.
        hook: &'static str,
        /// The kernel's error.
        source: io::Error,
        /// What the verifier said; empty where it did not come so far.
        log: String,
    },
    /// A map did not take an entry.
    #[error("the map {map} of the packet fence does not take an entry: {source}")]
    Entry {
        /// The map's name.
        map: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The rules need more entries than a fence has room for.
    #[error("the policy needs {entries} entries in the packet fence, at most {limit} fit")]
    TooLarge {
        /// How many are needed.
        entries: usize,
        /// How many fit.
        limit: usize,
    },
    /// A cgroup above has a program that excludes others, or would be switched off for the container by ours.
    #[error("the cgroup {group} has a {hook} program that was attached {how}")]
    Parent {
        /// The cgroup's path in its tree.
        group: String,
        /// Which kind of program.
        hook: &'static str,
        /// How it was attached.
        how: &'static str,
    },
    /// The kernel refused to attach.
    #[error("the program {hook} of the packet fence cannot be attached to the cgroup {group}: {source}")]
    Attach {
        /// The cgroup's path in its tree.
        group: String,
        /// Which kind of program.
        hook: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A cgroup could not be made, entered, read or removed.
    #[error("cannot {what} the cgroup {group}: {source}")]
    Group {
        /// The step.
        what: &'static str,
        /// The cgroup's path in its tree.
        group: String,
        /// The system's error.
        source: io::Error,
    },
    /// The fence is not where it must be.
    #[error("{0}")]
    NotInForce(String),
}

/// The verifier's verdict stands in the last lines of its log.
fn last_line(log: &str) -> String {
    log.lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with("processed"))
        .map_or(String::new(), |line| format!(": {line}"))
}
