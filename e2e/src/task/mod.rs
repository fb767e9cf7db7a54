//! One shim, driven as containerd drives it: `start`, the task API over ttrpc, and this program as the event service.

pub mod bootstrap;
pub mod calls;
pub mod groups;
mod logs;
pub mod spec;
pub mod trace;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use containerd_shim_protos::api::{CreateTaskRequest, Empty, ForwardRequest};
use containerd_shim_protos::events::task as events;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField, MessageFull, text_format};
use containerd_shim_protos::shim::oci::Options;
use containerd_shim_protos::shim_async::{Client, Events, TaskClient, create_events};
use containerd_shim_protos::ttrpc::r#async::TtrpcContext;
use containerd_shim_protos::ttrpc::asynchronous::Server;
use containerd_shim_protos::ttrpc::{self};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use groups::Groups;
use logs::Logs;
use trace::Trace;

/// Where everything of these tests lies inside the node: a file system on which programs can run.
pub const BASE: &str = "/var/lib/containerd/differential";
/// The containerd namespace.
const NAMESPACE: &str = "differential";
/// No step takes longer; one that does is a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whose shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shim {
    /// containerd's own.
    Reference,
    /// Ours, for a container without any annotation.
    Plain,
    /// Ours, for a container with the platform annotation.
    Confined,
}

impl Shim {
    fn program(self) -> &'static str {
        match self {
            Self::Reference => "containerd-shim-runc-v2",
            Self::Plain | Self::Confined => "containerd-shim-zerocap-v2",
        }
    }
}

/// One run of a scenario.
pub struct Run {
    /// Whose shim it is.
    pub shim: Shim,
    /// `runc` or `crun`.
    pub engine: &'static str,
    /// The connection to it.
    pub task: TaskClient,
    /// This run's folder.
    pub dir: PathBuf,
    /// What was asked and answered.
    pub trace: Mutex<Trace>,
    /// Where its containers' cgroups are.
    pub groups: Groups,
    events: Arc<Mutex<Vec<String>>>,
    address: String,
    shim_pid: u32,
    started_in: Duration,
    _server: Server,
    logs: Mutex<Logs>,
}

struct Recorder(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Events for Recorder {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let envelope = request.envelope.unwrap_or_default();
        let event = envelope.event.unwrap_or_default();
        let text = event_text(&event).unwrap_or_else(|error| format!("{}: {error}", event.type_url));
        let line = format!("event {} {} {text}", envelope.namespace, envelope.topic);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(Empty::default())
    }
}

fn event_text(event: &Any) -> Result<String, String> {
    fn text<M: MessageFull>(bytes: &[u8]) -> Result<String, String> {
        M::parse_from_bytes(bytes).map(|message| text_format::print_to_string(&message)).map_err(|e| e.to_string())
    }
    match event.type_url.as_str() {
        "containerd.events.TaskCreate" => text::<events::TaskCreate>(&event.value),
        "containerd.events.TaskStart" => text::<events::TaskStart>(&event.value),
        "containerd.events.TaskExecAdded" => text::<events::TaskExecAdded>(&event.value),
        "containerd.events.TaskExecStarted" => text::<events::TaskExecStarted>(&event.value),
        "containerd.events.TaskExit" => text::<events::TaskExit>(&event.value),
        "containerd.events.TaskDelete" => text::<events::TaskDelete>(&event.value),
        "containerd.events.TaskPaused" => text::<events::TaskPaused>(&event.value),
        "containerd.events.TaskResumed" => text::<events::TaskResumed>(&event.value),
        "containerd.events.TaskCheckpointed" => text::<events::TaskCheckpointed>(&event.value),
        "containerd.events.TaskOOM" => text::<events::TaskOOM>(&event.value),
        other => Err(format!("an event of unknown type {other:?}")),
    }
}

impl Run {
    /// Starts a shim, with the bundle of a container `c` that sleeps.
    pub async fn start(shim: Shim, engine: &'static str) -> Result<Self, String> {
        let dir = PathBuf::from(format!("{BASE}/{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let said = |error: io::Error| format!("{}: {error}", dir.display());
        fs::create_dir_all(dir.join("state")).map_err(said)?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let ttrpc = dir.join("events");
        let mut server = Server::new()
            .bind(&format!("unix://{}", ttrpc.display()))
            .map_err(|error| error.to_string())?
            .register_service(create_events(Arc::new(Recorder(events.clone()))));
        server.start().await.map_err(|error| error.to_string())?;
        let mut trace = Trace::new(&dir.display().to_string());
        let program = engine_path(engine);
        trace.hide(&program, "ENGINE");
        let groups = Groups::of(&dir);
        groups.names().iter().for_each(|name| trace.hide(name, "GROUP-"));
        let mut run = Self {
            shim,
            engine,
            // Connected below, when its address is known.
            task: TaskClient::new(
                Client::connect(&format!("unix://{}", ttrpc.display())).await.map_err(|e| e.to_string())?,
            ),
            dir,
            trace: Mutex::new(trace),
            groups,
            events,
            address: String::new(),
            shim_pid: 0,
            started_in: Duration::ZERO,
            _server: server,
            logs: Mutex::default(),
        };
        run.bundle("c", &["sleep", "1000"], |_| {})?;
        let begin = Instant::now();
        let (answer, words) = run.call_binary("c", "start", &run.options(|_| {}))?;
        run.started_in = begin.elapsed();
        run.address = bootstrap::address(&answer).map_err(|error| format!("start said {words:?}: {error}"))?;
        run.task = run.connect().await?;
        let known = run.task.connect(soon(), &Default::default()).await.map_err(|error| error.to_string())?;
        run.shim_pid = known.shim_pid;
        Ok(run)
    }

    /// Another connection to the shim.
    pub async fn connect(&self) -> Result<TaskClient, String> {
        Ok(TaskClient::new(Client::connect(&self.address).await.map_err(|error| error.to_string())?))
    }

    /// A connection on which anything can be asked.
    pub async fn raw_client(&self) -> Result<Client, String> {
        Client::connect(&self.address).await.map_err(|error| error.to_string())
    }

    /// Where the shim looks for programs: a folder `bin` of this run's first.
    fn path(&self) -> std::ffi::OsString {
        let mut path = self.dir.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    /// The shim's process id.
    pub fn shim_pid(&self) -> u32 {
        self.shim_pid
    }

    /// How long the shim's program took for `start`, until it had told its address and ended.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The shim's socket.
    pub fn socket(&self) -> PathBuf {
        self.address.trim_start_matches("unix://").into()
    }

    /// Where the bundle of `id` is.
    pub fn bundle_of(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// Writes the bundle of a container that runs `args`.
    pub fn bundle(&self, id: &str, args: &[&str], edit: impl FnOnce(&mut Value)) -> Result<(), String> {
        let bundle = self.bundle_of(id);
        let mut config = spec::container(args, &self.groups.in_spec(id));
        edit(&mut config);
        let config = self.annotated(config);
        let made = || {
            // containerd makes the folder for criu's work.
            fs::create_dir_all(bundle.join("work"))?;
            self.logs.lock().unwrap_or_else(PoisonError::into_inner).make(&bundle.join("log"))?;
            if !bundle.join("rootfs/bin").exists() {
                spec::rootfs(&bundle.join("rootfs"), Path::new(BASE).join("busybox").as_path())?;
            }
            fs::write(bundle.join("config.json"), config.to_string())
        };
        made().map_err(|error| format!("{}: {error}", bundle.display()))
    }

    /// A spec with the annotation that a confined run has.
    pub fn annotated(&self, mut config: Value) -> Value {
        if self.shim == Shim::Confined {
            config["annotations"]["network-enforcement"] = "platform".into();
        }
        config
    }

    /// The processes in the run's cgroups.
    pub fn processes(&self) -> Vec<u32> {
        let mut pids = std::collections::BTreeSet::new();
        for group in self.groups.present() {
            let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        pids.into_iter().collect()
    }

    /// Forgets the events so far.
    pub fn drop_events(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The runtime options of this run.
    pub fn options(&self, edit: impl FnOnce(&mut Options)) -> Any {
        let mut options = Options {
            binary_name: engine_path(self.engine),
            root: self.dir.join("engine").display().to_string(),
            systemd_cgroup: groups::by_systemd(),
            ..Options::default()
        };
        edit(&mut options);
        let value = options.write_to_bytes().unwrap_or_default();
        Any { type_url: "containerd.runc.v1.Options".into(), value, ..Any::default() }
    }

    /// The request that creates the container whose bundle was written.
    pub fn request(&self, id: &str) -> CreateTaskRequest {
        CreateTaskRequest {
            id: id.to_owned(),
            bundle: self.bundle_of(id).display().to_string(),
            options: MessageField::some(self.options(|_| {})),
            ..CreateTaskRequest::default()
        }
    }

    /// Runs the shim's program with a verb; what it printed on stdout, and on stderr.
    pub fn call_binary(&self, id: &str, verb: &str, options: &Any) -> Result<(Vec<u8>, String), String> {
        let input = self.dir.join("stdin");
        let bytes = match verb {
            "start" => bootstrap::input(NAMESPACE, id, &self.dir, options)?,
            _ => options.write_to_bytes().map_err(|error| error.to_string())?,
        };
        let called = || {
            fs::write(&input, bytes)?;
            Command::new(self.shim.program())
                .args(["-namespace", NAMESPACE, "-id", id, "-publish-binary", "/bin/true", "-address"])
                .arg(self.dir.join("containerd.sock"))
                .arg("-bundle")
                .arg(self.bundle_of(id))
                .arg(verb)
                .env("TTRPC_ADDRESS", self.dir.join("events"))
                .env("NAMESPACE", NAMESPACE)
                .env("GOMAXPROCS", "2")
                .env("ZEROCAP_STATE", self.dir.join("state"))
                .env("PATH", self.path())
                .current_dir(self.bundle_of(id))
                .stdin(fs::File::open(&input)?)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .output()
        };
        let output = called().map_err(|error| format!("{}: {error}", self.shim.program()))?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok((output.stdout, words)) } else { Err(words) }
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).add(line);
    }

    /// The events so far, as they came.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a started process is the program `name`: a signal before that reaches the engine's own code.
    pub async fn is_program(&self, pid: Option<u32>, name: &str) -> Result<(), String> {
        let comm = format!("/proc/{}/comm", pid.unwrap_or_default());
        until(name, || fs::read_to_string(&comm).is_ok_and(|comm| comm.trim_end() == name)).await
    }

    /// Waits until `count` events of a topic (`/tasks/exit`) have come.
    pub async fn event(&self, topic: &str, count: usize) -> Result<(), String> {
        let wanted = format!(" {topic} ");
        until(&format!("{count} × {topic}"), || self.events().iter().filter(|e| e.contains(&wanted)).count() >= count)
            .await
    }

    /// Leaves the events so far out of the trace, but for their number: those of processes side by side have no order.
    pub fn forget_events(&self, what: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let count = events.len();
        events.clear();
        drop(events);
        self.note(&format!("{count} events of {what}"));
    }

    /// Keeps only the first event of a topic.
    pub fn once(&self, topic: &str) {
        let mut seen = false;
        let topic = format!(" {topic} ");
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|event| !event.contains(&topic) || !std::mem::replace(&mut seen, true));
    }

    /// Deletes an exec; its process id, which has no order, stays out of the trace.
    pub async fn delete_unnamed(&self, id: &str, exec: &str) {
        use containerd_shim_protos::api::DeleteRequest;
        let request = DeleteRequest { id: id.into(), exec_id: exec.into(), ..DeleteRequest::default() };
        let answer = self.task.delete(soon(), &request).await;
        self.note(&format!(
            "delete {id}/{exec}: {:?}",
            answer.map(|answer| answer.exit_status).map_err(|e| e.to_string())
        ));
    }

    /// Ends what is left, and completes the trace: the events in order, and what stayed behind.
    pub async fn finish(self) -> Result<Vec<String>, String> {
        // Whatever the scenario left is removed without a word in the trace.
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            self.remove_quietly(&id).await;
        }
        let events = self.events();
        let _ = self.task.shutdown(soon(), &Default::default()).await;
        let proc = format!("/proc/{}/root/", self.shim_pid);
        if until("the shim's end", || !alive(self.shim_pid)).await.is_err() {
            self.note("left: the shim");
            kill(self.shim_pid);
            let _ = until(&proc, || !alive(self.shim_pid)).await;
        }
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            trace.add(&event);
        }
        for left in self.left() {
            trace.add(&format!("left: {left}"));
        }
        let lines = trace.lines().to_vec();
        drop(trace);
        let _ = fs::remove_dir_all(&self.dir);
        Ok(lines)
    }

    async fn remove_quietly(&self, id: &str) {
        use containerd_shim_protos::api::{DeleteRequest, KillRequest, WaitRequest};
        let named = |id: &str| id.to_owned();
        let kill = KillRequest { id: named(id), signal: 9, all: true, ..KillRequest::default() };
        if !self.dir.join(id).join("config.json").exists() {
            return;
        }
        let _ = self.task.kill(soon(), &kill).await;
        let wait = WaitRequest { id: named(id), ..WaitRequest::default() };
        let _ = tokio::time::timeout(Duration::from_secs(3), self.task.wait(soon(), &wait)).await;
        let _ = self.task.delete(soon(), &DeleteRequest { id: named(id), ..DeleteRequest::default() }).await;
    }

    /// What a shim must not leave: mounts, cgroups, its socket, state.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let dir = self.dir.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let at = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|at| at.starts_with(&dir));
        left.extend(at.map(|at| format!("a mount at {at}")));
        left.extend(self.groups.present().into_iter().map(|group| format!("the cgroup {}", group.display())));
        if self.socket().exists() {
            left.push("the socket".to_owned());
        }
        for folder in ["engine", "state"] {
            let namespace = self.dir.join(folder).join(NAMESPACE);
            let entries = fs::read_dir(namespace).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| format!("{folder} of {}", entry.file_name().to_string_lossy())));
        }
        left
    }
}

/// Makes [`BASE`], once in a node.
pub fn prepare() -> io::Result<()> {
    fs::create_dir_all(BASE)?;
    let busybox = Path::new(BASE).join("busybox");
    if !busybox.exists() {
        fs::copy(engine_path("busybox"), &busybox)?;
    }
    Ok(())
}

/// The path of an engine.
pub fn engine_path(name: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    found.map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

/// Whether a process lives: not a zombie either.
pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Kills a process.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends a signal to a process, if it is there.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The limit of one call.
pub fn soon() -> ttrpc::context::Context {
    ttrpc::context::with_timeout(i64::try_from(PATIENCE.as_nanos()).unwrap_or(i64::MAX))
}

/// Waits until `done`.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}"));
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    Ok(())
}

/// A connection to a shim at `address`.
pub async fn client(address: &str) -> Result<TaskClient, String> {
    Ok(TaskClient::new(Client::connect(address).await.map_err(|error| error.to_string())?))
}
