//! A node for the tests of the installer, where containerd is a script that is told what to answer.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::StatVfsMountFlags;
use tempfile::TempDir;

/// `containerd --config FILE config dump`: the file with what it imports, which has the last word, merged as containerd 2.1 does it.
const CONTAINERD: &str = include_str!("containerd.py");

/// Where a disk need not be waited for: what is installed is written through.
fn fast() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let runs = rustix::fs::statvfs(memory).is_ok_and(|of| !of.f_flag.contains(StatVfsMountFlags::NOEXEC));
    if runs { memory.to_owned() } else { std::env::temp_dir() }
}

/// A node: configuration, programs to install, a containerd that does what it is told.
pub struct Rig {
    folder: TempDir,
    pub config: PathBuf,
}

impl Rig {
    pub fn new(name: &str, config: &str) -> Self {
        let folder = tempfile::tempdir_in(fast()).unwrap();
        let rig = Self { config: folder.path().join("etc").join(name), folder };
        for place in ["etc", "from"] {
            fs::create_dir(rig.path(place)).unwrap();
        }
        fs::write(&rig.config, config).unwrap();
        // Programs that can run for a while.
        for program in ["containerd-shim-zerocap-v2", "zerocap-engine", "zerocap"] {
            fs::copy("/bin/sleep", rig.path("from").join(program)).unwrap();
        }
        rig.write("containerd", CONTAINERD);
        rig.script("restart", "echo restarted >> \"$0.log\"");
        rig.script("healthy", "exit 0");
        rig.script("ctr", "echo \"$*\" >> \"$0.log\"");
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn script(&self, name: &str, body: &str) {
        self.write(name, &format!("#!/bin/sh\n{body}\n"));
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub fn command(&self, verb: &str) -> Command {
        self.command_with(verb, &self.path("prefix"), &self.config)
    }

    /// The same, with another configuration.
    pub fn command_for(&self, verb: &str, config: &Path) -> Command {
        self.command_with(verb, &self.path("prefix"), config)
    }

    /// The same, with other programs too.
    pub fn command_with(&self, verb: &str, prefix: &Path, config: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerocap"));
        command.args([verb, "node", "--patience", "1"]).env("ZEROCAP_STATE", self.path("state"));
        for (option, name) in
            [("--containerd", "containerd"), ("--restart", "restart"), ("--healthy", "healthy"), ("--ctr", "ctr")]
        {
            command.arg(option).arg(self.path(name));
        }
        command.arg("--prefix").arg(prefix).arg("--config").arg(config);
        if verb == "install" {
            command.arg("--from").arg(self.path("from"));
        }
        command
    }

    pub fn install(&self) -> Output {
        self.command("install").output().unwrap()
    }

    pub fn uninstall(&self) -> Output {
        self.command("uninstall").output().unwrap()
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.config).unwrap_or_default()
    }

    /// The note that the self-test passed.
    pub fn note(&self) -> Option<String> {
        fs::read_to_string(self.path("state/installed.json")).ok()
    }

    pub fn restarts(&self) -> usize {
        fs::read_to_string(self.path("restart.log")).unwrap_or_default().lines().count()
    }

    /// The versions below the prefix.
    pub fn versions(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("prefix")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// The configuration as containerd reads it; nothing where it refuses it.
    pub fn dump(&self) -> Option<toml::Table> {
        let mut command = Command::new(self.path("containerd"));
        let output = command.arg("--config").arg(&self.config).args(["config", "dump"]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().parse().unwrap())
    }

    /// Everything below etc/, to see that nothing stays.
    pub fn etc(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("etc")).unwrap().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }
}

#[track_caller]
pub fn ok(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub fn refused(output: &Output, status: i32, code: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(text.starts_with(&format!("error: {code}: ")) && text.lines().count() == 1, "{text}");
}
