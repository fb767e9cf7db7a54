//! Calls that only look: state, pids, wait, stats, connect.

use std::time::SystemTime;

use containerd_shim::api::{
    ConnectRequest, ConnectResponse, PidsRequest, PidsResponse, StateRequest, StateResponse, StatsRequest,
    StatsResponse, WaitRequest, WaitResponse,
};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim::protos::protobuf::{EnumOrUnknown, Message, MessageField};
use containerd_shim::protos::shim::oci::ProcessDetails;
use containerd_shim::protos::types::task::ProcessInfo;

use super::Shim;
use super::process::Phase;
use crate::events::timestamp;
use crate::status::{TaskError, TaskResult};

/// The type of [`ProcessDetails`].
const PROCESS_DETAILS: &str = "containerd.runc.v1.ProcessDetails";

/// Seconds of the year 1, which Go's clients take for "never". A missing time would be 1970 to them.
const NEVER: i64 = -62_135_596_800;

pub(super) fn time(at: Option<SystemTime>) -> MessageField<Timestamp> {
    let never = || Timestamp { seconds: NEVER, ..Timestamp::default() };
    MessageField::some(at.map_or_else(never, timestamp))
}

impl Shim {
    pub(super) fn state(&self, request: &StateRequest) -> TaskResult<StateResponse> {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let (exit_status, exited_at) = process.ended();
        let id = if process.exec_id.is_empty() { &container.id } else { &process.exec_id };
        Ok(StateResponse {
            id: id.clone(),
            bundle: container.bundle.display().to_string(),
            pid: process.wire_pid(),
            status: EnumOrUnknown::new(process.status()),
            stdin: process.stdio.stdin.clone(),
            stdout: process.stdio.stdout.clone(),
            stderr: process.stdio.stderr.clone(),
            terminal: process.stdio.terminal,
            exit_status,
            exited_at: time(exited_at),
            ..StateResponse::default()
        })
    }

    pub(super) async fn wait(&self, request: &WaitRequest) -> TaskResult<WaitResponse> {
        let process = self.container(&request.id)?.process(&request.exec_id)?;
        process.when(|state| state.announced || state.failed || state.phase == Phase::Deleted).await;
        let (exit_status, exited_at) = process.ended();
        Ok(WaitResponse { exit_status, exited_at: time(exited_at), ..WaitResponse::default() })
    }

    pub(super) fn pids(&self, request: &PidsRequest) -> TaskResult<PidsResponse> {
        let container = self.container(&request.id)?;
        let execs = container.all_execs();
        let mut pids = container.cgroup().pids();
        for process in execs.iter().chain([&container.init]) {
            if process.pid() > 0 && !process.exited() && !pids.contains(&process.pid()) {
                pids.push(process.pid());
            }
        }
        let processes = pids.into_iter().map(|pid| ProcessInfo {
            pid: u32::try_from(pid).unwrap_or(0),
            info: execs
                .iter()
                .find(|exec| exec.pid() == pid && !exec.exited())
                .map(|exec| Any {
                    type_url: PROCESS_DETAILS.to_owned(),
                    value: ProcessDetails { exec_id: exec.exec_id.clone(), ..ProcessDetails::default() }
                        .write_to_bytes()
                        .unwrap_or_default(),
                    ..Any::default()
                })
                .into(),
            ..ProcessInfo::default()
        });
        Ok(PidsResponse { processes: processes.collect(), ..PidsResponse::default() })
    }

    pub(super) fn stats(&self, request: &StatsRequest) -> TaskResult<StatsResponse> {
        let container = self.container(&request.id)?;
        let stats = container.cgroup().stats().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => TaskError::not_found(error.to_string()),
            _ => TaskError::unknown(format!("cannot read the cgroup: {error}")),
        })?;
        Ok(StatsResponse { stats: MessageField::some(stats), ..StatsResponse::default() })
    }

    pub(super) fn connect(&self, request: &ConnectRequest) -> ConnectResponse {
        // Like the Go shim: an unknown container is not an error here, its pid is zero.
        let task_pid = self.container(&request.id).map_or(0, |container| container.init.wire_pid());
        ConnectResponse { shim_pid: std::process::id(), task_pid, ..ConnectResponse::default() }
    }
}
