//! What annotations that changed after the start of the pod may still do: tighten, and nothing else.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::knob::Knob;

/// A knob whose value now differs from the one at the start of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Which knob.
    pub knob: Knob,
    /// The value at the start of the pod, as an annotation would write it; absent where it had none.
    pub frozen: Option<String>,
    /// The value that the annotations ask for now.
    pub now: Option<String>,
    /// What came of it.
    pub effect: Effect,
}

/// What came of a later difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The new value is stricter and holds.
    Tightened,
    /// The new value is looser, or cannot be compared; the one at the start of the pod holds.
    Ignored,
}

impl Policy {
    /// Takes from `now` what is stricter, and notes every difference.
    pub(super) fn tighten(&mut self, now: &Policy) {
        for knob in Knob::ALL {
            let effect = match now.settings.compare(knob, &self.settings) {
                Some(Ordering::Equal) => continue,
                Some(Ordering::Greater) if !self.excludes(knob) => Effect::Tightened,
                _ => Effect::Ignored,
            };
            self.differences.push(Difference {
                knob,
                frozen: self.settings.text(knob),
                now: now.settings.text(knob),
                effect,
            });
            if effect == Effect::Tightened {
                self.settings.copy(knob, &now.settings);
                if let Some(source) = now.sources.get(&knob) {
                    self.sources.insert(knob, source.clone());
                }
            }
        }
    }

    /// `filesystem: read-only` and `fs-write` cannot hold together; whichever held first goes on to hold.
    fn excludes(&self, knob: Knob) -> bool {
        match knob {
            Knob::FsWrite => self.read_only(),
            Knob::Filesystem => self.settings.fs_write.is_some(),
            _ => false,
        }
    }
}
