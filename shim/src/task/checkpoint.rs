//! Checkpoint: the engine freezes a container's processes and writes them down, with criu.

use std::path::PathBuf;
use std::sync::Arc;

use containerd_shim::api::{CheckpointTaskRequest, Empty, Status};
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::shim::oci::CheckpointOptions;

use super::Shim;
use crate::status::{TaskError, TaskResult};

/// Where criu works, in the bundle, unless the options say otherwise.
const WORK: &str = "work/criu-work";
/// Where criu's own log is kept when it fails.
const DUMP_LOG: &str = "criu-dump.log";

impl Shim {
    pub(super) async fn checkpoint(self: Arc<Self>, request: CheckpointTaskRequest) -> TaskResult<Empty> {
        let container = self.container(&request.id)?;
        match container.init.status() {
            Status::RUNNING | Status::PAUSED => {}
            Status::CREATED => return Err(TaskError::unknown("cannot checkpoint a task in created state")),
            _ => return Err(TaskError::unknown("cannot checkpoint a stopped container")),
        }
        let options = request.options.as_ref().map(|any| CheckpointOptions::parse_from_bytes(&any.value)).transpose();
        let options = options.map_err(|error| TaskError::unknown(format!("checkpoint options: {error}")))?;
        let options = options.unwrap_or_default();
        let own = options.work_path.is_empty();
        let work = if own { container.bundle.join(WORK) } else { PathBuf::from(&options.work_path) };
        let result =
            container.engine.checkpoint(&container.id, &container.bundle, &work, request.path.as_ref(), &options).await;
        let log = container.bundle.join(DUMP_LOG);
        if result.is_err() {
            // criu may not have come far enough to have one.
            let _ = std::fs::copy(work.join("dump.log"), &log);
        }
        if own {
            let _ = std::fs::remove_dir_all(&work);
        }
        result.map_err(|error| {
            super::control::unsuccessful("checkpoint", &container, error, &format!(" path= {}", log.display()))
        })?;
        // No event: the other shims publish none, and containerd tells its clients itself.
        Ok(Empty::default())
    }
}
