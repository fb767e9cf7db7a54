//! Names that the workload asked for and that the policy does not have.

use std::collections::VecDeque;

use crate::gate::BootTime;
use crate::name::HostName;
use crate::snapshot::Unlisted;

/// Most names that are remembered: they are the workload's own words.
const MOST: usize = 64;

/// What is distinct, the one that was asked for last at the end.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    names: VecDeque<Unlisted>,
    forgotten: u64,
}

impl Asked {
    /// Takes a question in.
    pub(crate) fn add(&mut self, name: HostName, now: BootTime) {
        let known = self.names.iter().position(|other| other.name == name).and_then(|place| self.names.remove(place));
        let times = known.map_or(0, |known| known.times) + 1;
        if self.names.len() >= MOST {
            self.names.pop_front();
            self.forgotten += 1;
        }
        self.names.push_back(Unlisted { name, times, last: now });
    }

    /// The names, and how many had to make room.
    pub(crate) fn all(&self) -> (Vec<Unlisted>, u64) {
        (self.names.iter().cloned().collect(), self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut asked = Asked::default();
        let name = |number: usize| HostName::parse(&format!("N{number}.example.")).expect("a name");
        for number in 0..1000 {
            asked.add(name(number), BootTime(number as u64));
            asked.add(name(0), BootTime(number as u64));
        }
        let (names, forgotten) = asked.all();
        assert_eq!((names.len(), forgotten), (MOST, 1000 - MOST as u64));
        let last = names.last().expect("one");
        assert_eq!((last.name.as_str(), last.times, last.last), ("n0.example", 1001, BootTime(999)));
    }
}
