//! Compiles the presets, in every variant and for every native architecture, to static tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use zerocap_seccomp_core::intent::Intent;
use zerocap_seccomp_core::{Arch, Gate, Program, compile};

/// In the order of the bits of a variant's number: see `LastLayer::variant` in src/preset.rs, and the test there.
const KNOBS: [&str; 5] = ["platform", "listen", "unix", "fs-execute", "datagrams"];
const PRESETS: [&str; 5] = ["general", "strict", "minimal", "model-backend", "sandbox-blocklist"];

fn main() {
    let mut out = String::new();
    writeln!(out, "pub(super) const KNOBS: [&str; {}] = {KNOBS:?};", KNOBS.len()).expect("writing to a String");
    // Variants that compile to the same program share one table.
    let mut programs: BTreeMap<String, usize> = BTreeMap::new();
    for preset in PRESETS {
        let path = format!("presets/{preset}.toml");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let base = |name: &str| fs::read_to_string(format!("presets/{name}.toml")).ok();
        let intent = Intent::parse_with(&text, &base).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(intent.knobs.iter().all(|knob| KNOBS.contains(&knob.as_str())), "{path}: unknown knob");
        let mut variants = String::new();
        for bits in 0..1usize << KNOBS.len() {
            let on: BTreeSet<&str> =
                KNOBS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, knob)| *knob).collect();
            let mut table = |native: Arch| {
                let program = compile(&intent.profile(native, &on), native, Gate::LastCalls)
                    .unwrap_or_else(|error| panic!("{path} with {on:?}: {error}"));
                let next = programs.len();
                *programs.entry(source(&program)).or_insert(next)
            };
            let (x86_64, aarch64) = (table(Arch::X86_64), table(Arch::Aarch64));
            writeln!(
                variants,
                "Variant {{ x86_64: &P{x86_64}, aarch64: &P{aarch64}, refused: &{:?} }},",
                intent.refused(&on)
            )
            .expect("writing to a String");
        }
        let name = preset.to_uppercase().replace('-', "_");
        writeln!(
            out,
            "pub(super) const {name}_SUMMARY: &str = {:?};\n\
             pub(super) static {name}: [Variant; {}] = [\n{variants}];",
            intent.summary,
            1 << KNOBS.len()
        )
        .expect("writing to a String");
    }
    for (program, number) in &programs {
        writeln!(out, "static P{number}: StaticProgram = {program};").expect("writing to a String");
    }
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join("presets.rs"), out).expect("OUT_DIR is writable");
}

fn source(program: &Program) -> String {
    let mut text = String::from("StaticProgram { insns: &[\n");
    for insn in &program.insns {
        writeln!(text, "insn({:#x}, {}, {}, {:#x}),", insn.code, insn.jt, insn.jf, insn.k)
            .expect("writing to a String");
    }
    text.push_str("], cookie: &[");
    for site in &program.cookie {
        write!(text, "super::CookieSite {{ insn: {}, word: {} }}, ", site.insn, site.word)
            .expect("writing to a String");
    }
    text.push_str("] }");
    text
}
