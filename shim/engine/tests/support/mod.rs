//! A bundle whose rootfs is the machine's own programs, bound read-only, and the engine driven as a shim drives it.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use serde_json::{Value, json};
use tempfile::TempDir;

/// One container of one test; everything of it is gone when dropped.
pub struct Container {
    pub id: String,
    pub dir: TempDir,
    group: String,
    /// Let the engine see the version 2 hierarchy only, whatever the machine has.
    unified: bool,
}

impl Container {
    /// A bundle that runs a shell script as an ordinary restricted pod does.
    pub fn new(script: &str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "containers are made by root: run these tests as root");
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("zerocap-engine-test-{}-{serial}", std::process::id());
        let container = Self { id: "c1".into(), dir: tempfile::tempdir().unwrap(), group: name, unified: false };
        for name in ["proc", "dev", "sys/fs/cgroup", "tmp", "bin", "usr", "lib", "lib64", "etc"] {
            fs::create_dir_all(container.bundle().join("rootfs").join(name)).unwrap();
        }
        container.write_spec(&container.spec(script));
        container
    }

    /// The same on a machine with version 2 cgroups only. The controllers that version 1 has are then missing.
    pub fn unified(mut self) -> Self {
        self.unified = true;
        self
    }

    pub fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    pub fn spec(&self, script: &str) -> Value {
        let mut spec: Value = serde_json::from_str(include_str!("../fixtures/restricted.json")).unwrap();
        spec["process"]["args"] = json!(["/bin/sh", "-c", script]);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}/{}", self.group, self.id));
        for name in ["bin", "usr", "lib", "lib64"] {
            let source = fs::canonicalize(Path::new("/").join(name)).unwrap();
            spec["mounts"].as_array_mut().unwrap().push(json!({
                "destination": format!("/{name}"), "type": "bind", "source": source, "options": ["rbind", "ro"]
            }));
        }
        spec
    }

    pub fn write_spec(&self, spec: &Value) {
        fs::write(self.bundle().join("config.json"), spec.to_string()).unwrap();
    }

    /// The engine with a shim's options before the command; output goes to files, as a container would keep pipes open.
    pub fn engine(&self) -> Command {
        let engine = env!("CARGO_BIN_EXE_zerocap-engine");
        let mut command = if self.unified {
            let mut command = Command::new("unshare");
            let mount = "stat -f -c %T /sys/fs/cgroup | grep -q cgroup2 || mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" \"$@\"";
            command.args(["-m", "--propagation", "private", "sh", "-c", mount, engine]);
            command
        } else {
            Command::new(engine)
        };
        command
            .arg("--root")
            .arg(self.dir.path().join("state"))
            .arg("--log")
            .arg(self.log())
            .args(["--log-format", "json"])
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(self.engine().args(arguments))
    }

    /// The command succeeds; its output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// The command fails; what the log file says.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        drop(fs::remove_file(self.log()));
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        self.logged()
    }

    /// The last message in the log file.
    pub fn logged(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap();
        let entry: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(entry["level"], "error");
        entry["msg"].as_str().unwrap().to_owned()
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log.json")
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// `create`, its workload's output going to [`Self::out`]; descriptors from 3 on are handed over.
    pub fn create(&self, handed: Vec<OwnedFd>) -> Output {
        let out = fs::File::options().append(true).create(true).open(self.out()).unwrap();
        let mut command = self.engine();
        command
            .arg("create")
            .arg("--bundle")
            .arg(self.bundle())
            .arg("--pid-file")
            .arg(self.dir.path().join("init.pid"))
            .args(["--preserve-fds", &handed.len().to_string(), &self.id])
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        hand_over(&mut command, handed);
        command.output().unwrap()
    }

    #[track_caller]
    pub fn created(self) -> Self {
        let output = self.create(Vec::new());
        assert!(output.status.success(), "{}", fs::read_to_string(self.out()).unwrap());
        self
    }

    #[track_caller]
    pub fn running(self) -> Self {
        let container = self.created();
        container.ok(&["start", &container.id]);
        container
    }

    /// Writes a process file for `exec` that runs a script.
    pub fn process(&self, script: &str) -> PathBuf {
        let mut process = self.spec("")["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", script]);
        let path = self.dir.path().join("process.json");
        fs::write(&path, process.to_string()).unwrap();
        path
    }

    /// A detached exec of a script, its output appended to [`Self::out`].
    pub fn exec(&self, script: &str, handed: Vec<OwnedFd>) -> Output {
        let out = fs::File::options().append(true).create(true).open(self.out()).unwrap();
        let mut command = self.engine();
        command
            .arg("exec")
            .arg("--process")
            .arg(self.process(script))
            .arg("--detach")
            .arg("--pid-file")
            .arg(self.dir.path().join("exec.pid"))
            .args(["--preserve-fds", &handed.len().to_string(), &self.id])
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        hand_over(&mut command, handed);
        command.output().unwrap()
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["state", &self.id])).unwrap()
    }

    /// What the workload wrote, once it contains `mark`.
    #[track_caller]
    pub fn wait_for(&self, mark: &str) -> String {
        let mut text = String::new();
        eventually(&format!("{mark:?} in the output"), || {
            text = fs::read_to_string(self.out()).unwrap_or_default();
            text.contains(mark)
        });
        text
    }

    /// What is in the engine's state root.
    pub fn state_root(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("state"));
        entries.into_iter().flatten().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Directories of this container in any cgroup hierarchy.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        groups_named(&self.group)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.run(&["delete", "--force", &self.id]));
        for path in groups_named(&self.group) {
            drop(fs::remove_dir(path));
        }
    }
}

/// Runs a command whose output is its own.
fn finish(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn hand_over(command: &mut Command, handed: Vec<OwnedFd>) {
    let mappings = handed.into_iter().zip(3..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
    command.fd_mappings(mappings).unwrap();
}

fn groups_named(name: &str) -> Vec<PathBuf> {
    let mut hierarchies = vec![PathBuf::from("/sys/fs/cgroup")];
    hierarchies.extend(fs::read_dir("/sys/fs/cgroup").unwrap().map(|e| e.unwrap().path()));
    hierarchies.into_iter().map(|h| h.join(name)).filter(|p| p.exists()).collect()
}

/// Says why a test shows nothing here: past libtest, which keeps the words of a test that passes.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Waits for a condition, at most half a minute: a loaded machine is no failure.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
