//! `zerocap seccomp compile` and `presets`.

use std::fs;

use assert_cmd::Command;
use serde_json::Value;
use zerocap_seccomp::preset::Preset;
use zerocap_seccomp::{Gate, Insn, compile, lookup, oci, written};

fn zerocap(arguments: &[&str]) -> std::process::Output {
    Command::cargo_bin("zerocap").unwrap().arg("seccomp").args(arguments).output().unwrap()
}

fn insns(bytes: &[u8]) -> Vec<Insn> {
    let halves =
        |chunk: &[u8]| (u16::from_ne_bytes([chunk[0], chunk[1]]), u32::from_ne_bytes(chunk[4..].try_into().unwrap()));
    bytes
        .chunks_exact(8)
        .map(|chunk| {
            let (code, k) = halves(chunk);
            Insn { code, jt: chunk[2], jf: chunk[3], k }
        })
        .collect()
}

/// Not by eprintln, which libtest keeps back: whoever counts must see it.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

#[test]
fn every_preset_compiles_for_both_architectures() {
    for preset in Preset::ALL {
        for arch in zerocap_seccomp::Arch::NATIVE {
            let output = zerocap(&["compile", preset.name(), "--arch", arch.name(), "--knob", "none"]);
            assert!(output.status.success(), "{output:?}");
            let intent = written::preset(preset).unwrap();
            let meant = compile(&intent.profile(arch, &Default::default()), arch, Gate::None).unwrap();
            assert_eq!(insns(&output.stdout), meant.insns);
        }
    }
}

/// By name: what is refused whatever the arguments stays refused, and nothing else is.
#[test]
fn oci_output_is_read_back_as_it_was_meant() {
    for preset in Preset::ALL {
        for arch in zerocap_seccomp::Arch::NATIVE {
            let output = zerocap(&["compile", preset.name(), "--to", "oci", "--arch", arch.name()]);
            let json: Value = serde_json::from_slice(&output.stdout).unwrap();
            let read = oci::read(&json).unwrap();
            let intent = written::preset(preset).unwrap();
            let knobs = intent.knobs.iter().map(String::as_str).filter(|knob| *knob == "unix").collect();
            let notes = String::from_utf8(output.stderr).unwrap();
            let mut moved = 0;
            for call in zerocap_seccomp::names() {
                let Some(number) = call.number(arch) else { continue };
                let decision = intent.decision(call, &knobs);
                let answer = read.table(arch).unwrap().action(number, &[0; 6]);
                match decision.unconditional() {
                    Some(action) => assert_eq!(answer, action, "{preset:?} {}", call.name()),
                    None => {
                        assert!(answer.permits(), "{preset:?} {}", call.name());
                        assert!(notes.contains(call.name()), "{notes}");
                        moved += 1;
                    }
                }
            }
            assert!(moved > 0, "{preset:?}");
        }
    }
}

/// A preset for one architecture says nothing of names that it lacks.
#[test]
fn what_an_architecture_lacks_is_not_written() {
    let output = zerocap(&["compile", "general", "--to", "oci", "--arch", "aarch64"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for rule in json["syscalls"].as_array().unwrap() {
        for name in rule["names"].as_array().unwrap() {
            let call = lookup(name.as_str().unwrap()).unwrap();
            assert!(call.number(zerocap_seccomp::Arch::Aarch64).is_some(), "{name}");
        }
    }
}

#[test]
fn a_file_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "old").unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(zerocap(&["compile", "no-such", "-o", path]).status.code(), Some(2));
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert!(zerocap(&["compile", "minimal", "-o", path]).status.success());
    assert!(insns(&fs::read(&file).unwrap()).len() > 10);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");

    // What was compiled is a profile in its own right.
    let again = zerocap(&["compile", path]);
    assert_eq!(again.stdout, fs::read(&file).unwrap());
    let missing = dir.path().join("none/f");
    let output = zerocap(&["compile", "minimal", "-o", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: ZC1004: "), "{output:?}");
}

#[test]
fn a_pipe_is_written_to_not_replaced() {
    let output = zerocap(&["compile", "minimal", "-o", "/dev/stdout"]);
    assert!(output.status.success(), "{output:?}");
    assert!(insns(&output.stdout).len() > 10);
    assert!(std::path::Path::new("/dev/stdout").exists());
}

/// `script` gives the program a terminal.
#[test]
fn a_terminal_gets_no_binary() {
    let program = env!("CARGO_BIN_EXE_zerocap");
    let command = format!("{program} seccomp compile minimal");
    let Ok(output) = std::process::Command::new("script").args(["-qec", &command, "/dev/null"]).output() else {
        skipped("script (util-linux) is not installed");
        return;
    };
    assert!(String::from_utf8_lossy(&output.stdout).contains("ZC1003"), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}
