//! Which preset comes closest to what an author wanted, measured.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::deeds::{DEEDS, refused_names};
use super::subject::Subject;
use crate::intent::Intent;
use crate::preset::Preset;
use crate::{Action, Syscall, written};

/// How a preset compares with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The preset.
    pub preset: Preset,
    /// Things that the author refuses and the preset prevents in every way.
    pub prevented: Vec<&'static str>,
    /// Things that the author refuses and the preset leaves possible in some way.
    pub left: Vec<&'static str>,
    /// How many of the calls that ordinary software makes, and that the author does not refuse, it permits.
    pub kept: usize,
    /// Out of how many.
    pub of: usize,
}

/// Every preset against the profile, best first; empty where the profile refuses nothing by name.
pub(super) fn fits(subject: &Subject<'_>) -> Vec<Fit> {
    let refused = refused_names(subject);
    let wanted: Vec<_> = DEEDS.iter().filter(|deed| deed.concerns(&refused)).collect();
    if wanted.is_empty() || subject.filter.is_none() {
        return Vec::new();
    }
    let refused: BTreeSet<&str> = refused.into_iter().collect();
    let Some(general) = intent(Preset::General) else { return Vec::new() };
    let ordinary: Vec<Syscall> = subject
        .calls()
        .map(|(call, _)| call)
        .filter(|call| !refused.contains(call.name()) && permits(general, *call))
        .collect();
    let mut fits: Vec<Fit> = Preset::ALL
        .into_iter()
        .filter_map(|preset| {
            let intent = intent(preset)?;
            let answer = |name: &str, args: [u64; 6]| {
                let call = crate::lookup(name).filter(|call| call.number(subject.native()).is_some())?;
                Some(intent.decision(call, &BTreeSet::new()).action(&args))
            };
            let closed = |deed: &&&super::deeds::Deed| deed.fate(&answer).open.is_empty();
            let (prevented, left): (Vec<_>, Vec<_>) = wanted.iter().partition(closed);
            let what = |deeds: Vec<&&super::deeds::Deed>| deeds.into_iter().map(|deed| deed.what).collect();
            let kept = ordinary.iter().filter(|call| permits(intent, **call)).count();
            Some(Fit { preset, prevented: what(prevented), left: what(left), kept, of: ordinary.len() })
        })
        .collect();
    // What is prevented counts as much as what still works.
    fits.sort_by_key(|fit| std::cmp::Reverse(fit.prevented.len() * fit.kept));
    fits
}

/// A preset as it is written, read once.
fn intent(preset: Preset) -> Option<&'static Intent> {
    static READ: OnceLock<Vec<(Preset, Intent)>> = OnceLock::new();
    let read = READ.get_or_init(|| {
        Preset::ALL.into_iter().filter_map(|preset| Some((preset, written::preset(preset).ok()?))).collect()
    });
    read.iter().find(|(known, _)| *known == preset).map(|(_, intent)| intent)
}

fn permits(intent: &Intent, call: Syscall) -> bool {
    let decision = intent.decision(call, &BTreeSet::new());
    decision.clauses.iter().map(|clause| clause.action).chain([decision.otherwise]).any(Action::permits)
}
