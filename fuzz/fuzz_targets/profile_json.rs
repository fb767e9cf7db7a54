//! Any text is refused with a place inside it, or is a profile that becomes a filter which the kernel would take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zerocap_seccomp::oci::docker::{Target, resolve};
use zerocap_seccomp::oci::source::Source;
use zerocap_seccomp::{Arch, Gate, check, compile, oci};

fuzz_target!(|text: &str| {
    let Ok(source) = Source::parse(text.to_owned()) else { return };
    assert!(text.get(source.span("syscalls[0].args[0].op")).is_some());
    for arch in Arch::NATIVE {
        let target = Target { arch, capabilities: Default::default(), kernel: (6, 12) };
        let resolved = resolve(source.value(), &target);
        let documents = [Some(source.value().clone()), resolved.ok().map(|resolved| resolved.seccomp)];
        for profile in documents.iter().flatten().filter_map(|document| oci::read(document).ok()) {
            if let Ok(program) = compile(&profile, arch, Gate::None) {
                check(&program.insns).expect("the compiler emits what the kernel takes");
            }
        }
    }
});
