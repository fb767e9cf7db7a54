//! Create: from a bundle to a container that waits for its start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use command_fds::FdMapping;
use containerd_shim::api::{CreateTaskRequest, CreateTaskResponse};
use containerd_shim::protos::events::task::{TaskCreate, TaskIO};
use containerd_shim::protos::protobuf::MessageField;
use serde_json::Value;
use zerocap_annotations::{ZcError, code};

use super::Shim;
use super::container::{Container, Parts};
use super::control::engine_error;
use super::process::{Made, Process};
use super::restore::{Checkpoint, refusal};
use crate::bundle::{self, End, Leftover};
use crate::cgroup::Cgroup;
use crate::confinement::{self, FloorOptions, Prepared, refused};
use crate::engine::{Engine, EngineError, Spawn};
use crate::mounts::{IdMap, Rootfs};
use crate::options::{Options, OptionsError};
use crate::reaper;
use crate::status::{TaskError, TaskResult};
use crate::stdio::{self, Owner};

/// How long a container that could not be created may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// A container that the engine is asked for.
pub(super) struct Creation<'a> {
    pub(super) id: &'a str,
    pub(super) bundle: &'a Path,
    /// What marks the processes of its start.
    pub(super) marks: Vec<u64>,
    /// Where its cgroups will be.
    pub(super) planned: Option<Cgroup>,
    /// Where it comes from, if it is not made anew.
    pub(super) checkpoint: Option<&'a Checkpoint>,
}

impl Shim {
    pub(super) async fn create(self: Arc<Self>, request: CreateTaskRequest) -> TaskResult<CreateTaskResponse> {
        if !bundle::is_identifier(&request.id) {
            return Err(TaskError::invalid_argument(format!("bad container id {:?}", request.id)));
        }
        let reservation = self.reserve(&request.id)?;
        let bundle = PathBuf::from(&request.bundle);
        let options = Options::from_any(request.options.as_ref()).map_err(bad_options)?;
        let failed = |error: EngineError| engine_error("OCI runtime create failed", &error);
        let engine = Engine::new(&options, &self.namespace, self.reaper.clone()).map_err(failed)?;
        let bytes = bundle::read_config(&bundle).map_err(io_error("read the OCI spec"))?;
        let spec: Value =
            serde_json::from_slice(&bytes).map_err(|error| TaskError::unknown(format!("config.json: {error}")))?;
        let own_pid_namespace = own_pid_namespace(&spec);
        let start_hooks = spec.pointer("/hooks/poststart").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let planned = spec.pointer("/linux/cgroupsPath").and_then(Value::as_str);
        let planned = planned.and_then(|path| Cgroup::planned(&request.id, path));
        End::forget(&bundle);
        Leftover::write(&bundle, &options).map_err(io_error("write the options"))?;
        let owner = Owner {
            container: request.id.clone(),
            namespace: self.namespace.clone(),
            uid: options.io_uid,
            gid: options.io_gid,
        };
        let stdio = stdio::Request {
            terminal: request.terminal,
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
        };
        let ids = IdMap::wanted(&request.rootfs, &self.reaper).await.map_err(io_error("map the rootfs"))?;
        let rootfs = Rootfs::mount(&request.rootfs, bundle.join(bundle::ROOTFS), ids, &self.reaper)
            .await
            .map_err(|error| TaskError::unknown(error.to_string()))?;
        let made = async {
            let mut prepared = self
                .policies
                .prepare(confinement::Request {
                    id: &request.id,
                    bundle: &bundle,
                    bytes: &bytes,
                    spec,
                    engine: engine.kind(),
                    floor: &FloorOptions { builtin: options.floor, file: options.floor_file },
                })
                .map_err(refused)?;
            drop(bytes);
            let checkpoint = Checkpoint::wanted(&request.checkpoint, &options.criu_work_path, &bundle);
            let made = match &checkpoint {
                Some(_) if prepared.confined.is_some() => return Err(refused(refusal())),
                // Start makes it.
                Some(_) => None,
                None => {
                    let io = stdio::Prepared::open(&stdio, &owner, &self.reaper).await.map_err(streams_error)?;
                    let fds = std::mem::take(&mut prepared.fds);
                    let marks = prepared.marks();
                    let creation = Creation { id: &request.id, bundle: &bundle, marks, planned, checkpoint: None };
                    Some(self.make_init(&engine, creation, io, fds, &mut prepared).await?)
                }
            };
            Ok((made, prepared, checkpoint))
        };
        let (made, prepared, checkpoint) = match made.await {
            Ok(all) => all,
            Err(error) => {
                rootfs.undo().await;
                return Err(error);
            }
        };
        rootfs.keep();
        let cgroup = made.as_ref().map(|made| {
            Cgroup::of(made.pid).unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot tell the container's cgroup");
                Cgroup::default()
            })
        });
        let container = reservation.take(Container::new(Parts {
            id: request.id.clone(),
            bundle,
            engine,
            init: Process::init(stdio, made),
            cgroup,
            checkpoint,
            own_pid_namespace,
            start_hooks,
            owner,
            confined: prepared.keep().map(Arc::new),
        }));
        self.announce_create(&container, request);
        self.follow_init(&container);
        Ok(CreateTaskResponse { pid: container.init.wire_pid(), ..CreateTaskResponse::default() })
    }

    /// Runs the engine; whatever fails, the engine has no container afterwards.
    pub(super) async fn make_init(
        &self,
        engine: &Engine,
        creation: Creation<'_>,
        mut io: stdio::Prepared,
        fds: Vec<FdMapping>,
        prepared: &mut Prepared,
    ) -> TaskResult<Made> {
        let Creation { id, bundle, marks, planned, checkpoint } = creation;
        let hold = self.reaper.hold();
        let pid_file = bundle.join(bundle::INIT_PID);
        // What an engine writes there tells that it has made the container, whatever it says afterwards.
        let _ = std::fs::remove_file(&pid_file);
        let console = io.console.as_ref().map(|socket| socket.path().to_owned());
        let spawn = Spawn {
            bundle,
            pid_file: &pid_file,
            console_socket: console.as_deref(),
            stdio: io.engine_stdio(),
            fds,
            no_core: prepared.no_core,
        };
        let (engine_made, prefix) = match checkpoint {
            None => (engine.create(id, spawn).await, "OCI runtime create failed"),
            Some(from) => (engine.restore(id, spawn, &from.image, &from.work).await, "OCI runtime restore failed"),
        };
        if let Err(error) = engine_made {
            if error.may_leave_something() || pid_file.exists() {
                reaper::kill_marked(&marks);
                self.remove_from_engine(engine, id, bundle).await;
                // An engine without state of the container leaves its groups.
                if let Some(cgroup) = planned {
                    cgroup.remove().await;
                }
            }
            return Err(engine_error(prefix, &error));
        }
        let mut made = self.claim(&pid_file, io).await;
        drop(hold);
        if let Ok(init) = &made
            && let Err(error) = prepared.fence(init.pid)
        {
            made = Err(refused(error));
        }
        if self.given_up() {
            made = Err(TaskError::unknown("the creation was given up"));
        }
        if made.is_err() {
            self.remove_from_engine(engine, id, bundle).await;
        }
        made
    }

    /// Claims the process whose pid the engine wrote, and connects its streams.
    pub(super) async fn claim(&self, pid_file: &Path, io: stdio::Prepared) -> TaskResult<Made> {
        let pid = bundle::read_pid(pid_file).map_err(io_error("read the pid file"))?;
        let watch = self.reaper.adopt(pid);
        let live = io.connect().await.map_err(io_error("connect the standard streams"))?;
        Ok(Made { pid, watch, live })
    }

    async fn remove_from_engine(&self, engine: &Engine, id: &str, bundle: &Path) {
        let removed = tokio::time::timeout(GONE, engine.delete(id, bundle, true)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(%error, id, "a container that was not created stays in the engine");
        }
    }

    fn announce_create(&self, container: &Container, request: CreateTaskRequest) {
        self.events.publish(&TaskCreate {
            container_id: request.id,
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: MessageField::some(TaskIO {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
                ..TaskIO::default()
            }),
            checkpoint: request.checkpoint,
            pid: container.init.wire_pid(),
            ..TaskCreate::default()
        });
    }
}

fn bad_options(error: OptionsError) -> TaskError {
    let hint = "correct the handler's options in containerd's configuration";
    TaskError::unknown(ZcError::new(code::node::BAD_OPTIONS, error.to_string(), hint).to_string())
}

/// Whether the container has a PID namespace that ends with its first process.
fn own_pid_namespace(spec: &Value) -> bool {
    let namespaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    namespaces.into_iter().flatten().any(|namespace| {
        let path = namespace.get("path").and_then(Value::as_str);
        namespace.get("type").and_then(Value::as_str) == Some("pid") && path.unwrap_or_default().is_empty()
    })
}

/// Streams that cannot be opened, in the words of the other shims.
pub(super) fn streams_error(error: std::io::Error) -> TaskError {
    TaskError::unknown(format!("failed to create init process I/O: {error}"))
}

pub(super) fn io_error(what: &'static str) -> impl Fn(std::io::Error) -> TaskError {
    move |error| TaskError::unknown(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_pid_namespace_without_a_path_is_its_own() {
        let spec = |namespaces: Value| json!({"linux": {"namespaces": namespaces}});
        assert!(own_pid_namespace(&spec(json!([{"type": "ipc"}, {"type": "pid"}]))));
        assert!(own_pid_namespace(&spec(json!([{"type": "pid", "path": ""}]))));
        assert!(!own_pid_namespace(&spec(json!([{"type": "pid", "path": "/proc/1/ns/pid"}]))));
        assert!(!own_pid_namespace(&spec(json!([{"type": "ipc"}]))));
        assert!(!own_pid_namespace(&json!({})));
    }
}
