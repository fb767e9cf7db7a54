//! The node image of `hack/image`: a layout with one architecture and with two, and its bill of materials. Tools that are not ours
//! (sha256sum, tar, an emulator) look into it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, io, process};

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use zerocap_e2e::verdict::{completion, skip};
use zerocap_e2e::{Outcome, TestResult, ensure, ensure_eq, node};

/// The programs, and what is known of their libraries.
const FILES: [&str; 4] = ["zerocap", "zerocap-engine", "containerd-shim-zerocap-v2", "linked"];
/// Where an ELF header names the machine, and the numbers there.
const E_MACHINE: u64 = 18;
const AMD64: u16 = 62;
const ARM64: u16 = 183;

type Body = fn() -> TestResult;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: [(&str, Body); 4] = [
        ("one_architecture", one_architecture),
        ("two_architectures", two_architectures),
        ("mistakes", mistakes),
        ("programs_for_aarch64", programs_for_aarch64),
    ];
    let trials = tests.map(|(name, body)| Trial::ignorable_test(name, move || completion(body())));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("zerocap-image-{name}-{}", process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// This machine's static programs.
fn own() -> Result<PathBuf, Outcome> {
    let folder = node::repository().join("dist");
    if FILES.iter().all(|name| folder.join(name).is_file()) {
        return Ok(folder);
    }
    skip("the static programs are not built: run `make build`")
}

/// Copies of the programs, whose headers name another machine.
fn for_machine(from: &Path, machine: u16, to: PathBuf) -> io::Result<PathBuf> {
    fs::create_dir_all(&to)?;
    for name in FILES {
        fs::copy(from.join(name), to.join(name))?;
        if name != "linked" {
            File::options().write(true).open(to.join(name))?.write_all_at(&machine.to_le_bytes(), E_MACHINE)?;
        }
    }
    Ok(to)
}

fn image(out: &Path, folders: &[&Path]) -> io::Result<Output> {
    Command::new(node::repository().join("hack/image")).arg("--out").arg(out).args(folders).output()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The image's digest.
fn made(out: &Path, folders: &[&Path]) -> Result<String, Outcome> {
    let output = image(out, folders)?;
    ensure!(output.status.success(), "hack/image: {}", said(&output));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(line.trim().rsplit('@').next().unwrap_or_default().to_owned())
}

/// The layout, whose blobs are what their names say.
struct Layout(PathBuf);

impl Layout {
    fn blob(&self, descriptor: &Value) -> Result<Vec<u8>, Outcome> {
        let digest = descriptor["digest"].as_str().and_then(|d| d.strip_prefix("sha256:")).unwrap_or_default();
        let path = self.0.join("blobs/sha256").join(digest);
        let data = fs::read(&path).map_err(|e| Outcome::Failed(format!("{}: {e}", path.display())))?;
        ensure_eq!(Some(data.len() as u64), descriptor["size"].as_u64(), "the size of {digest}");
        ensure_eq!(sha256(&path)?, digest, "the digest");
        Ok(data)
    }

    fn document(&self, descriptor: &Value) -> Result<Value, Outcome> {
        Ok(serde_json::from_slice(&self.blob(descriptor)?)?)
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let output = Command::new("sha256sum").arg(path).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned())
}

/// Looks through a layout: its architectures are these, in order, each with programs of its machine.
fn is_right(out: &Path, digest: &str, wanted: &[(&str, u16)]) -> TestResult {
    let layout = Layout(out.join("layout"));
    let top: Value = serde_json::from_slice(&fs::read(layout.0.join("index.json"))?)?;
    ensure_eq!(top["manifests"][0]["digest"], digest, "the one index of {top}");
    let index = layout.document(&top["manifests"][0])?;
    let manifests = index["manifests"].as_array().cloned().unwrap_or_default();
    ensure_eq!(manifests.len(), wanted.len(), "manifests of {index}");
    for (descriptor, (name, machine)) in manifests.iter().zip(wanted) {
        ensure_eq!(descriptor["platform"]["architecture"], *name, "the order of {index}");
        ensure_eq!(descriptor["platform"]["os"], "linux", "{name}'s system");
        let manifest = layout.document(descriptor)?;
        let config = layout.document(&manifest["config"])?;
        ensure_eq!(config["architecture"], *name, "the configuration of {name}");
        ensure_eq!(manifest["layers"].as_array().map(Vec::len), Some(1), "the layers of {name}");
        let packed = layout.blob(&manifest["layers"][0])?;
        let files = out.join(format!("unpacked-{name}"));
        fs::create_dir_all(&files)?;
        fs::write(files.join("layer.gz"), packed)?;
        let script = "gzip -dc layer.gz >layer.tar && tar -xf layer.tar";
        let status = Command::new("sh").args(["-c", script]).current_dir(&files).status()?;
        ensure!(status.success(), "the layer of {name} cannot be unpacked: {status}");
        let plain = format!("sha256:{}", sha256(&files.join("layer.tar"))?);
        ensure_eq!(config["rootfs"]["diff_ids"][0], plain, "what is in the layer of {name}");
        for program in &FILES[..3] {
            let (mut found, path) = ([0; 2], files.join(program));
            File::open(&path)?.read_exact_at(&mut found, E_MACHINE)?;
            ensure_eq!(u16::from_le_bytes(found), *machine, "the machine of {name}'s {program}");
            ensure_eq!(fs::metadata(&path)?.permissions().mode() & 0o7777, 0o755, "the mode of {name}'s {program}");
        }
    }
    Ok(())
}

/// Each library that was linked in, with the architectures that have it, as the bill of materials has it.
fn libraries(out: &Path) -> Result<BTreeSet<(String, String)>, Outcome> {
    let bill: Value = serde_json::from_slice(&fs::read(out.join("sbom.spdx.json"))?)?;
    let packages = bill["packages"].as_array().cloned().unwrap_or_default();
    ensure!(packages.iter().any(|p| p["name"] == "zerocap-shim"), "the bill of materials lacks our own crates");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let linked = packages.iter().filter(|p| p["comment"].is_string());
    Ok(linked.map(|p| (format!("{} {}", text(&p["name"]), text(&p["versionInfo"])), text(&p["comment"]))).collect())
}

fn lines(folder: &Path) -> io::Result<BTreeSet<String>> {
    Ok(fs::read_to_string(folder.join("linked"))?.lines().map(str::to_owned).collect())
}

fn one_architecture() -> TestResult {
    let (own, scratch) = (own()?, Scratch::new("one")?);
    let (first, again) = (scratch.0.join("first"), scratch.0.join("again"));
    let digest = made(&first, &[&own])?;
    let wanted = if cfg!(target_arch = "aarch64") { ("arm64", ARM64) } else { ("amd64", AMD64) };
    is_right(&first, &digest, &[wanted])?;
    let names: BTreeSet<String> = libraries(&first)?.into_iter().map(|(name, _)| name).collect();
    ensure_eq!(names, lines(&own)?, "the libraries in the bill of materials");
    ensure_eq!(made(&again, &[&own])?, digest, "the image made again");
    for file in ["image.tar", "sbom.spdx.json"] {
        ensure_eq!(sha256(&first.join(file))?, sha256(&again.join(file))?, "{file} made again");
    }
    Ok(())
}

/// What is in it is this machine's programs, one of them under another machine's number: the image's maker goes by that.
fn two_architectures() -> TestResult {
    let (own, scratch) = (own()?, Scratch::new("two")?);
    let amd64 = for_machine(&own, AMD64, scratch.0.join("amd64"))?;
    let arm64 = for_machine(&own, ARM64, scratch.0.join("arm64"))?;
    fs::write(arm64.join("linked"), "glibc 2.0\nzlib 1.0\n")?;
    fs::write(amd64.join("linked"), "glibc 2.1\nzlib 1.0\n")?;
    let out = scratch.0.join("out");
    // The order in which they are given says nothing.
    let digest = made(&out, &[&arm64, &amd64])?;
    is_right(&out, &digest, &[("amd64", AMD64), ("arm64", ARM64)])?;
    ensure_eq!(made(&scratch.0.join("turned"), &[&amd64, &arm64])?, digest, "the folders in another order");
    let linked = [("glibc 2.0", "arm64"), ("glibc 2.1", "amd64"), ("zlib 1.0", "amd64, arm64")];
    let wanted = linked.map(|(name, of)| (name.to_owned(), format!("in the programs for {of}"))).into();
    ensure_eq!(libraries(&out)?, wanted, "the bill of materials");
    Ok(())
}

fn mistakes() -> TestResult {
    let (own, scratch) = (own()?, Scratch::new("mistakes")?);
    let mixed = for_machine(&own, AMD64, scratch.0.join("mixed"))?;
    let program = File::options().write(true).open(mixed.join("zerocap-engine"))?;
    program.write_all_at(&ARM64.to_le_bytes(), E_MACHINE)?;
    let unnamed = for_machine(&own, AMD64, scratch.0.join("unnamed"))?;
    fs::remove_file(unnamed.join("linked"))?;
    let foreign = for_machine(&own, 243, scratch.0.join("foreign"))?;
    for (folders, sentence) in [
        (vec![own.as_path(), &own], "two folders with programs for"),
        (vec![mixed.as_path()], "has programs of amd64 and arm64"),
        (vec![unnamed.as_path()], "linked is missing"),
        (vec![foreign.as_path()], "is for machine 243"),
        (vec![scratch.0.as_path()], "zerocap is missing: run `make build`"),
    ] {
        let out = scratch.0.join("out");
        let output = image(&out, &folders)?;
        ensure!(!output.status.success() && said(&output).contains(sentence), "{sentence}: {}", said(&output));
        ensure!(!out.exists(), "{sentence}: something was written");
    }
    Ok(())
}

/// The programs that `hack/build --arch aarch64` made, beside this machine's in one image, and run by an emulator of programs.
fn programs_for_aarch64() -> TestResult {
    let own = own()?;
    let folder = own.join("aarch64");
    if !folder.join("linked").is_file() {
        return skip("the programs for 64-bit ARM are not built: run `make build ARCH=aarch64`");
    }
    let scratch = Scratch::new("aarch64")?;
    let out = scratch.0.join("out");
    let digest = made(&out, &[&own, &folder])?;
    is_right(&out, &digest, &[("amd64", AMD64), ("arm64", ARM64)])?;
    let tools = Command::new(node::repository().join("hack/aarch64.d/tools")).output()?;
    ensure!(tools.status.success(), "the tools that built them: {}", said(&tools));
    let emulator = Path::new(String::from_utf8_lossy(&tools.stdout).trim()).join("root/usr/bin/qemu-aarch64-static");
    let program = out.join("unpacked-arm64/zerocap");
    let output = Command::new(emulator).arg(program).args(["seccomp", "disasm", "general"]).output()?;
    ensure!(output.status.success(), "`zerocap seccomp disasm`: {}", said(&output));
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(listing.contains("; aarch64"), "it shows filters of another machine: {listing}");
    Ok(())
}
