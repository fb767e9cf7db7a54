//! Compiled filters against what they were compiled from, exactly: all numbers, all ABIs, all arguments. The walk decides
//! what a program answers to every call; comparing by meaning leaves nothing to a choice of examples.

use std::collections::BTreeSet;

use serde_json::Value;
use zerocap_seccomp::algebra::{Change, contains, differences, equal};
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::preset::{LastLayer, last_layer};
use zerocap_seccomp::walk::Walk;
use zerocap_seccomp::{
    Action, Arch, Condition, GATED_CALLS, Gate, Profile, Test, Width, compile, oci, walk::on_bitmap,
};

fn walked(insns: &[zerocap_seccomp::Insn], native: Arch) -> Profile {
    Walk::new(insns).expect("our own").profile(native).expect("a profile")
}

fn written(layer: &LastLayer, native: Arch) -> Profile {
    let text = |name: &str| {
        std::fs::read_to_string(format!("{}/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"))).expect("a preset")
    };
    let base = |name: &str| Some(text(name));
    let intent = Intent::parse_with(&text(layer.preset.name()), &base).expect("a valid preset");
    intent.profile(native, &layer.knobs().into_iter().collect::<BTreeSet<_>>())
}

/// Every preset, in every variant, for both native architectures: x86-64 with x32 and i386, aarch64 with arm. The gate
/// is the only difference between the filter and its TOML.
#[test]
fn every_built_in_filter_is_its_toml_and_the_gate() {
    let cookie: Vec<Condition> =
        (3..6).map(|arg| Condition::new(arg, Width::W64, Test::Eq(u64::MAX)).expect("below six")).collect();
    let mut gated = 0;
    let mut seen = BTreeSet::new();
    for layer in LastLayer::all() {
        for native in Arch::NATIVE {
            let program = last_layer(native, &layer).expect("a native architecture");
            // Variants that are the same program are looked at once.
            if !seen.insert(program.insns.as_ptr().addr()) {
                continue;
            }
            for difference in differences(native, &written(&layer, native), &walked(program.insns, native)) {
                let difference = difference.expect("decided");
                assert_eq!((difference.arch, difference.after), (native, Action::Allow), "{layer:?} {difference:?}");
                assert_eq!(difference.change(), Change::Looser);
                assert!(GATED_CALLS.contains(&difference.name.expect("a call")), "{layer:?} {difference:?}");
                assert!(cookie.iter().all(|condition| difference.conditions.contains(condition)), "{difference:?}");
                gated += 1;
            }
        }
    }
    assert!(seen.len() > 40 && gated >= 20, "{} {gated}", seen.len());
}

/// The profile that containerd gives to pods, with all its ABIs, through compiler and walk and back.
#[test]
fn the_runtime_default_comes_back() {
    let value: Value = serde_json::from_str(include_str!("../fixtures/runtime-default.json")).expect("valid JSON");
    let profile = oci::read(&value).expect("valid");
    for native in Arch::NATIVE {
        let program = compile(&profile, native, Gate::None).expect("small");
        let back = walked(&program.insns, native);
        assert!(equal(native, &profile, &back).expect("decided"), "{native:?}");
        for arch in native.family() {
            assert_eq!(back.table(*arch).is_some(), profile.table(*arch).is_some(), "{arch:?}");
        }
        assert!(on_bitmap(&program.insns, native, 63), "read and uname are allowed");
    }
    assert!(on_bitmap(&compile(&profile, Arch::X86_64, Gate::None).expect("small").insns, Arch::I386, 3), "i386 read");
}

/// `strict` allows nothing that `general` does not.
#[test]
fn presets_contain_each_other() {
    use zerocap_seccomp::preset::Preset;
    for native in Arch::NATIVE {
        let profile = |preset| written(&LastLayer { preset, ..LastLayer::default() }, native);
        let (general, strict) = (profile(Preset::General), profile(Preset::Strict));
        assert!(contains(native, &general, &strict).expect("decided"));
        assert!(!contains(native, &strict, &general).expect("decided"));
        let both = compile(&strict.intersect(&general), native, Gate::None).expect("small");
        assert!(equal(native, &strict, &walked(&both.insns, native)).expect("decided"));
    }
}
