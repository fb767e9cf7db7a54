//! `delete`: clean up after a container whose shim is gone, or never knew it.
//!
//! containerd gives it a few seconds. It depends on nothing but the bundle: the options that the shim
//! left there name the engine.

use std::fs;
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use containerd_shim::Flags;
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::protobuf::{Message, MessageField};

use serde_json::Value;

use super::socket::path_of;
use zerocap_node::state::Store;

use crate::bundle::{self, End, Leftover};
use crate::cgroup::Cgroup;
use crate::confinement::remove_fence;
use crate::engine::{self, Engine};
use crate::events::timestamp;
use crate::reaper::Reaper;
use crate::{mounts, sys};

/// What a process that was killed reports.
const KILLED: u32 = 128 + 9;
/// How long the engine may take; containerd waits five seconds for all of it.
const ENGINE: Duration = Duration::from_secs(3);
/// How often a socket is tried that nobody serves and that is still open, and how long each time.
const SOCKET_TRIES: u32 = 10;
const SOCKET_PAUSE: Duration = Duration::from_millis(30);

pub(super) fn run(flags: &Flags) -> Result<Vec<u8>> {
    sys::descriptors::close_on_exec_from(3).context("cannot protect inherited descriptors")?;
    let directory = super::bundle(flags)?;
    let pid = bundle::read_pid(&directory.join(bundle::INIT_PID)).unwrap_or(0);
    let known = End::read(&directory);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(delete(flags, &directory))?;
    mounts::unmount_all(&directory.join(bundle::ROOTFS)).context("cannot unmount the rootfs")?;
    remove_dead_socket(&directory);
    let state = Store::of_node().container(&flags.namespace, &flags.id).context("cannot name the container's state")?;
    remove_fence(&state);
    state.remove().context("cannot remove the container's state")?;
    // What the shim had not seen the end of was killed above.
    let end = known.unwrap_or_else(|| End {
        pid: u32::try_from(pid).unwrap_or(0),
        status: KILLED,
        at: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
    });
    DeleteResponse {
        pid: end.pid,
        exit_status: end.status,
        exited_at: MessageField::some(timestamp(SystemTime::UNIX_EPOCH + end.at)),
        ..DeleteResponse::default()
    }
    .write_to_bytes()
    .context("cannot encode the answer")
}

async fn delete(flags: &Flags, directory: &Path) -> Result<()> {
    let reaper = Reaper::new();
    reaper.run().context("cannot watch children")?;
    let options = Leftover::read(directory);
    // Without an engine there is nothing that the engine could have left.
    let Ok(engine) = Engine::new(&options, &flags.namespace, reaper) else {
        return Ok(());
    };
    // What the dead shim had begun may finish behind our back otherwise.
    engine::end_in_flight(directory).await;
    match tokio::time::timeout(ENGINE, engine.delete(&flags.id, directory, true)).await {
        Ok(Err(error)) if error.is_no_such_container() => {
            engine.remove_remains(&flags.id).context("cannot remove the engine's state")?;
        }
        Ok(Err(error)) => tracing::warn!(%error, "the engine cannot delete"),
        _ => {}
    }
    // An engine that was cut off leaves the groups, with what was in them.
    if let Some(cgroup) = planned_cgroup(directory, &flags.id) {
        cgroup.remove().await;
    }
    Ok(())
}

fn planned_cgroup(directory: &Path, id: &str) -> Option<Cgroup> {
    let spec: Value = serde_json::from_slice(&bundle::read_config(directory).ok()?).ok()?;
    Cgroup::planned(id, spec.pointer("/linux/cgroupsPath")?.as_str()?)
}

/// A socket that nobody serves any more goes with the bundle that names it.
fn remove_dead_socket(directory: &Path) {
    let Ok(address) = fs::read_to_string(directory.join(bundle::ADDRESS)) else {
        return;
    };
    let path = path_of(address.trim());
    if !path.is_absolute() {
        return;
    }
    // A child that the dead shim was just starting holds the socket until it executes.
    for _ in 0..SOCKET_TRIES {
        match behind(path) {
            Behind::Nobody => {
                // Gone already is as good.
                let _ = fs::remove_file(path);
                return;
            }
            Behind::Shim => return,
            Behind::Holder => {}
        }
    }
}

/// Who is at the other end of a socket.
enum Behind {
    Nobody,
    /// It takes connections: the pod has other containers.
    Shim,
    /// The socket is open somewhere, and nobody takes connections.
    Holder,
}

/// Says that there is nothing to say. Who takes connections answers that at once by closing this one.
fn behind(path: &Path) -> Behind {
    let Ok(mut stream) = UnixStream::connect(path) else { return Behind::Nobody };
    let heard = stream
        .shutdown(Shutdown::Write)
        .and_then(|()| stream.set_read_timeout(Some(SOCKET_PAUSE)))
        .and_then(|()| stream.read(&mut [0]));
    if heard.is_ok() { Behind::Shim } else { Behind::Holder }
}
