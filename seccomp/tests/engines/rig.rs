//! A container with nothing but the probe in it, by an engine under a profile; and the probe by itself under a filter.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use zerocap_seccomp::{Arch, Insn, X32_BIT, lookup};

use crate::raw;

/// A call to make.
#[derive(Debug, Clone)]
pub struct Try {
    pub abi: Arch,
    pub name: &'static str,
    pub args: [u64; 6],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Returned(i64),
    Killed(i64),
}

impl Try {
    pub fn number(&self) -> u32 {
        lookup(self.name).and_then(|call| call.number(self.abi)).unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Says that a test did not run. Not by println, which libtest keeps back: whoever counts must see it.
pub fn skipped(reason: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
}

/// A program of the cache or of this machine.
pub fn tool(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("ZEROCAP_CACHE_DIR").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/zerocap"));
    let cached = cache.or(home).map(|cache| cache.join("tools-1/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    cached.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The probe for these calls, or why there is none.
pub fn probe(calls: &[Try]) -> Result<TempDir, String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let table: String = calls
        .iter()
        .map(|call| {
            let abi = u8::from(call.abi == Arch::I386);
            let number = call.number() | if call.abi == Arch::X32 { X32_BIT } else { 0 };
            let args: Vec<String> = call.args.iter().map(|arg| format!("{arg}ul")).collect();
            format!("{{ {abi}, {number}, {{ {} }} }},\n", args.join(", "))
        })
        .collect();
    fs::write(dir.path().join("calls.h"), table).expect("writable");
    fs::write(dir.path().join("probe.c"), include_str!("probe.c")).expect("writable");
    let flags = [
        "-O1",
        "-static",
        "-nostdlib",
        "-nostartfiles",
        "-ffreestanding",
        "-fno-pie",
        "-no-pie",
        "-fno-stack-protector",
    ];
    let output =
        Command::new("cc").args(flags).arg("-o").arg(dir.path().join("probe")).arg(dir.path().join("probe.c")).output();
    match output {
        Ok(output) if output.status.success() => Ok(dir),
        Ok(output) => Err(format!("cc cannot make the probe: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// The probe's answers under a filter that is loaded before it starts, or under none.
pub fn alone(probe: &TempDir, filter: Option<Vec<Insn>>) -> Vec<Outcome> {
    let mut command = Command::new(probe.path().join("probe"));
    if let Some(insns) = filter {
        let load = move || raw::load(&insns).map_err(|errno| io::Error::from_raw_os_error(-errno as i32));
        // SAFETY: two system calls on memory that lives as long as the command; no lock, no allocation.
        unsafe { command.pre_exec(load) };
    }
    answers(&command.output().expect("the probe starts"))
}

/// The probe's answers in a container of an engine under a profile.
pub fn contained(probe: &TempDir, engine: &str, seccomp: &Value) -> Vec<Outcome> {
    answers(&run(probe, engine, seccomp))
}

/// Run the probe in a container.
pub fn run(probe: &TempDir, engine: &str, seccomp: &Value) -> Output {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("zerocap-probe-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let bundle = tempfile::tempdir().expect("a temporary directory");
    // A root of its own: engines leave /dev in it.
    let root = bundle.path().join("rootfs");
    for folder in ["proc", "dev"] {
        fs::create_dir_all(root.join(folder)).expect("writable");
    }
    fs::copy(probe.path().join("probe"), root.join("probe")).expect("writable");
    let namespaces = ["pid", "mount", "network", "ipc", "uts"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": ["/probe"], "cwd": "/", "env": [], "noNewPrivileges": true,
            "capabilities": { "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] },
        },
        "root": { "path": root, "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"] },
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"), "seccomp": seccomp,
            "namespaces": namespaces,
        },
    });
    fs::write(bundle.path().join("config.json"), config.to_string()).expect("writable");
    let program = tool(engine).expect("it was found before");
    let mut command = command(engine, &program, &bundle.path().join("state"));
    command.args(["run", "--bundle"]).arg(bundle.path()).arg(&id).output().expect("unshare is there")
}

/// The engine in a mount namespace of its own, where crun does not see the v2 tree beside cgroup v1.
fn command(engine: &str, program: &Path, state: &Path) -> Command {
    let hide = "c=/sys/fs/cgroup/unified/cgroup.controllers; \
        if [ \"$1\" != runc ] && [ -e $c ]; then mount --bind /dev/null $c; fi; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", hide, "sh", engine]);
    command.arg(program).arg("--root").arg(state);
    command
}

fn answers(output: &Output) -> Vec<Outcome> {
    const RECORD: usize = 24;
    assert!(output.status.success() && output.stdout.len().is_multiple_of(RECORD), "{output:?}");
    let word = |bytes: &[u8]| i64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    output
        .stdout
        .chunks_exact(RECORD)
        .enumerate()
        .map(|(place, record)| {
            assert_eq!(word(&record[..8]), place as i64, "{output:?}");
            match word(&record[8..16]) {
                0 => Outcome::Returned(word(&record[16..])),
                _ => Outcome::Killed(word(&record[16..])),
            }
        })
        .collect()
}
