//! The programs: what the build script made of `bpf/`, and where the kernel wants each.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::error::FenceError;
use crate::maps::{Map, Maps};
use crate::sys;

/// A compiled program.
pub(crate) struct Program {
    section: &'static str,
    insns: &'static [u64],
    /// Which instruction loads the address of which map.
    maps: &'static [(usize, Map)],
}

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// Nothing in the programs needs a helper that is reserved for GPL programs.
const LICENSE: &std::ffi::CStr = c"Apache-2.0";
/// `BPF_PSEUDO_MAP_FD`, in the upper half of the byte with the registers.
const PSEUDO_MAP_FD: u64 = 1 << 12;
/// The verifier's log of a program that it refuses. Bounded: only its end is shown.
const LOG: usize = 1 << 20;

/// `enum bpf_prog_type` and `enum bpf_attach_type` of each hook.
const HOOKS: [(&str, u32, u32); 10] = [
    ("cgroup/connect4", 18, 10),
    ("cgroup/connect6", 18, 11),
    ("cgroup/sendmsg4", 18, 14),
    ("cgroup/sendmsg6", 18, 15),
    ("cgroup/bind4", 18, 8),
    ("cgroup/bind6", 18, 9),
    ("cgroup/sock_create", 9, 2),
    ("cgroup_skb/egress", 8, 1),
    ("cgroup_skb/ingress", 8, 0),
    ("cgroup/setsockopt", 25, 22),
];

/// The hooks: name and `enum bpf_attach_type`.
pub(crate) fn hooks() -> impl Iterator<Item = (&'static str, u32)> {
    HOOKS.into_iter().map(|(name, _, attach)| (name, attach))
}

/// Loads every program; each with the hook that it belongs to.
pub(crate) fn load(maps: &Maps) -> Result<Vec<(&'static str, u32, OwnedFd)>, FenceError> {
    HOOKS
        .into_iter()
        .map(|(hook, kind, attach)| {
            let refused = |source, log| FenceError::Program { hook, source, log };
            let program = PROGRAMS.iter().find(|program| program.section == hook);
            let program = program.ok_or_else(|| refused(std::io::ErrorKind::NotFound.into(), String::new()))?;
            let insns = program.with(maps);
            let name = hook.rsplit('/').next().unwrap_or(hook);
            let fd = sys::prog_load(kind, attach, name, LICENSE, &insns, None).or_else(|source| {
                let mut log = vec![0; LOG];
                sys::prog_load(kind, attach, name, LICENSE, &insns, Some(&mut log)).map_err(|_| {
                    let end = log.iter().position(|byte| *byte == 0).unwrap_or(LOG);
                    refused(source, String::from_utf8_lossy(&log[..end]).into_owned())
                })
            })?;
            Ok((hook, attach, fd))
        })
        .collect()
}

impl Program {
    /// The instructions with the descriptors of these maps.
    fn with(&self, maps: &Maps) -> Vec<u64> {
        let mut insns = self.insns.to_vec();
        for (index, map) in self.maps {
            let fd = u64::from(maps.get(*map).as_raw_fd().cast_unsigned());
            // The immediate is the upper half; the source register stands in bits 12 to 15.
            insns[*index] = insns[*index] & 0x0000_0000_ffff_0fff | PSEUDO_MAP_FD | fd << 32;
        }
        insns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_its_program_and_every_program_its_hook() {
        let mut of_source: Vec<_> = PROGRAMS.iter().map(|program| program.section).collect();
        let mut of_table: Vec<_> = HOOKS.iter().map(|(hook, _, _)| *hook).collect();
        of_source.sort_unstable();
        of_table.sort_unstable();
        assert_eq!(of_source, of_table);
    }

    #[test]
    fn maps_are_loaded_by_wide_instructions() {
        for program in PROGRAMS {
            assert!(!program.maps.is_empty(), "{}", program.section);
            for (index, _) in program.maps {
                // BPF_LD | BPF_DW | BPF_IMM
                assert_eq!(program.insns[*index] & 0xff, 0x18, "{} {index}", program.section);
            }
        }
    }
}
