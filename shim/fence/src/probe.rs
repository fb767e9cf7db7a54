//! Whether this node can have a packet fence: tried, on a scratch group and a child.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use zerocap_annotations::PacketRules;

use crate::error::FenceError;
use crate::group::Tree;
use crate::loaded::Loaded;
use crate::sys;

/// Tells trials of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Loads a fence that permits nothing, and lets a child connect outside of it and inside.
///
/// # Errors
/// What is missing. Without root it always is.
pub fn probe() -> Result<(), FenceError> {
    let tree = Tree::open()?;
    let loaded = Loaded::new(&PacketRules::default())?;
    let path = format!("/zerocap.probe.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let group = tree.make(&path)?;
    let tried = try_out(&tree, &loaded, &group);
    drop(group);
    let removed = tree.remove(&path);
    tried.and(removed)
}

fn try_out(tree: &Tree, loaded: &Loaded, group: &crate::Group) -> Result<(), FenceError> {
    loaded.attach(tree, group)?;
    let (outside, inside) = sys::connect_in_child(|child| group.enter(child))?;
    if inside == libc::EACCES && outside != libc::EACCES {
        return Ok(());
    }
    let name = |errno| if errno == 0 { "success".to_owned() } else { io::Error::from_raw_os_error(errno).to_string() };
    Err(FenceError::NotInForce(format!(
        "the packet fence does not refuse a connect as it must: {} outside of it, {} inside",
        name(outside),
        name(inside)
    )))
}

impl From<io::Error> for FenceError {
    fn from(source: io::Error) -> Self {
        Self::NotInForce(format!("the packet fence cannot be tried: {source}"))
    }
}
