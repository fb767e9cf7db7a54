//! Builds the launcher: the plan's decoder without std, then the program in `program/`, by the compiler that builds this crate.
//!
//! Cargo cannot build a binary with other settings than the workspace's own for a crate that wants its bytes; rustc can.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for source in ["program", "plan/src", "build.rs"] {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=RUSTC");

    let target = variable("TARGET");
    let plan = out.join("libzerocap_plan.rlib");
    rustc(&target, &here.join("plan/src/lib.rs"), &plan, &["--crate-name=zerocap_plan", "--crate-type=rlib"]);
    let decoder = format!("--extern=zerocap_plan={}", plan.display());
    let mut program = vec!["--crate-name=launcher", "--crate-type=bin", &decoder, "-Clto=fat"];
    // The linker that comes with the compiler: what a distribution's cc adds to a program is not wanted here.
    program.extend(["-Clinker=rust-lld", "-Clinker-flavor=ld.lld"]);
    program.extend(LINK.iter().copied());
    rustc(&target, &here.join("program/main.rs"), &out.join("launcher"), &program);
}

/// A static program at a fixed address, with as few segments as W^X permits.
const LINK: [&str; 9] = [
    "-Clink-arg=-static",
    "-Clink-arg=--no-dynamic-linker",
    "-Clink-arg=--gc-sections",
    "-Clink-arg=--strip-all",
    "-Clink-arg=--build-id=none",
    "-Clink-arg=-znoexecstack",
    "-Clink-arg=-znorelro",
    "-Clink-arg=-znoseparate-code",
    "-Clink-arg=--no-rosegment",
];

fn rustc(target: &str, source: &Path, output: &Path, arguments: &[&str]) {
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition=2024", "--cap-lints=warn", "-Cpanic=abort", "-Copt-level=s", "-Ccodegen-units=1"])
        .args(["-Crelocation-model=static", "-Cforce-unwind-tables=no", "-Cdebuginfo=0", "-Cdebug-assertions=no"])
        .arg(format!("--target={target}"))
        .args(arguments)
        .arg("-o")
        .arg(output)
        .arg(source);
    let status = command.status().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
