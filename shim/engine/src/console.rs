//! The owner of a terminal. libcontainer leaves it to root, so that a program could not open its own terminal again.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};

use anyhow::Context;
use oci_spec::runtime::{LinuxIdMapping, Spec};

/// Major numbers of pty slaves (linux/major.h: UNIX98_PTY_SLAVE_MAJOR and the seven after it).
const PTY_SLAVES: std::ops::RangeInclusive<u32> = 136..=143;

/// Gives the terminal of a process to its user, as runc does.
pub fn give_to_user(pid: i32, process: &oci_spec::runtime::Process, spec: &Spec) -> anyhow::Result<()> {
    if process.terminal() != Some(true) {
        return Ok(());
    }
    let path = format!("/proc/{pid}/fd/0");
    // A process that is gone already needs no terminal.
    let Ok(meta) = fs::metadata(&path) else { return Ok(()) };
    if !meta.file_type().is_char_device() || !PTY_SLAVES.contains(&rustix::fs::major(meta.rdev())) {
        return Ok(());
    }
    let mappings = spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_deref());
    chown(&path, Some(on_the_node(process.user().uid(), mappings)), None)
        .context("cannot give the terminal to the user")
}

/// A user id of the container as the node numbers it.
fn on_the_node(id: u32, mappings: Option<&[LinuxIdMapping]>) -> u32 {
    let inside = |m: &&LinuxIdMapping| id.checked_sub(m.container_id()).is_some_and(|offset| offset < m.size());
    match mappings.unwrap_or_default().iter().find(inside) {
        Some(mapping) => mapping.host_id() + (id - mapping.container_id()),
        None => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxIdMappingBuilder;

    #[test]
    fn ids_are_mapped_where_there_is_a_user_namespace() {
        let mapping =
            LinuxIdMappingBuilder::default().container_id(0u32).host_id(100_000u32).size(10u32).build().unwrap();
        assert_eq!(on_the_node(7, None), 7);
        assert_eq!(on_the_node(7, Some(std::slice::from_ref(&mapping))), 100_007);
        assert_eq!(on_the_node(10, Some(&[mapping])), 10);
    }
}
