//! The machine that this runs on, as a host to decide for.

use zerocap_annotations::{Host, PacketFence, ZcError};
use zerocap_node::state::Store;
use zerocap_node::{Abilities, engine, kernel};

use crate::failure::Failure;

/// Where the shim puts the launcher.
const LAUNCHER_DIR: &str = "/run/zerocap/.launcher";
/// Where it would put the files of a container.
const FILES_DIR: &str = "/run/zerocap/.files/NAMESPACE/ID";

/// What the kernel can do: as the shim remembers it for this boot, else tried now.
pub fn abilities() -> Result<Abilities, Failure> {
    kernel::probe(&Store::of_node()).map_err(|e| Failure::bad_input(ZcError::from(e)))
}

/// This machine with an engine of that name.
pub fn host(engine_name: &str) -> Result<Host, Failure> {
    abilities()?.host(engine::traits(engine_name), LAUNCHER_DIR, FILES_DIR).map_err(Failure::bad_input)
}

/// The same, as the shim would find it: only root can try a packet fence, so for anybody else it is taken for granted.
pub fn as_for_root(engine_name: &str) -> Result<Host, Failure> {
    let mut host = host(engine_name)?;
    if !rustix::process::geteuid().is_root() {
        host.packet_fence = PacketFence::works();
    }
    Ok(host)
}
