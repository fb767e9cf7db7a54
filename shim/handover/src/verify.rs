//! Verification while parked: the kernel's own account of the process, and the launcher's results, against what must be.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde::Serialize;
use zerocap_annotations::code::{Code, verify as code};
use zerocap_annotations::{CORE_LIMIT, Expect, ZcError};
use zerocap_plan::record::{Connect, Ready};
use zerocap_plan::{GO_FD, RECORD_FD};

use super::kernel::{self, Status};

/// A file by device and inode: a name can be replaced, this cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file at `path`.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self::from(&file))
    }

    /// The file behind a descriptor.
    pub(super) fn of_open(file: &OwnedFd) -> rustix::io::Result<Self> {
        rustix::fs::fstat(file).map(|stat| Self { device: stat.st_dev, inode: stat.st_ino })
    }
}

impl From<&Metadata> for Identity {
    fn from(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = (rustix::fs::major(self.device), rustix::fs::minor(self.device));
        write!(out, "{major}:{minor}/{}", self.inode)
    }
}

/// What the kernel showed of a parked process, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The five capability sets (inheritable, permitted, effective, bounding, ambient).
    pub capabilities: [u64; 5],
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// How many seccomp filters are stacked.
    pub seccomp_filters: u32,
    /// The real uid, as the host sees it.
    pub uid: u32,
    /// Open descriptors, the hand-over's included; absent if they could not be [seen](Sight).
    pub descriptors: Option<Vec<i32>>,
    /// The core limit in bytes, soft and hard; absent if none was asked for.
    pub core_limit: Option<[u64; 2]>,
    /// The lines of /proc/PID/cgroup.
    pub cgroup: Vec<String>,
    /// The launcher entered a Landlock domain.
    pub landlock: bool,
    /// The connect that must fail was refused, by the domain or by the container's own profile; absent if it was not tried.
    pub connect_refused: Option<bool>,
    /// How many path rules of the plan are not in force since their path is missing.
    pub paths_skipped: u32,
}

/// The capability sets of the status file.
pub(crate) const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
/// The set that takes a capability to empty.
pub(crate) const BOUNDING: &str = "CapBnd";
/// What a parked launcher has open.
const DESCRIPTORS: [i32; 5] = [0, 1, 2, RECORD_FD, GO_FD];

/// How much of the parked process can be looked at.
///
/// The launcher is not dumpable, so /proc shows most of it only to who has CAP_SYS_PTRACE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Everything.
    #[default]
    Full,
    /// What everybody sees: neither executable nor descriptors nor namespaces. Enough only for who executed the launcher
    /// without help, and has no enemy between.
    Public,
}

/// What the process is compared with.
pub(super) struct Surroundings {
    /// The inodes of the hand-over's pipes: records, GO.
    pub(super) pipes: io::Result<[u64; 2]>,
    /// A process of the pod's sandbox.
    pub(super) sandbox: Option<i32>,
    /// What can be looked at.
    pub(super) sight: Sight,
}

/// Checks a parked process in full.
pub(super) fn parked(
    pid: i32,
    ready: &Ready,
    expect: &Expect,
    launcher: Identity,
    around: &Surroundings,
) -> Result<Verified, ZcError> {
    let unreadable = |what: &'static str| {
        move |error: io::Error| {
            refuse(code::UNREADABLE, format!("{what} of the parked process cannot be read: {error}"))
        }
    };
    if around.sight == Sight::Full {
        let executable = kernel::executable(pid).map_err(unreadable("the executable"))?;
        if executable != launcher {
            return Err(refuse(
                code::EXECUTABLE,
                format!("the parked process runs {executable}, the launcher is {launcher}"),
            ));
        }
    }
    let status = kernel::status(pid).map_err(unreadable("the status"))?;
    if status.field("Name").map(str::as_bytes) != Some(ready.comm.as_bytes()) {
        return Err(refuse(code::EXECUTABLE, "the parked process has not the name that the launcher announced"));
    }
    let (capabilities, no_new_privs) = privileges(&status, expect)?;
    let (seccomp_filters, uid) = filters_and_user(&status, expect)?;
    let descriptors = match around.sight {
        Sight::Public => None,
        Sight::Full => {
            let open = kernel::descriptors(pid).map_err(unreadable("the descriptor list"))?;
            let pipes = around.pipes.as_ref();
            let pipes = pipes.map_err(|error| refuse(code::UNREADABLE, format!("the hand-over: {error}")))?;
            Some(descriptors(&open, *pipes)?)
        }
    };
    let cgroup = kernel::cgroup(pid).map_err(unreadable("the cgroup"))?;
    let cgroup: Vec<String> = cgroup.lines().map(str::to_owned).collect();
    if cgroup.is_empty() {
        return Err(refuse(code::CGROUP, "the parked process is in no cgroup"));
    }
    let core_limit = match expect.no_core {
        true => Some(no_core(kernel::core_limit(pid).map_err(unreadable("the core limit"))?)?),
        false => None,
    };
    for (kind, own) in [("pid", expect.own_pid_ns), ("ipc", expect.own_ipc_ns)] {
        if own {
            namespace(pid, kind, around.sandbox)?;
        }
    }
    if expect.landlock && !ready.landlock {
        return Err(refuse(code::LANDLOCK, "the launcher entered no Landlock domain, expected one"));
    }
    Ok(Verified {
        capabilities,
        no_new_privs,
        seccomp_filters,
        uid,
        descriptors,
        core_limit,
        cgroup,
        landlock: ready.landlock,
        connect_refused: (ready.connect != Connect::NotTried).then_some(true),
        paths_skipped: ready.skipped.count(),
    })
}

/// Soft and hard, the limit is the one that keeps cores from files and handlers alike.
fn no_core(limit: [Option<u64>; 2]) -> Result<[u64; 2], ZcError> {
    if let [Some(soft @ CORE_LIMIT), Some(hard @ CORE_LIMIT)] = limit {
        return Ok([soft, hard]);
    }
    let [soft, hard] = limit.map(|bytes| bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string()));
    Err(refuse(
        code::CORE_LIMIT,
        format!(
            "the core limit of the parked process is {soft} of {hard} bytes, expected {CORE_LIMIT} of {CORE_LIMIT}"
        ),
    ))
}

/// The namespace is neither the node's nor the sandbox's.
fn namespace(pid: i32, kind: &'static str, sandbox: Option<i32>) -> Result<(), ZcError> {
    let read = |pid| {
        kernel::namespace(pid, kind)
            .map_err(|error| refuse(code::UNREADABLE, format!("the {kind} namespace cannot be read: {error}")))
    };
    let its = read(Some(pid))?;
    if its == read(None)? {
        return Err(refuse(code::NAMESPACE, format!("the parked process is in the node's {kind} namespace")));
    }
    if sandbox.is_some() && its == read(sandbox)? {
        return Err(refuse(code::NAMESPACE, format!("the parked process is in the sandbox's {kind} namespace")));
    }
    Ok(())
}

fn privileges(status: &Status, expect: &Expect) -> Result<([u64; 5], bool), ZcError> {
    let mut capabilities = [0; 5];
    for (set, name) in capabilities.iter_mut().zip(CAPABILITY_SETS) {
        *set = status.hexadecimal(name).ok_or_else(|| missing(name))?;
        if expect.caps_zero && *set != 0 && !(expect.any_bounding && name == BOUNDING) {
            return Err(refuse(code::CAPABILITIES, format!("{name} of the parked process is {set:016x}, expected 0")));
        }
    }
    let no_new_privs = status.number("NoNewPrivs").ok_or_else(|| missing("NoNewPrivs"))? == 1;
    if expect.no_new_privs && !no_new_privs {
        return Err(refuse(code::NO_NEW_PRIVS, "NoNewPrivs of the parked process is 0, expected 1"));
    }
    Ok((capabilities, no_new_privs))
}

fn filters_and_user(status: &Status, expect: &Expect) -> Result<(u32, u32), ZcError> {
    let mode = status.number("Seccomp").ok_or_else(|| missing("Seccomp"))?;
    if expect.min_filters > 0 && mode != 2 {
        return Err(refuse(code::SECCOMP_MODE, format!("Seccomp of the parked process is {mode}, expected 2")));
    }
    let filters = status.number("Seccomp_filters").ok_or_else(|| missing("Seccomp_filters"))?;
    if filters < expect.min_filters {
        let least = expect.min_filters;
        return Err(refuse(
            code::FILTER_COUNT,
            format!("Seccomp_filters of the parked process is {filters}, expected at least {least}"),
        ));
    }
    let uid = status.number("Uid").ok_or_else(|| missing("Uid"))?;
    match expect.uid {
        Some(expected) if uid != expected => {
            Err(refuse(code::UID, format!("Uid of the parked process is {uid}, expected {expected}")))
        }
        _ => Ok((filters, uid)),
    }
}

/// Exactly stdio and the hand-over are open; the hand-over's are our own pipes; stdio leads nowhere.
fn descriptors(open: &[(i32, Metadata)], pipes: [u64; 2]) -> Result<Vec<i32>, ZcError> {
    let numbers: Vec<i32> = open.iter().map(|(number, _)| *number).collect();
    if numbers != DESCRIPTORS {
        return Err(refuse(
            code::DESCRIPTORS,
            format!("the parked process has the descriptors {numbers:?}, expected {DESCRIPTORS:?}"),
        ));
    }
    for (number, file) in open {
        let ours = match *number {
            RECORD_FD => file.file_type().is_fifo() && file.ino() == pipes[0],
            GO_FD => file.file_type().is_fifo() && file.ino() == pipes[1],
            _ => !file.is_dir() && !file.file_type().is_socket(),
        };
        if !ours {
            return Err(refuse(
                code::DESCRIPTORS,
                format!("descriptor {number} of the parked process is not what it must be"),
            ));
        }
    }
    Ok(numbers)
}

/// What the plan makes the launcher announce.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) filters: usize,
    pub(super) landlock: bool,
    pub(super) paths: usize,
    pub(super) connect: bool,
}

impl Results {
    pub(super) fn agree(&self, ready: &Ready) -> Result<(), ZcError> {
        if usize::from(ready.filters) != self.filters {
            let (loaded, planned) = (ready.filters, self.filters);
            return Err(refuse(
                code::FILTER_COUNT,
                format!("the launcher loaded {loaded} filters, the plan has {planned}"),
            ));
        }
        let skipped = ready.skipped.count();
        let rules = u64::from(ready.paths) + u64::from(skipped);
        if usize::try_from(rules) != Ok(self.paths) {
            let planned = self.paths;
            return Err(refuse(
                code::LANDLOCK,
                format!(
                    "the launcher applied {} path rules and skipped {skipped}, the plan has {planned}",
                    ready.paths
                ),
            ));
        }
        if ready.landlock != self.landlock {
            return Err(refuse(code::LANDLOCK, "the launcher's Landlock domain is not as planned"));
        }
        if (ready.connect != Connect::NotTried) != self.connect {
            return Err(refuse(code::LANDLOCK, "the launcher's forbidden connect is not as planned"));
        }
        Ok(())
    }
}

fn missing(field: &str) -> ZcError {
    refuse(code::UNREADABLE, format!("the kernel's status of the parked process has no {field}"))
}

fn refuse(code: Code, message: impl Into<String>) -> ZcError {
    super::failure::error(code, message)
}
