//! Which preset stands for which: `within` is by meaning, for every knob, and complete.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::argument_classes;
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::preset::{LastLayer, Preset};
use zerocap_seccomp::{Arch, Decision, SeccompData, names};

fn intent(preset: Preset) -> Intent {
    let text = |name: &str| fs::read_to_string(format!("{}/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"))).ok();
    Intent::parse_with(&text(preset.name()).expect("the preset"), &text).expect("valid")
}

/// The first call that `ours` answers less strictly than `theirs`.
fn looser(ours: (&Intent, &LastLayer), theirs: (&Intent, &LastLayer)) -> Option<&'static str> {
    let on = |layer: &LastLayer| -> BTreeSet<&str> { layer.knobs().into_iter().collect() };
    let (ours_on, theirs_on) = (on(ours.1), on(theirs.1));
    for native in Arch::NATIVE {
        let profiles = [ours.0.profile(native, &ours_on), theirs.0.profile(native, &theirs_on)];
        for call in names() {
            let Some(nr) = call.number(native) else { continue };
            let decisions = [ours.0.decision(call, &ours_on), theirs.0.decision(call, &theirs_on)];
            let clauses = decisions.iter().flat_map(|decision| decision.clauses.clone()).collect();
            let both = Decision { clauses, otherwise: decisions[0].otherwise };
            for args in argument_classes(&both, 20_000) {
                let data = SeccompData { nr, arch: native.audit(), instruction_pointer: 0, args };
                let [ours, theirs] = [0, 1].map(|index| profiles[index].action(native, &data));
                if theirs.stricter_than(ours) {
                    return Some(call.name());
                }
            }
        }
        // What the tables do not have, and other ABIs.
        for (arch, nr) in [(native.audit(), 5_000), (0x4000_0003, 20), (0xc000_003e, 0x4000_0000)] {
            let data = SeccompData { nr, arch, instruction_pointer: 0, args: [0; 6] };
            let [ours, theirs] = [0, 1].map(|index: usize| profiles[index].action(native, &data));
            if theirs.stricter_than(ours) {
                return Some("a call without a name");
            }
        }
    }
    None
}

/// The variants of two presets with the same knobs.
fn pairs(a: Preset, b: Preset) -> impl Iterator<Item = (LastLayer, LastLayer)> {
    LastLayer::all().filter(move |layer| layer.preset == a).map(move |layer| (layer, LastLayer { preset: b, ..layer }))
}

#[test]
fn within_is_what_the_filters_mean() {
    let intents = Preset::ALL.map(intent);
    for (a, ours) in Preset::ALL.into_iter().zip(&intents) {
        for (b, theirs) in Preset::ALL.into_iter().zip(&intents) {
            let found = pairs(a, b).find_map(|(x, y)| looser((ours, &x), (theirs, &y)).map(|call| (call, x)));
            assert_eq!(found.is_none(), a.within(b), "{a:?} within {b:?}: {found:?}");
        }
    }
}

/// A preset that keeps platform mode's promises is no looser than `general`, but that its unix sockets may listen where no other
/// one can be made.
#[test]
fn keeping_the_platforms_promises_is_what_the_filters_mean() {
    let general = intent(Preset::General);
    for preset in Preset::ALL {
        let ours = intent(preset);
        for (layer, other) in pairs(preset, Preset::General).filter(|(layer, _)| layer.platform) {
            let no_tcp = preset == Preset::ModelBackend;
            let other = LastLayer { listen: other.listen || no_tcp, ..other };
            let found = looser((&ours, &layer), (&general, &other));
            assert_eq!(found.is_none(), preset.keeps_platform(), "{layer:?}: {found:?}");
            if no_tcp {
                let socket = zerocap_seccomp::lookup("socket").expect("known");
                let on: BTreeSet<&str> = layer.knobs().into_iter().collect();
                for family in (0..64).filter(|family| *family != 1) {
                    for kind in 0..16 {
                        assert!(ours.decision(socket, &on).action(&[family, kind, 0, 0, 0, 0]).refuses());
                    }
                }
            }
        }
    }
}
