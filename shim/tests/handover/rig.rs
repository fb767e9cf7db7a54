//! Containers as the shim makes them, without containerd.

#[path = "../../../launcher/tests/common/lasting.rs"]
mod lasting;

use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use command_fds::CommandFdExt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use zerocap_annotations::{Expect, ZcError};
use zerocap_plan::record::Ready;
use zerocap_plan::{LaunchPlan, Role};
use zerocap_shim::handover::{ChildFds, Death, Handover, Identity, Started, Verified};

/// The engines that are tried.
pub const ENGINES: [&str; 3] = ["runc", "crun", "zerocap-engine"];
/// Who the workload is.
pub const UID: u32 = 65532;

/// An engine's command.
pub struct Engine {
    name: &'static str,
    program: PathBuf,
    busybox: PathBuf,
}

impl Engine {
    /// The engine, or why it cannot be tried.
    pub fn find(name: &'static str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("containers need root".to_owned());
        }
        let find = |name: &str| {
            let advice = if name == "zerocap-engine" {
                "`cargo build -p zerocap-engine` makes"
            } else {
                "`hack/node up` fetches"
            };
            tool(name).ok_or_else(|| format!("{name} is not there: {advice} it"))
        };
        Ok(Self { name, program: find(name)?, busybox: find("busybox")? })
    }

    /// The engine in a mount namespace of its own, where crun does not see the v2 tree beside cgroup v1.
    fn command(&self, state: &Path) -> Command {
        let hide = "c=/sys/fs/cgroup/unified/cgroup.controllers; \
            if [ \"$1\" != runc ] && [ -e $c ]; then mount --bind /dev/null $c; fi; shift; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", hide, "sh", self.name]);
        command.arg(&self.program).arg("--root").arg(state);
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command
    }
}

fn tool(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("ZEROCAP_CACHE_DIR").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/zerocap"));
    let cached = cache.or(home).map(|cache| cache.join("tools-2/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Cargo puts programs one folder above the tests'.
    let built = std::env::current_exe().ok().and_then(|test| Some(test.parent()?.parent()?.to_owned()));
    built
        .into_iter()
        .chain(cached)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The launcher's directory, as the shim makes it.
pub fn launcher() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = lasting::folder();
        put_launcher(&folder);
        folder
    })
}

/// Another directory with the same bytes.
pub fn launcher_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    put_launcher(folder.path());
    folder
}

fn put_launcher(folder: &Path) {
    let file = folder.join(zerocap_plan::FILE_NAME);
    fs::write(&file, zerocap_launcher::BYTES).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(zerocap_launcher::MODE)).unwrap();
}

/// What must be at `/proc/PID/exe`.
pub fn identity() -> Identity {
    Identity::of(&launcher().join(zerocap_plan::FILE_NAME)).unwrap()
}

/// A plan that confines nothing.
pub fn bare() -> LaunchPlan {
    LaunchPlan {
        role: Role::Init,
        landlock: None,
        forbidden_connect: None,
        native_abi_only: false,
        filters: Vec::new(),
    }
}

/// What a parked process of a restricted container must show.
pub fn expect() -> Expect {
    Expect {
        caps_zero: true,
        any_bounding: false,
        no_new_privs: true,
        min_filters: 1,
        uid: Some(UID),
        own_pid_ns: true,
        own_ipc_ns: true,
        landlock: false,
        launcher: true,
        packet_fence: false,
        no_core: false,
    }
}

/// Far enough for a busy machine.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Runs a test's future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A container's bundle, and the container if it was created. Dropping it deletes everything.
pub struct Container<'a> {
    engine: &'a Engine,
    id: String,
    folder: TempDir,
    config: Value,
    processes: RefCell<Vec<Child>>,
}

/// A process that the engine was asked for.
pub struct Process {
    /// The shim's end.
    pub handover: Handover,
    /// As the host sees it.
    pub child: Child,
    /// What it prints.
    pub output: PathBuf,
}

/// A process of a container, which this program adopted and has to reap.
#[derive(Clone)]
pub struct Child {
    pub pid: i32,
    death: Rc<RefCell<Option<Death>>>,
}

impl<'a> Container<'a> {
    /// A restricted container of `arguments` behind the launcher.
    pub fn new(engine: &'a Engine, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("zerocap-handover-{}-{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        rootfs(&folder.path().join("rootfs"), &engine.busybox);
        let mut config: Value = serde_json::from_str(include_str!("config.json")).unwrap();
        config["linux"]["seccomp"] = serde_json::from_str(include_str!("seccomp.json")).unwrap();
        config["linux"]["cgroupsPath"] = json!(format!("/{id}"));
        config["process"]["args"] = behind_launcher(arguments);
        let mut container = Self { engine, id, folder, config, processes: RefCell::default() };
        container.mount(launcher(), zerocap_plan::MOUNT_POINT);
        container
    }

    /// The spec, to be changed before the container is created.
    pub fn config(&mut self) -> &mut Value {
        &mut self.config
    }

    /// The process object of the spec, launcher included.
    pub fn process(&self) -> Value {
        self.config["process"].clone()
    }

    /// Its root, as the host sees it.
    pub fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// Mounts a directory read-only; a later mount of the same place replaces the earlier.
    pub fn mount(&mut self, source: &Path, destination: &str) {
        let mounts = self.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != destination);
        let options = ["rbind", "ro", "nosuid", "nodev", "rprivate"];
        mounts.push(json!({ "destination": destination, "type": "bind", "source": source, "options": options }));
    }

    /// Creates the container and starts its launcher; does not wait for either.
    pub async fn start(&self, plan: &LaunchPlan) -> Process {
        fs::write(self.folder.path().join("config.json"), self.config.to_string()).unwrap();
        let program = self.config["process"]["args"][1].as_str().unwrap_or_default().to_owned();
        let (handover, child) = Handover::new(plan, &program).unwrap();
        let (pid_file, output) = (self.folder.path().join("init.pid"), self.folder.path().join("init.out"));
        let mut create = self.engine.command(&self.state());
        create.arg("create").arg("--bundle").arg(self.folder.path()).arg("--pid-file").arg(&pid_file);
        create.args(["--preserve-fds", &ChildFds::COUNT.to_string()]).arg(&self.id);
        self.succeeds(spawn(create, &output, Some(child)), &output).await;
        let mut start = self.engine.command(&self.state());
        start.arg("start").arg(&self.id);
        let engine = spawn(start, &self.folder.path().join("start.out"), None);
        self.adopt(engine);
        Process { handover, child: self.adopt(read_pid(&pid_file)), output }
    }

    /// Executes `arguments` behind the launcher; returns as soon as the engine has.
    pub async fn exec(&self, plan: &LaunchPlan, arguments: &[&str]) -> Process {
        let mut process = self.config["process"].clone();
        process["args"] = behind_launcher(arguments);
        self.exec_process(plan, &process).await
    }

    /// Executes a whole process object.
    pub async fn exec_process(&self, plan: &LaunchPlan, process: &Value) -> Process {
        let program = process["args"][1].as_str().unwrap_or_default().to_owned();
        let (handover, child) = Handover::new(plan, &program).unwrap();
        let (child, output) = self.exec_raw(process, Some(child)).await;
        Process { handover, child, output }
    }

    /// Executes a process without the launcher's hand-over, or with it.
    pub async fn exec_raw(&self, process: &Value, child: Option<ChildFds>) -> (Child, PathBuf) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("exec{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let file = |extension: &str| self.folder.path().join(format!("{name}.{extension}"));
        fs::write(file("json"), process.to_string()).unwrap();
        let mut exec = self.engine.command(&self.state());
        exec.args(["exec", "--detach", "--process"]).arg(file("json")).arg("--pid-file").arg(file("pid"));
        if child.is_some() {
            exec.args(["--preserve-fds", &ChildFds::COUNT.to_string()]);
        }
        exec.arg(&self.id);
        self.succeeds(spawn(exec, &file("out"), child), &file("out")).await;
        (self.adopt(read_pid(&file("pid"))), file("out"))
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn adopt(&self, pid: i32) -> Child {
        let child = Child { pid, death: Rc::default() };
        self.processes.borrow_mut().push(child.clone());
        child
    }

    async fn succeeds(&self, engine: i32, output: &Path) {
        let engine = Child { pid: engine, death: Rc::default() };
        let status = engine.death().await.status;
        assert!(status == 0, "{}: {status} {}", self.engine.name, fs::read_to_string(output).unwrap_or_default());
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.engine.command(&self.state()).args(["kill", &self.id, "KILL"]).output();
        // A first process ends only when all others of its namespace are reaped.
        let processes = self.processes.get_mut();
        processes.iter().for_each(Child::kill);
        for child in processes.iter().rev() {
            child.reap_soon();
        }
        let deleted = self.engine.command(&self.state()).args(["delete", "--force", &self.id]).output();
        if !deleted.is_ok_and(|deleted| deleted.status.success()) && !std::thread::panicking() {
            eprintln!("{} is not deleted", self.id);
        }
    }
}

impl Process {
    /// Waits until it is parked.
    pub async fn parked(&mut self) -> Result<Ready, ZcError> {
        self.handover.parked(soon(), self.child.death()).await
    }

    /// Parked, verified, and running.
    pub async fn run(mut self, expect: &Expect) -> Result<(Verified, Started, Running), ZcError> {
        let ready = self.parked().await?;
        let Self { handover, child, output } = self;
        let verified = handover.verify(child.pid, &ready, expect, identity())?;
        let started = handover.go(child.pid, &ready, identity(), soon(), child.death()).await?;
        Ok((verified, started, Running { child, output }))
    }
}

/// A workload.
pub struct Running {
    pub child: Child,
    output: PathBuf,
}

impl Running {
    /// Its exit status and what it printed.
    pub async fn end(self) -> (u32, String) {
        let death = self.child.death().await;
        (death.status, fs::read_to_string(&self.output).unwrap().trim_end().to_owned())
    }
}

impl Child {
    /// What the reaper tells of it: looked at as a zombie, then reaped.
    pub async fn death(&self) -> Death {
        loop {
            if let Some(death) = self.death.borrow().clone() {
                return death;
            }
            if self.ended() {
                self.reap();
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid).unwrap(), signal).unwrap();
    }

    /// Nothing happens to one that is reaped: its number may be another's.
    pub fn kill(&self) {
        if self.death.borrow().is_none() {
            self.signal(Signal::KILL);
        }
    }

    /// Not for ever: a process that a failed test did not adopt keeps its namespace's first process.
    fn reap_soon(&self) {
        for _ in 0..5000 {
            if self.death.borrow().is_some() || self.ended() {
                return self.reap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(self.id(), look).unwrap().is_some()
    }

    fn reap(&self) {
        if self.death.borrow().is_some() {
            return;
        }
        let comm = fs::read(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        let status = waitid(self.id(), WaitIdOptions::EXITED).unwrap().unwrap();
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        let death = Death { status: code.unwrap().unsigned_abs(), comm: comm.trim_ascii_end().to_vec() };
        *self.death.borrow_mut() = Some(death);
    }

    fn id(&self) -> WaitId<'static> {
        WaitId::Pid(Pid::from_raw(self.pid).unwrap())
    }
}

/// A plain sandbox for `docker exec`-like tests: an init that waits.
pub async fn waiting(engine: &Engine) -> Container<'_> {
    let container = Container::new(engine, &["sleep", "1000"]);
    container.start(&bare()).await.run(&expect()).await.unwrap();
    container
}

/// Spawns an engine; it is reaped by its pid, as everything here.
fn spawn(mut command: Command, output: &Path, child: Option<ChildFds>) -> i32 {
    let file = File::create(output).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    if let Some(child) = child {
        command.fd_mappings(child.into_mappings()).unwrap();
    }
    command.spawn().unwrap().id().cast_signed()
}

fn read_pid(file: &Path) -> i32 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

fn behind_launcher(arguments: &[&str]) -> Value {
    let mut all = vec![zerocap_plan::PROGRAM];
    all.extend(arguments);
    json!(all)
}

/// A root with busybox, under every name that the tests use.
fn rootfs(root: &Path, busybox: &Path) {
    let bin = root.join("bin");
    for folder in ["bin", "etc", "proc", "dev", "tmp", "usr/local/bin"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    fs::copy(busybox, bin.join("busybox")).unwrap();
    for name in ["sh", "true", "sleep", "echo", "cat", "ls", "id", "env", "wc", "grep", "kill"] {
        symlink("busybox", bin.join(name)).unwrap();
    }
}

/// Writes a file that everybody may read.
pub fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}
