//! Every decoder of bytes from outside, by what the bytes are: what the fuzzers ask, and the tests that replay their corpora.
//!
//! Each says whether it took the bytes. None may panic, whatever comes.

use containerd_shim::Flags;
use containerd_shim::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, CreateTaskRequest, DeleteRequest, ExecProcessRequest,
    KillRequest, PauseRequest, PidsRequest, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest,
    StateRequest, StatsRequest, UpdateTaskRequest, WaitRequest,
};
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::shim::oci::CheckpointOptions;
use containerd_shim::protos::ttrpc::Request;

use crate::bundle::{self, Leftover};
use crate::cgroup::Cgroup;
use crate::options::Options;
use crate::{engine, entry, stdio, task};

/// A request on the task socket, with everything that is packed into it.
#[must_use]
pub fn request(bytes: &[u8]) -> bool {
    let Ok(request) = Request::parse_from_bytes(bytes) else { return false };
    let payload = request.payload.as_slice();
    match request.method.as_str() {
        "Create" => CreateTaskRequest::parse_from_bytes(payload).is_ok_and(|create| {
            let streams = [&create.stdout, &create.stderr].into_iter().all(|name| stdio::is_target(name));
            bundle::is_identifier(&create.id) && streams && Options::from_any(create.options.as_ref()).is_ok()
        }),
        "Exec" => ExecProcessRequest::parse_from_bytes(payload)
            .is_ok_and(|exec| bundle::is_identifier(&exec.exec_id) && task::is_process(packed(exec.spec.as_ref()))),
        "Update" => UpdateTaskRequest::parse_from_bytes(payload)
            .is_ok_and(|update| task::are_resources(packed(update.resources.as_ref()))),
        "Checkpoint" => CheckpointTaskRequest::parse_from_bytes(payload)
            .is_ok_and(|checkpoint| CheckpointOptions::parse_from_bytes(packed(checkpoint.options.as_ref())).is_ok()),
        "CloseIO" => CloseIORequest::parse_from_bytes(payload).is_ok(),
        "Connect" => ConnectRequest::parse_from_bytes(payload).is_ok(),
        "Delete" => DeleteRequest::parse_from_bytes(payload).is_ok(),
        "Kill" => KillRequest::parse_from_bytes(payload).is_ok(),
        "Pause" => PauseRequest::parse_from_bytes(payload).is_ok(),
        "Pids" => PidsRequest::parse_from_bytes(payload).is_ok(),
        "ResizePty" => ResizePtyRequest::parse_from_bytes(payload).is_ok(),
        "Resume" => ResumeRequest::parse_from_bytes(payload).is_ok(),
        "Shutdown" => ShutdownRequest::parse_from_bytes(payload).is_ok(),
        "Start" => StartRequest::parse_from_bytes(payload).is_ok(),
        "State" => StateRequest::parse_from_bytes(payload).is_ok(),
        "Stats" => StatsRequest::parse_from_bytes(payload).is_ok(),
        "Wait" => WaitRequest::parse_from_bytes(payload).is_ok(),
        _ => false,
    }
}

fn packed(any: Option<&Any>) -> &[u8] {
    any.map_or(&[], |any| any.value.as_slice())
}

/// What containerd pipes into `start`, in either dialect.
#[must_use]
pub fn start(bytes: &[u8]) -> bool {
    let flags = Flags { id: "c1".into(), namespace: "k8s.io".into(), ..Flags::default() };
    entry::is_start(bytes, &flags)
}

/// Runtime options as they are packed into requests.
#[must_use]
pub fn options(bytes: &[u8]) -> bool {
    Any::parse_from_bytes(bytes).is_ok_and(|any| Options::from_any(Some(&any)).is_ok())
}

/// What an engine has written to its log; true if an error is in it.
#[must_use]
pub fn engine_log(bytes: &[u8]) -> bool {
    engine::log_error(&String::from_utf8_lossy(bytes)).is_some()
}

/// A process's `/proc/PID/cgroup`, an empty line, and a mount table; true if it is in a group of its own.
#[must_use]
pub fn cgroups(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (membership, mounts) = text.split_once("\n\n").unwrap_or((&text, ""));
    Cgroup::parse(membership, mounts) != Cgroup::parse("", mounts)
}

/// The path of a container's cgroup in its spec; true if it is one of its own.
#[must_use]
pub fn cgroups_path(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|path| Cgroup::planned("c1", path).is_some())
}

/// What a shim leaves in a bundle for a `delete` without it.
#[must_use]
pub fn leftover(bytes: &[u8]) -> bool {
    Leftover::parse(bytes).is_some()
}

/// Which pod the container of a spec belongs to.
#[must_use]
pub fn group(bytes: &[u8]) -> bool {
    bundle::group_of(bytes, "c1").is_ok_and(|group| !group.is_empty())
}
