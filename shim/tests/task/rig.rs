//! A shim without containerd: the real program, a made-up engine, and the test as containerd's event service.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use containerd_shim::api::{CreateTaskRequest, ExecProcessRequest, Options, StartRequest};
use containerd_shim::bootstrap::{BootstrapParams, BootstrapResult, Extension};
use containerd_shim::protos::api::{
    DeleteRequest, Empty, ForwardRequest, KillRequest, StateRequest, Status, WaitRequest,
};
use containerd_shim::protos::events::task::{TaskExit, TaskOOM};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{Message, MessageField};
use containerd_shim::protos::shim_async::{Client, Events, TaskClient, create_events};
use containerd_shim::protos::ttrpc::r#async::TtrpcContext;
use containerd_shim::protos::ttrpc::asynchronous::Server;
use containerd_shim::protos::ttrpc::context::{Context, with_timeout};
use containerd_shim::protos::ttrpc::{self, Code};

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-zerocap-v2");
const ENGINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/task/engine.sh");
/// Long enough for a loaded machine; nothing here takes a second by itself.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the shim published, as `topic container id status`.
type Log = Arc<Mutex<Vec<String>>>;

struct Recorder(Log);

#[async_trait]
impl Events for Recorder {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let envelope = request.envelope.unwrap_or_default();
        let event = envelope.event.unwrap_or_default();
        let line = match envelope.topic.as_str() {
            "/tasks/exit" => {
                let exit = TaskExit::parse_from_bytes(&event.value).unwrap_or_default();
                format!("/tasks/exit {} {}", exit.id, exit.exit_status)
            }
            // Every other task event has the container's id as its first field.
            topic => {
                let first = TaskOOM::parse_from_bytes(&event.value).unwrap_or_default();
                format!("{topic} {}", first.container_id)
            }
        };
        self.0.lock().unwrap().push(line);
        Ok(Empty::default())
    }
}

/// One shim with its own folder, socket and engine.
pub struct Rig {
    pub task: TaskClient,
    pub dir: tempfile::TempDir,
    address: String,
    log: Log,
    _events: Server,
}

impl Rig {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("ctl")).unwrap();
        fs::copy(ENGINE, dir.path().join("engine")).unwrap();
        fs::set_permissions(dir.path().join("engine"), fs::Permissions::from_mode(0o755)).unwrap();
        let log = Log::default();
        let events = format!("unix://{}", dir.path().join("events").display());
        let mut server =
            Server::new().bind(&events).unwrap().register_service(create_events(Arc::new(Recorder(log.clone()))));
        server.start().await.unwrap();
        let bundle = bundle(dir.path(), "c", "sleep 1000");
        let (address, version) = start_shim(dir.path(), &bundle, "c");
        assert_eq!(version, 3);
        let task = TaskClient::new(Client::connect(&address).await.unwrap());
        Self { task, dir, address, log, _events: server }
    }

    /// Another connection, as containerd makes after a restart.
    pub async fn reconnect(&self) -> TaskClient {
        TaskClient::new(Client::connect(&self.address).await.unwrap())
    }

    pub fn socket(&self) -> PathBuf {
        self.address.strip_prefix("unix://").unwrap().into()
    }

    /// What State says over a new connection.
    pub async fn reconnect_and_ask(&self, id: &str) -> Status {
        let request = StateRequest { id: id.into(), ..StateRequest::default() };
        let answer = self.reconnect().await.state(soon(), &request).await.unwrap();
        answer.status.enum_value().unwrap()
    }

    /// Orders the engine: `create.fail`, `exec.sleep`, ….
    pub fn order(&self, what: &str, value: &str) {
        fs::write(self.dir.path().join("ctl").join(what), value).unwrap();
    }

    pub fn revoke(&self, what: &str) {
        fs::remove_file(self.dir.path().join("ctl").join(what)).unwrap();
    }

    /// Waits until the engine holds a call of `verb`, which was ordered by `VERB.hold`; revoking `VERB.held` lets it go on.
    pub async fn held(&self, verb: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.dir.path().join("ctl").join(format!("{verb}.held")).exists() {
            assert!(Instant::now() < deadline, "the engine is not asked to {verb}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until State says so.
    pub async fn becomes(&self, id: &str, exec_id: &str, status: Status) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.status(id, exec_id).await;
            if now == status {
                return;
            }
            assert!(Instant::now() < deadline, "{id} {exec_id} is {now:?}, not {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the engine was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.path().join("ctl/calls")).unwrap_or_default();
        calls.lines().map(|line| line.trim().to_owned()).collect()
    }

    pub fn create_request(&self, id: &str, program: &str) -> CreateTaskRequest {
        let bundle = bundle(self.dir.path(), id, program);
        CreateTaskRequest {
            id: id.to_owned(),
            bundle: bundle.display().to_string(),
            options: MessageField::some(options(self.dir.path())),
            ..CreateTaskRequest::default()
        }
    }

    pub async fn create(&self, id: &str, program: &str) -> ttrpc::Result<u32> {
        Ok(self.task.create(soon(), &self.create_request(id, program)).await?.pid)
    }

    pub async fn start_task(&self, id: &str, exec_id: &str) -> ttrpc::Result<u32> {
        let request = StartRequest { id: id.into(), exec_id: exec_id.into(), ..StartRequest::default() };
        Ok(self.task.start(soon(), &request).await?.pid)
    }

    pub async fn run(&self, id: &str, program: &str) -> u32 {
        self.create(id, program).await.unwrap();
        self.start_task(id, "").await.unwrap()
    }

    pub async fn exec(&self, id: &str, exec_id: &str, program: &str) -> ttrpc::Result<()> {
        let spec = Any { value: format!(r#"{{"program":"{program}"}}"#).into_bytes(), ..Any::default() };
        let request = ExecProcessRequest {
            id: id.into(),
            exec_id: exec_id.into(),
            spec: MessageField::some(spec),
            ..ExecProcessRequest::default()
        };
        self.task.exec(soon(), &request).await.map(drop)
    }

    pub async fn status(&self, id: &str, exec_id: &str) -> Status {
        let request = StateRequest { id: id.into(), exec_id: exec_id.into(), ..StateRequest::default() };
        self.task.state(soon(), &request).await.unwrap().status.enum_value().unwrap()
    }

    pub async fn wait(&self, id: &str, exec_id: &str) -> ttrpc::Result<u32> {
        let request = WaitRequest { id: id.into(), exec_id: exec_id.into(), ..WaitRequest::default() };
        Ok(self.task.wait(soon(), &request).await?.exit_status)
    }

    pub async fn kill(&self, id: &str, exec_id: &str, signal: u32) -> ttrpc::Result<()> {
        let request = KillRequest { id: id.into(), exec_id: exec_id.into(), signal, ..KillRequest::default() };
        self.task.kill(soon(), &request).await.map(drop)
    }

    pub async fn delete(&self, id: &str, exec_id: &str) -> ttrpc::Result<u32> {
        let request = DeleteRequest { id: id.into(), exec_id: exec_id.into(), ..DeleteRequest::default() };
        Ok(self.task.delete(soon(), &request).await?.exit_status)
    }

    /// Waits until an event whose line is `line` was published, and returns all until then.
    pub async fn events_until(&self, line: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.log.lock().unwrap().clone();
            if seen.iter().any(|event| event == line) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{line:?} did not come; there were {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the process `pid` has ended.
    pub async fn gone(&self, pid: u32) {
        let deadline = Instant::now() + PATIENCE;
        while fs::metadata(format!("/proc/{pid}/root/")).is_ok() {
            assert!(Instant::now() < deadline, "process {pid} does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The shim's own process id.
    pub async fn shim_pid(&self) -> u32 {
        self.task.connect(soon(), &Default::default()).await.unwrap().shim_pid
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Everything that the test made descends from the shim; its folder is in every command line.
        let dir = self.dir.path().display().to_string();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let own = pid == i32::try_from(std::process::id()).unwrap();
            if !own && environment.windows(dir.len()).any(|window| window == dir.as_bytes()) {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::KILL,
                );
            }
        }
    }
}

pub fn soon() -> Context {
    with_timeout(i64::try_from(PATIENCE.as_nanos()).unwrap())
}

/// The code of a refused call.
pub fn code<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> (Code, String) {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => (status.code(), status.message),
        other => panic!("expected a refusal: {other:?}"),
    }
}

/// A bundle whose container runs `program`.
pub fn bundle(dir: &Path, id: &str, program: &str) -> PathBuf {
    let bundle = dir.join(id);
    fs::create_dir_all(bundle.join("rootfs")).unwrap();
    fs::write(bundle.join("program"), program).unwrap();
    fs::write(bundle.join("config.json"), r#"{"linux":{"namespaces":[{"type":"pid"}]}}"#).unwrap();
    bundle
}

/// The engine's options as containerd would send them.
pub fn options(dir: &Path) -> Any {
    let options = Options {
        binary_name: dir.join("engine").display().to_string(),
        root: dir.join("root").display().to_string(),
        ..Options::default()
    };
    Any { type_url: "containerd.runc.v1.Options".into(), value: options.write_to_bytes().unwrap(), ..Any::default() }
}

/// Runs `start` in the newest dialect; returns the address and the version of the task service.
pub fn start_shim(dir: &Path, bundle: &Path, id: &str) -> (String, i32) {
    let params = BootstrapParams {
        instance_id: id.into(),
        namespace: "test".into(),
        containerd_ttrpc_address: dir.join("events").display().to_string(),
        containerd_grpc_address: dir.join("grpc").display().to_string(),
        socket_dir: Some(dir.join("s").display().to_string()),
        extensions: vec![Extension { value: MessageField::some(options(dir)), ..Extension::default() }],
        ..BootstrapParams::default()
    };
    let mut start = Command::new(SHIM)
        .args(["-namespace", "test", "-id", id, "-address", "/nowhere", "start"])
        .env("ZEROCAP_STATE", dir.join("state"))
        .current_dir(bundle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    start.stdin.take().unwrap().write_all(&params.write_to_bytes().unwrap()).unwrap();
    let output = start.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "containerd reads stderr as part of the answer");
    let answer = BootstrapResult::parse_from_bytes(&output.stdout).unwrap();
    (answer.address, answer.version)
}
