//! `delete`: clean up after a container whose shim is gone, or never knew it.
//!
//! containerd gives it a few seconds. It depends on nothing but the bundle: the options that the shim
//! left there name the engine.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use containerd_shim::Flags;
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::protobuf::{Message, MessageField};

use super::socket::path_of;
use zerocap_node::state::Store;

use crate::bundle::{self, Leftover};
use crate::confinement::remove_fence;
use crate::engine::Engine;
use crate::events::timestamp;
use crate::reaper::Reaper;
use crate::{mounts, sys};

/// What a process that was killed reports.
const KILLED: u32 = 128 + 9;
/// How long the engine may take; containerd waits five seconds for all of it.
const ENGINE: Duration = Duration::from_secs(4);

pub(super) fn run(flags: &Flags) -> Result<Vec<u8>> {
    sys::descriptors::close_on_exec_from(3).context("cannot protect inherited descriptors")?;
    let directory = super::bundle(flags)?;
    let pid = bundle::read_pid(&directory.join(bundle::INIT_PID)).unwrap_or(0);
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
    DeleteResponse {
        pid: u32::try_from(pid).unwrap_or(0),
        exit_status: KILLED,
        exited_at: MessageField::some(timestamp(SystemTime::now())),
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
    match tokio::time::timeout(ENGINE, engine.delete(&flags.id, directory, true)).await {
        Ok(Err(error)) if !error.is_no_such_container() => {
            tracing::warn!(%error, "the engine cannot delete");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A socket that nobody serves any more goes with the bundle that names it.
fn remove_dead_socket(directory: &Path) {
    let Ok(address) = fs::read_to_string(directory.join(bundle::ADDRESS)) else {
        return;
    };
    let path = path_of(address.trim());
    if path.is_absolute() && std::os::unix::net::UnixStream::connect(path).is_err() {
        // Gone already is as good.
        let _ = fs::remove_file(path);
    }
}
