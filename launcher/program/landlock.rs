//! The Landlock domain, and the one connect that shows that it refuses.

use zerocap_plan::record::{Connect, Failure, Skipped, Step};
use zerocap_plan::{LandlockView, Missing, PathRuleView, Role};

use crate::at;
use crate::sys::{self, Errno};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;

/// The rights that a file can have: EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV, RESOLVE_UNIX.
const FILE_RIGHTS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15 | 1 << 16;

/// Which path rules are in force.
#[derive(Default)]
pub struct Rules {
    pub paths: u16,
    pub skipped: Skipped,
}

/// Builds the ruleset inside the container, where the paths mean what the workload will mean by them, and enters it.
pub fn enter(landlock: &LandlockView<'_>, role: Role) -> Result<Rules, Failure> {
    let handled = [landlock.handled_fs, landlock.handled_net, landlock.scoped];
    let ruleset = sys::landlock_create(&handled).map_err(at(Step::Ruleset, 0))?;
    let mut rules = Rules::default();
    for (index, rule) in landlock.paths().enumerate() {
        if allow_path(ruleset, &rule, role).map_err(at(Step::PathRule, index as u32))? {
            rules.paths += 1;
        } else {
            rules.skipped.insert(index);
        }
    }
    for (index, rule) in landlock.ports().enumerate() {
        let port = [rule.access, u64::from(rule.port)];
        sys::landlock_add_port(ruleset, &port).map_err(at(Step::PortRule, index as u32))?;
    }
    sys::landlock_restrict(ruleset).map_err(at(Step::Restrict, 0))?;
    sys::close(ruleset).map_err(at(Step::Restrict, 0))?;
    Ok(rules)
}

/// Adds one rule; `false` if its path may be missing and is.
///
/// A path that leads through a symbolic link is the image's or the policy's mistake when the container starts. Later the
/// workload may have put the link there, and must neither gain by it nor keep others from executing anything.
fn allow_path(ruleset: i32, rule: &PathRuleView<'_>, role: Role) -> Result<bool, Errno> {
    let place = match sys::open_place(rule.as_c_str()) {
        Ok(place) => place,
        Err(Errno::ELOOP) if role == Role::Init => return Err(Errno::ELOOP),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) if rule.missing == Missing::Skip => {
            return Ok(false);
        }
        Err(errno) => return Err(errno),
    };
    let mode = sys::file_mode(place)?;
    let access = if mode & S_IFMT == S_IFDIR { rule.access } else { rule.access & FILE_RIGHTS };
    // The kernel refuses a rule that grants nothing, and none is needed.
    if access != 0 {
        sys::landlock_add_path(ruleset, access, place)?;
    }
    sys::close(place)?;
    Ok(true)
}

/// Kernels report a Landlock version and lack parts of it. A TCP connect that the domain forbids must come back as EACCES.
pub fn forbidden_connect(port: u16) -> Result<Connect, Failure> {
    // A call that a filter of the container's own refuses shows nothing about Landlock, and is refused all the more.
    let bare = sys::connect_nowhere();
    if bare != Errno::EBADF {
        return Ok(Connect::Stronger(bare.0));
    }
    let socket = match sys::tcp_socket() {
        Ok(socket) => socket,
        Err(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOSYS | Errno::EAFNOSUPPORT)) => {
            return Ok(Connect::Stronger(errno.0));
        }
        Err(errno) => return Err(at(Step::ForbiddenConnect, 1)(errno)),
    };
    let outcome = sys::connect_loopback(socket, port);
    sys::close(socket).map_err(at(Step::ForbiddenConnect, 2))?;
    match outcome {
        Err(Errno::EACCES) => Ok(Connect::Refused),
        Err(errno) => Err(at(Step::ForbiddenConnect, 0)(errno)),
        Ok(()) => Err(Failure { step: Step::ForbiddenConnect, errno: 0, detail: 0 }),
    }
}
