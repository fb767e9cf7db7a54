//! Harmless attempts at what a confined program must not do: each is made once outside and once inside a sandbox.
//!
//! A probe touches only what the one who asks has made for it ([`World`]): listeners on loopback, a process that waits, a
//! folder. Each runs in a process of its own, so that what one changes about itself does not reach the next.

mod attempts;
mod sys;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// The name of the unix listener in the world's folder.
pub const SOCKET: &str = "socket";

/// What the probes are pointed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// A TCP listener on 127.0.0.1, not the proxy's.
    pub tcp: u16,
    /// A UDP socket on 127.0.0.1.
    pub udp: u16,
    /// The abstract name of a unix listener.
    pub unix: String,
    /// A process of the same user that does nothing.
    pub neighbour: i32,
    /// An open descriptor that nobody meant to hand on.
    pub descriptor: i32,
    /// A folder that may be written; in it a unix listener, [`SOCKET`].
    pub folder: PathBuf,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was permitted.
    Succeeded,
    /// It was refused, with this error.
    Refused(String),
    /// It could not be made, so nothing is known.
    Untried(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => out.write_str("succeeded"),
            Self::Refused(why) => write!(out, "refused {why}"),
            Self::Untried(why) => write!(out, "untried {why}"),
        }
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.trim().split_once(' ').unwrap_or((text.trim(), "")) {
            ("succeeded", "") => Ok(Self::Succeeded),
            ("refused", why) => Ok(Self::Refused(why.to_owned())),
            ("untried", why) => Ok(Self::Untried(why.to_owned())),
            _ => Err(()),
        }
    }
}

/// An attempt.
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// What an attacker gains by it, in a few words.
    pub gain: &'static str,
    attempt: fn(&World) -> io::Result<()>,
}

impl Probe {
    /// Every probe, in the order of the table.
    #[must_use]
    pub fn all() -> &'static [Self] {
        attempts::ALL
    }

    /// The probe of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|probe| probe.name == name)
    }

    /// Makes the attempt, in this process.
    #[must_use]
    pub fn attempt(&self, world: &World) -> Outcome {
        match (self.attempt)(world) {
            Ok(()) => Outcome::Succeeded,
            Err(error) => Outcome::Refused(sys::name_of(&error)),
        }
    }
}

impl World {
    /// The world as arguments of a command line.
    #[must_use]
    pub fn to_arguments(&self) -> [String; 6] {
        [
            self.tcp.to_string(),
            self.udp.to_string(),
            self.unix.clone(),
            self.neighbour.to_string(),
            self.descriptor.to_string(),
            self.folder.to_string_lossy().into_owned(),
        ]
    }

    /// The world from such arguments; `None` if they are not that.
    #[must_use]
    pub fn from_arguments(arguments: &[String]) -> Option<Self> {
        let [tcp, udp, unix, neighbour, descriptor, folder] = arguments else { return None };
        Some(Self {
            tcp: tcp.parse().ok()?,
            udp: udp.parse().ok()?,
            unix: unix.clone(),
            neighbour: neighbour.parse().ok()?,
            descriptor: descriptor.parse().ok()?,
            folder: folder.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_worlds_cross_a_command_line() {
        for outcome in [Outcome::Succeeded, Outcome::Refused("EPERM".into()), Outcome::Untried("no such call".into())] {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
        }
        assert_eq!("".parse::<Outcome>(), Err(()));
        assert_eq!("succeeded twice".parse::<Outcome>(), Err(()));
        let world =
            World { tcp: 1, udp: 2, unix: "name".into(), neighbour: 3, descriptor: 7, folder: "/a folder".into() };
        assert_eq!(World::from_arguments(&world.to_arguments()), Some(world));
        assert_eq!(World::from_arguments(&[]), None);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<&str> = Probe::all().iter().map(|probe| probe.name).collect();
        assert_eq!(names.len(), Probe::all().len());
        assert!(names.iter().all(|name| Probe::find(name).is_some_and(|probe| !probe.gain.is_empty())));
    }
}
