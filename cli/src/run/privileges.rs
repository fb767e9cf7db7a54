//! What the program must not have, given up by the thread that makes the child. A child has what its maker's thread has, so
//! nothing has to happen between fork and exec, and the rest of this process keeps what it needs to look at the launcher.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::args::User;
use super::decide::Decision;

/// Gives everything up, for the calling thread and its children.
pub fn give_up(decision: &Decision) -> io::Result<()> {
    // 1. The bounding set, which takes a capability.
    if decision.platform() && decision.privileged {
        empty_bounding_set()?;
    }
    // 2. The user, which takes two.
    if let Some(user) = decision.user {
        become_user(user)?;
    }
    // 3. The other sets.
    if decision.platform() {
        ignoring_unknown(clear_ambient_capability_set())?;
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    }
    // 4. No way back.
    Ok(set_no_new_privs(true)?)
}

/// No core dumps, neither to files nor to a handler of this machine: at 1 the kernel skips the pipe, at 0 it does not. Holds
/// for this process as well.
pub fn no_core_dumps() -> io::Result<()> {
    let hard = getrlimit(Resource::Core).maximum.unwrap_or(u64::MAX).min(1);
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(hard), maximum: Some(hard) })?)
}

fn empty_bounding_set() -> io::Result<()> {
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn become_user(user: User) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

/// Kernels before 4.3 have no ambient set.
fn ignoring_unknown(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Err(Errno::INVAL) => Ok(()),
        other => Ok(other?),
    }
}
