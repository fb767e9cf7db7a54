//! Exec: a further process in a container, before its start.

use std::fs;
use std::path::{Path, PathBuf};

use containerd_shim::api::{Empty, ExecProcessRequest};
use containerd_shim::protos::events::task::TaskExecAdded;
use serde_json::Value;

use super::Shim;
use super::create::io_error;
use super::process::Process;
use super::shape;
use crate::bundle;
use crate::status::{TaskError, TaskResult};
use crate::stdio;

/// Longest process description: the arguments and environment that the kernel accepts, with room.
const MAX_SPEC: usize = 16 << 20;

impl Shim {
    pub(super) fn exec(&self, request: ExecProcessRequest) -> TaskResult<Empty> {
        if !bundle::is_identifier(&request.exec_id) {
            return Err(TaskError::invalid_argument(format!("bad exec id {:?}", request.exec_id)));
        }
        let container = self.container(&request.id)?;
        let spec = request.spec.into_option().unwrap_or_default();
        if spec.value.len() > MAX_SPEC {
            return Err(TaskError::invalid_argument("the process to exec is too large"));
        }
        let mut spec = shape::process(&spec.value)?;
        spec.insert("terminal".to_owned(), Value::Bool(request.terminal));
        let spec = Value::Object(spec);
        let stdio = stdio::Request {
            terminal: request.terminal,
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
        };
        container.add_exec(Process::exec(&request.exec_id, stdio, spec))?;
        self.events.publish(&TaskExecAdded {
            container_id: container.id.clone(),
            exec_id: request.exec_id,
            ..TaskExecAdded::default()
        });
        Ok(Empty::default())
    }
}

/// The process description as a file for the engine; gone with the value.
pub(super) struct Spec {
    path: PathBuf,
}

impl Spec {
    pub(super) fn write(bundle: &Path, exec_id: &str, spec: &Value) -> TaskResult<Self> {
        let file = Self { path: bundle.join(format!("{exec_id}.process.json")) };
        let bytes =
            serde_json::to_vec(spec).map_err(|error| TaskError::unknown(format!("process to exec: {error}")))?;
        fs::write(&file.path, bytes).map_err(io_error("write the process to exec"))?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spec {
    fn drop(&mut self) {
        // The bundle is removed as a whole later.
        let _ = fs::remove_file(&self.path);
    }
}
