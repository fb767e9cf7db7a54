//! The last steps of a process inside the container, where libcontainer lets us have our own.
//!
//! Before the start gate (`validate`), so that a refusal fails create or exec and not later:
//!
//! 1. no_new_privs is set if the spec says so: libcontainer ignores a failure to set it;
//! 2. capability sets that the spec leaves out are emptied, as runc does; libcontainer leaves them as they are;
//! 3. the program is looked up, with runc's error texts.
//!
//! After the gate (`exec`):
//!
//! 4. the seccomp profile, where this engine keeps it from libcontainer (see `bundle`): libcontainer would load it before
//!    the gate, for which a profile would then have to allow accept4, and drops it for an exec;
//! 5. execve with exactly the spec's arguments and environment. Any error ends the process.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ffi::CString;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};
use libcontainer::seccomp::initialize_seccomp;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use rustix::fs::{Access, AtFlags, CWD};

/// What an absent PATH means, as for runc.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process of a container or of an exec.
#[derive(Clone)]
pub struct Workload {
    /// The container's profile, where libcontainer does not load it.
    profile: Option<LinuxSeccomp>,
    /// HOME as libcontainer finds it in the container's passwd file; "/" for a user who is not in there.
    home: RefCell<Option<String>>,
}

impl Workload {
    /// A process that loads this profile, if any, right before its program.
    pub fn new(profile: Option<LinuxSeccomp>) -> Self {
        Self { profile, home: RefCell::default() }
    }
}

impl Executor for Workload {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let process = spec.process().as_ref().ok_or_else(|| invalid("the spec has no process"))?;
        check_no_new_privs(process)?;
        empty_absent_capabilities(process)?;
        let environment = environment(process, None)?;
        find_program(process, &environment).map(drop)
    }

    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment itself is taken from the spec, in its order; a map has lost that.
        let home = envs.get("HOME").filter(|home| !home.is_empty());
        *self.home.borrow_mut() = Some(home.map_or("/", String::as_str).to_owned());
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        match self.execute(spec) {
            Ok(never) => match never {},
            Err(error) => {
                // Nobody waits for an init's error any more: its log is where a person looks.
                eprintln!("zerocap-engine: {error}");
                Err(ExecutorError::Other(error.to_string()))
            }
        }
    }
}

impl Workload {
    fn execute(&self, spec: &Spec) -> Result<Infallible, ExecutorValidationError> {
        let process = spec.process().as_ref().ok_or_else(|| invalid("the spec has no process"))?;
        let environment = environment(process, self.home.borrow().as_deref())?;
        let program = find_program(process, &environment)?;
        let path = c_string(&program.to_string_lossy())?;
        let arguments = arguments(process)?.iter().map(|a| c_string(a)).collect::<Result<Vec<_>, _>>()?;
        let environment = environment.iter().map(|e| c_string(e)).collect::<Result<Vec<_>, _>>()?;
        if let Some(profile) = &self.profile {
            load_profile(profile, process)?;
        }
        nix::unistd::execve(&path, &arguments, &environment)
            .map_err(|errno| invalid(format!("exec {}: {}", program.display(), text(errno))))
    }
}

fn invalid(message: impl Into<String>) -> ExecutorValidationError {
    ExecutorValidationError::ArgValidationError(message.into())
}

/// The lower-case texts that Go programs use for these errors, and with them everybody who matches on runc's.
fn text(errno: Errno) -> String {
    match errno {
        Errno::ENOENT => "no such file or directory".into(),
        Errno::EACCES => "permission denied".into(),
        Errno::ENOEXEC => "exec format error".into(),
        Errno::EISDIR => "is a directory".into(),
        Errno::E2BIG => "argument list too long".into(),
        other => other.desc().to_lowercase(),
    }
}

fn check_no_new_privs(process: &Process) -> Result<(), ExecutorValidationError> {
    let wanted = process.no_new_privileges().unwrap_or(false);
    if wanted && !rustix::thread::no_new_privs().unwrap_or(false) {
        return Err(invalid("noNewPrivileges could not be set"));
    }
    Ok(())
}

/// A set that the spec does not mention is empty.
fn empty_absent_capabilities(process: &Process) -> Result<(), ExecutorValidationError> {
    let given = process.capabilities().as_ref();
    // Dropping from the bounding set needs an effective capability, so it comes first. libcontainer has emptied it
    // already unless there is no capability object at all.
    let sets = [
        (CapSet::Bounding, given.is_some()),
        (CapSet::Ambient, given.is_some_and(|c| c.ambient().is_some())),
        (CapSet::Inheritable, given.is_some_and(|c| c.inheritable().is_some())),
        (CapSet::Effective, given.is_some_and(|c| c.effective().is_some())),
        (CapSet::Permitted, given.is_some_and(|c| c.permitted().is_some())),
    ];
    for (set, is_given) in sets {
        if !is_given {
            caps::clear(None, set).map_err(|e| invalid(format!("cannot empty the {set:?} capability set: {e}")))?;
        }
    }
    Ok(())
}

/// Loads the profile. From here on only what it allows can be called.
fn load_profile(profile: &LinuxSeccomp, process: &Process) -> Result<(), ExecutorValidationError> {
    let failed = |e: &dyn Display| invalid(format!("cannot load the seccomp profile: {e}"));
    let privileged = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false);
    if process.no_new_privileges() != Some(true) && !privileged {
        // Capabilities are gone by now, and without either the kernel refuses the filter. Between a process without
        // the profile and one that cannot gain privileges, the second is what the pod's author asked for.
        rustix::thread::set_no_new_privs(true).map_err(|e| failed(&e))?;
    }
    match initialize_seccomp(profile) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(invalid("SCMP_ACT_NOTIFY is not supported for an exec by this engine")),
        Err(e) => Err(failed(&e)),
    }
}

fn arguments(process: &Process) -> Result<&[String], ExecutorValidationError> {
    match process.args() {
        Some(arguments) if !arguments.is_empty() => Ok(arguments),
        _ => Err(invalid("process.args must not be empty")),
    }
}

/// The spec's environment in its order, the last of equal names winning, and HOME if it has none.
fn environment(process: &Process, home: Option<&str>) -> Result<Vec<String>, ExecutorValidationError> {
    let mut seen = HashSet::new();
    let mut environment = Vec::new();
    for entry in process.env().iter().flatten().rev() {
        match entry.split_once('=') {
            Some((name, _)) if !name.is_empty() => {
                if seen.insert(name) {
                    environment.push(entry.clone());
                }
            }
            _ => {
                return Err(invalid(format!("invalid environment variable: {entry:?} is not NAME=VALUE")));
            }
        }
        if entry.contains('\0') {
            return Err(invalid("invalid environment variable: contains a nul byte"));
        }
    }
    environment.reverse();
    if let Some(home) = home
        && !seen.contains("HOME")
    {
        environment.push(format!("HOME={home}"));
    }
    Ok(environment)
}

/// The program's path: as it is if it has a slash, else the first in PATH that may be executed.
fn find_program(process: &Process, environment: &[String]) -> Result<PathBuf, ExecutorValidationError> {
    let name = arguments(process)?[0].as_str();
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(Errno::ENOENT) => Err(invalid(format!("exec: {name:?}: stat {name}: no such file or directory"))),
            Err(errno) => Err(invalid(format!("exec: {name:?}: {}", text(errno)))),
        };
    }
    let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut refusal = None;
    for directory in path.split(':').filter(|d| !d.is_empty()) {
        let candidate = Path::new(directory).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => refusal = Some(Errno::EACCES),
            Err(_) => {}
        }
    }
    Err(match refusal {
        Some(errno) if !name.is_empty() => invalid(format!("exec: {name:?}: {}", text(errno))),
        _ => invalid(format!("exec: {name:?}: executable file not found in $PATH")),
    })
}

fn executable(path: &Path) -> Result<(), Errno> {
    let meta = fs::metadata(path).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    if meta.is_dir() {
        return Err(Errno::EISDIR);
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(Errno::EACCES);
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Err(rustix::io::Errno::ACCESS) => Err(Errno::EACCES),
        // A profile may lack faccessat2; execve decides anyway.
        _ => Ok(()),
    }
}

fn c_string(text: &str) -> Result<CString, ExecutorValidationError> {
    CString::new(text).map_err(|_| invalid("process.args contains a nul byte"))
}
