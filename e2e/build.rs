//! Compiles the attack corpus (`attacks/*.c`) into one static program that runs in any image.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

fn main() {
    let sources = Path::new("attacks");
    println!("cargo::rerun-if-changed={}", sources.display());
    // As the crate `cc` names the compiler of another machine.
    let of_target = format!("CC_{}", env::var("TARGET").unwrap_or_default().replace('-', "_"));
    println!("cargo::rerun-if-env-changed=CC");
    println!("cargo::rerun-if-env-changed={of_target}");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("attacks");
    println!("cargo::rustc-env=ATTACKS={}", out.display());

    let mut files: Vec<PathBuf> =
        fs::read_dir(sources).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    files.retain(|f| f.extension().is_some_and(|e| e == "c"));
    files.sort();
    let compiler = env::var(of_target).or_else(|_| env::var("CC")).unwrap_or_else(|_| "cc".to_owned());
    let flags = ["-std=gnu17", "-static", "-O1", "-Wall", "-Wextra", "-o"];
    match Command::new(&compiler).args(flags).arg(&out).args(&files).status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail(
            "the attack programs do not compile; they want a C compiler and a static libc (Debian: gcc, libc6-dev)",
        ),
        Err(error) => fail(&format!("the C compiler {compiler} cannot be run: {error}")),
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1);
}
