//! What the kernel says about a process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The lines of a `/proc/PID/status`, by name.
#[derive(Debug, Clone)]
pub struct Status(BTreeMap<String, String>);

/// The five capability sets.
pub const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

impl Status {
    /// Reads the text of a status file.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect())
    }

    /// Reads a status file.
    pub fn read(path: &Path) -> io::Result<Self> {
        fs::read_to_string(path).map(|text| Self::parse(&text))
    }

    /// One line's value; empty if the kernel has no such line.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What is missing from full confinement; empty when nothing is.
    pub fn unconfined(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for set in CAPABILITY_SETS {
            if u64::from_str_radix(self.get(set), 16) != Ok(0) {
                missing.push(format!("{set} {}", self.get(set)));
            }
        }
        for (name, want) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            if self.get(name) != want {
                missing.push(format!("{name} {}", self.get(name)));
            }
        }
        missing
    }
}
