//! The task API, every call recorded: what was asked, the answer with all its fields, or the code and the message.

use std::future::Future;

use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, CreateTaskRequest, DeleteRequest, ExecProcessRequest,
    KillRequest, PauseRequest, PidsRequest, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest,
    StateRequest, StatsRequest, UpdateTaskRequest, WaitRequest,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField, MessageFull, text_format};
use containerd_shim_protos::shim::oci::CheckpointOptions;
use containerd_shim_protos::ttrpc;

use super::{Run, soon, spec};

macro_rules! call {
    ($self:ident, $label:expr, $method:ident, $kind:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let request = $kind { $($field: $value,)* ..$kind::default() };
        $self.record(&$label, $self.task.$method(soon(), &request)).await
    }};
}

/// How a process is meant in a trace: `c`, or `c/e` for an exec.
fn named(id: &str, exec: &str) -> String {
    if exec.is_empty() { id.to_owned() } else { format!("{id}/{exec}") }
}

impl Run {
    /// Waits for a call and records its end.
    pub async fn record<M: MessageFull>(&self, label: &str, call: impl Future<Output = ttrpc::Result<M>>) -> Option<M> {
        let answer = call.await;
        match &answer {
            Ok(message) => self.note(&format!("{label}: {}", text_format::print_to_string(message))),
            Err(error) => self.note(&format!("{label}: {}", refusal(error))),
        }
        answer.ok()
    }

    /// Creates what the request says; the process id of its init.
    pub async fn create_with(&self, request: CreateTaskRequest) -> Option<u32> {
        let answer = self.record(&format!("create {}", request.id), self.task.create(soon(), &request)).await;
        answer.map(|created| created.pid)
    }

    /// Writes the bundle of a container that runs `args`, and creates it.
    pub async fn create(&self, id: &str, args: &[&str]) -> Result<Option<u32>, String> {
        self.bundle(id, args, |_| {})?;
        Ok(self.create_with(self.request(id)).await)
    }

    /// Creates and starts a container.
    pub async fn run(&self, id: &str, args: &[&str]) -> Result<u32, String> {
        self.create(id, args).await?;
        self.start_process(id, "").await.ok_or_else(|| format!("{id} does not start: {:?}", self.last()))
    }

    /// The last line of the trace.
    pub fn last(&self) -> Option<String> {
        self.trace.lock().ok().and_then(|trace| trace.lines().last().cloned())
    }

    /// Starts a container, or an exec of it; its process id.
    pub async fn start_process(&self, id: &str, exec: &str) -> Option<u32> {
        let label = format!("start {}", named(id, exec));
        call!(self, label, start, StartRequest { id: id.into(), exec_id: exec.into() }).map(|answer| answer.pid)
    }

    /// Asks for the state of a process.
    pub async fn state(&self, id: &str, exec: &str) {
        call!(self, format!("state {}", named(id, exec)), state, StateRequest { id: id.into(), exec_id: exec.into() });
    }

    /// Waits for the end of a process.
    pub async fn wait(&self, id: &str, exec: &str) {
        call!(self, format!("wait {}", named(id, exec)), wait, WaitRequest { id: id.into(), exec_id: exec.into() });
    }

    /// Sends a signal to a process.
    pub async fn kill(&self, id: &str, exec: &str, signal: u32) {
        let label = format!("kill {} {signal}", named(id, exec));
        call!(self, label, kill, KillRequest { id: id.into(), exec_id: exec.into(), signal: signal });
    }

    /// Sends a signal to all processes of a container.
    pub async fn kill_all(&self, id: &str, signal: u32) {
        let label = format!("kill --all {id} {signal}");
        call!(self, label, kill, KillRequest { id: id.into(), signal: signal, all: true });
    }

    /// Deletes a process that has ended.
    pub async fn delete(&self, id: &str, exec: &str) {
        call!(
            self,
            format!("delete {}", named(id, exec)),
            delete,
            DeleteRequest { id: id.into(), exec_id: exec.into() }
        );
    }

    /// The request that adds an exec of `args`.
    pub fn exec_request(&self, id: &str, exec: &str, args: &[&str]) -> ExecProcessRequest {
        ExecProcessRequest {
            id: id.into(),
            exec_id: exec.into(),
            spec: MessageField::some(json(
                "types.containerd.io/opencontainers/runtime-spec/1/Process",
                &spec::process(args),
            )),
            ..ExecProcessRequest::default()
        }
    }

    /// Adds what the request says.
    pub async fn exec_with(&self, request: ExecProcessRequest) {
        self.record(&format!("exec {}", named(&request.id, &request.exec_id)), self.task.exec(soon(), &request)).await;
    }

    /// Adds an exec of `args`.
    pub async fn exec(&self, id: &str, exec: &str, args: &[&str]) {
        self.exec_with(self.exec_request(id, exec, args)).await;
    }

    /// Adds an exec, starts it, waits for it and deletes it.
    pub async fn exec_whole(&self, id: &str, exec: &str, args: &[&str]) {
        self.exec(id, exec, args).await;
        self.start_process(id, exec).await;
        self.wait(id, exec).await;
        self.delete(id, exec).await;
    }

    /// [`Run::exec_whole`] without a trace; an exec of `true` must succeed.
    pub async fn exec_quietly(&self, id: &str, exec: &str, args: &[&str]) -> Result<(), String> {
        let told = |error: ttrpc::Error| refusal(&error);
        self.task.exec(soon(), &self.exec_request(id, exec, args)).await.map_err(told)?;
        let start = StartRequest { id: id.into(), exec_id: exec.into(), ..StartRequest::default() };
        self.task.start(soon(), &start).await.map_err(told)?;
        let wait = WaitRequest { id: id.into(), exec_id: exec.into(), ..WaitRequest::default() };
        let ended = self.task.wait(soon(), &wait).await.map_err(told)?;
        let delete = DeleteRequest { id: id.into(), exec_id: exec.into(), ..DeleteRequest::default() };
        self.task.delete(soon(), &delete).await.map_err(told)?;
        if ended.exit_status == 0 { Ok(()) } else { Err(format!("status {}", ended.exit_status)) }
    }

    /// Pauses a container.
    pub async fn pause(&self, id: &str) {
        call!(self, format!("pause {id}"), pause, PauseRequest { id: id.into() });
    }

    /// Resumes a container.
    pub async fn resume(&self, id: &str) {
        call!(self, format!("resume {id}"), resume, ResumeRequest { id: id.into() });
    }

    /// Changes the limits of a container: `resources` as JSON of the OCI spec.
    pub async fn update(&self, id: &str, resources: &str) {
        let any = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources".into(),
            value: resources.as_bytes().to_vec(),
            ..Any::default()
        };
        let label = format!("update {id}");
        call!(self, label, update, UpdateTaskRequest { id: id.into(), resources: MessageField::some(any) });
    }

    /// Changes the size of a terminal, in cells.
    pub async fn resize(&self, id: &str, exec: &str, width: u32, height: u32) {
        let label = format!("resize {} {width}x{height}", named(id, exec));
        call!(
            self,
            label,
            resize_pty,
            ResizePtyRequest { id: id.into(), exec_id: exec.into(), width: width, height: height }
        );
    }

    /// Closes the standard input of a process.
    pub async fn close_io(&self, id: &str, exec: &str) {
        let label = format!("close_io {}", named(id, exec));
        call!(self, label, close_io, CloseIORequest { id: id.into(), exec_id: exec.into(), stdin: true });
    }

    /// Asks for the process ids of a shim and its container.
    pub async fn connect_task(&self, id: &str) {
        call!(self, format!("connect {id}"), connect, ConnectRequest { id: id.into() });
    }

    /// Asks the shim to end, if it has nothing left.
    pub async fn shutdown(&self, id: &str) {
        call!(self, format!("shutdown {id}"), shutdown, ShutdownRequest { id: id.into() });
    }

    /// Writes a checkpoint into `path`.
    pub async fn checkpoint(&self, id: &str, path: &str) {
        call!(self, format!("checkpoint {id}"), checkpoint, CheckpointTaskRequest { id: id.into(), path: path.into() });
    }

    /// A checkpoint after which the container ends.
    pub async fn checkpoint_and_end(&self, id: &str, path: &str) -> Result<(), String> {
        let options = CheckpointOptions { exit: true, terminal: true, ..CheckpointOptions::default() };
        let options = Any {
            type_url: "containerd.runc.v1.CheckpointOptions".into(),
            value: options.write_to_bytes().unwrap_or_default(),
            ..Any::default()
        };
        let request = CheckpointTaskRequest {
            id: id.into(),
            path: path.into(),
            options: MessageField::some(options),
            ..CheckpointTaskRequest::default()
        };
        let answer = self.record(&format!("checkpoint and end {id}"), self.task.checkpoint(soon(), &request)).await;
        answer.map(drop).ok_or_else(|| format!("no checkpoint: {:?}", self.last()))
    }

    /// How many processes there are, and which of them are execs.
    pub async fn pids(&self, id: &str) {
        let answer = self.task.pids(soon(), &PidsRequest { id: id.into(), ..PidsRequest::default() }).await;
        match answer {
            Ok(mut answer) => {
                // The kernel lists them in no order.
                answer.processes.sort_by_key(|process| (process.info.is_some(), process.pid));
                self.note(&format!("pids {id}: {}", text_format::print_to_string(&answer)));
            }
            Err(error) => self.note(&format!("pids {id}: {}", refusal(&error))),
        }
    }

    /// The raw statistics.
    pub async fn stats(&self, id: &str) -> Option<Any> {
        match self.task.stats(soon(), &StatsRequest { id: id.into(), ..StatsRequest::default() }).await {
            Ok(answer) => answer.stats.into_option(),
            Err(error) => {
                self.note(&format!("stats {id}: {}", refusal(&error)));
                None
            }
        }
    }
}

/// A JSON value as containerd packs it.
pub fn json(kind: &str, value: &serde_json::Value) -> Any {
    Any { type_url: kind.into(), value: value.to_string().into_bytes(), ..Any::default() }
}

/// An error in one line: its code and its message.
pub fn refusal(error: &ttrpc::Error) -> String {
    match error {
        ttrpc::Error::RpcStatus(status) => {
            let code = status.code.enum_value().map_or_else(|n| n.to_string(), |code| format!("{code:?}"));
            format!("refused with {code}: {:?}", status.message)
        }
        other => format!("failed: {other}"),
    }
}
