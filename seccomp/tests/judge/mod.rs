//! What must hold for any bytes: asked by the fuzzers, and of their corpus by tests/corpus.rs.

use std::collections::BTreeSet;

use zerocap_seccomp::algebra::equal;
use zerocap_seccomp::intent::Intent;
use zerocap_seccomp::walk::{Walk, read_raw, write_raw};
use zerocap_seccomp::{Action, Arch, Gate, SeccompData, check, compile, disassemble, interpret, oci};

/// Any bytes are an error, or a filter that is walked as it is interpreted, and comes back through profile and compiler.
/// Returns whether they were a filter.
pub fn raw_filter(bytes: &[u8]) -> bool {
    let Ok(insns) = read_raw(bytes) else { return false };
    assert_eq!(write_raw(&insns), bytes);
    assert_eq!(check(&insns), Ok(()));
    assert_eq!(disassemble(&insns).len(), insns.len());
    let Ok(mut walk) = Walk::new(&insns) else { return true };
    let profile = walk.profile(Arch::X86_64).ok();
    let args = [[0; 6], [1; 6], [u64::MAX; 6], [1 << 32; 6], [0x1000_0000, 2, 8, 0, 0, 0]];
    for arch in Arch::X86_64.family() {
        // Where the filter looks, as far as its constants tell.
        let numbers = insns.iter().map(|insn| insn.k & 0x3fff).chain([0, 56, 101, 435]).take(64);
        for (number, args) in numbers.zip(args.iter().cycle()) {
            let data = SeccompData { instruction_pointer: 0x7fff_0000_1234, ..arch.call(number, *args) };
            let answer = Action::from_ret(interpret(&insns, &data).expect("checked"));
            assert_eq!(walk.action(&data), answer, "{data:x?}");
            if let Some(profile) = &profile {
                assert_eq!(profile.action(Arch::X86_64, &data), answer, "{data:x?}");
            }
        }
    }
    if let Some(profile) = profile
        && let Ok(program) = compile(&profile, Arch::X86_64, Gate::None)
        && let Ok(back) =
            Walk::new(&program.insns).map_err(|_| ()).and_then(|mut walk| walk.profile(Arch::X86_64).map_err(|_| ()))
    {
        assert_ne!(equal(Arch::X86_64, &profile, &back), Ok(false));
    }
    true
}

/// Any text is an error, or a profile whose filter means it. Returns whether it was a profile.
pub fn intent(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    const BASE: &str =
        "version = 1\nsummary = \"s\"\n[answers]\nknown = \"EPERM\"\nunknown = \"ENOSYS\"\nforeign = \"ENOSYS\"\n";
    let base = |name: &str| (name == "base").then(|| BASE.to_owned());
    let Ok(intent) = Intent::parse_with(text, &base) else { return false };
    let on: BTreeSet<&str> = intent.knobs.iter().map(String::as_str).collect();
    for native in Arch::NATIVE {
        let profile = intent.profile(native, &on);
        if let Ok(program) = compile(&profile, native, Gate::None) {
            assert_eq!(check(&program.insns), Ok(()));
            if let Ok(back) =
                Walk::new(&program.insns).map_err(|_| ()).and_then(|mut walk| walk.profile(native).map_err(|_| ()))
            {
                assert_ne!(equal(native, &profile, &back), Ok(false));
            }
        }
    }
    true
}

/// Any JSON is an error, or a profile whose filter means it. Returns whether it was a profile.
pub fn oci_json(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice(bytes) else { return false };
    let Ok(profile) = oci::read(&value) else { return false };
    for native in Arch::NATIVE {
        if let Ok(program) = compile(&profile, native, Gate::None)
            && let Ok(back) =
                Walk::new(&program.insns).map_err(|_| ()).and_then(|mut walk| walk.profile(native).map_err(|_| ()))
        {
            assert_ne!(equal(native, &profile, &back), Ok(false));
        }
    }
    true
}
