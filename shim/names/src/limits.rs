//! Every bound of this crate that somebody may notice.

/// Times and sizes. The default is what a container gets; tests make them smaller.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Seconds for which an answer is used at the least, whatever its TTL says.
    pub shortest_ttl: u32,
    /// Seconds for which an answer is used at the most.
    pub longest_ttl: u32,
    /// Seconds for which an address stays permitted after its answer ran out.
    pub grace: u32,
    /// Seconds for which a pinned name keeps its last good addresses when it cannot be resolved any more.
    pub stale: u32,
    /// Seconds after which a name that could not be resolved is asked for again.
    pub retry: u32,
    /// Seconds that all pinned names together may take at the start.
    pub start: u32,
    /// Seconds that one name below a wildcard may take.
    pub answer: u32,
    /// Most addresses of one family that are taken from an answer.
    pub addresses: usize,
    /// Seconds for which it is believed that a name below a wildcard does not exist, or has no address of a family.
    pub negative: u32,
    /// Names below wildcards that are remembered.
    pub remembered: usize,
    /// Bits that the workload may put into names below wildcards at once, and per minute after that.
    pub bits: (u32, u32),
    /// Answers that the workload gets at once, and per second after that. Whoever asks faster waits.
    pub answers: (u32, u32),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shortest_ttl: 5,
            longest_ttl: 3600,
            grace: 120,
            stale: 3600,
            retry: 5,
            start: 20,
            answer: 5,
            addresses: 16,
            negative: 30,
            remembered: 256,
            bits: (16_384, 4096),
            answers: (5000, 5000),
        }
    }
}

/// Most pinned names of a container.
pub const MAX_NAMES: usize = 1024;
/// Most permits of a container at a time, over all addresses, transports and ranges of ports.
pub const MAX_PERMITS: usize = 8192;
