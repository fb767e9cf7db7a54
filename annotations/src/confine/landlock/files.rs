//! File rights: `filesystem: read-only` and the path lists.
//!
//! Hard links and renames across directories need REFER on both sides, so a file outside the list cannot be linked into
//! it. A path through /proc/self/fd is judged by the file that it leads to.

use zerocap_plan::Landlock;

use super::{fs, rule};
use crate::confine::facts::Facts;
use crate::host::Host;
use crate::knob::Paths;
use crate::policy::Policy;

/// The terminal: what programs open to ask who is there.
///
/// `/dev/ptmx` is a symbolic link to `pts/ptmx`, and rules are for paths without links.
const TERMINAL: [&str; 3] = ["/dev/tty", "/dev/console", "/dev/pts"];
/// Devices that nothing can be kept in.
const SINKS: [&str; 1] = ["/dev/null"];
/// Devices from which programs read what is no secret.
const SOURCES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

pub(super) fn compile(policy: &Policy, host: &Host, facts: &Facts<'_>, ruleset: &mut Landlock) {
    let settings = policy.settings();
    let supported = host.landlock.fs;
    let (read, execute) = (settings.fs_read.as_ref(), settings.fs_execute.as_ref());
    // `filesystem: read-only` and `fs-write` never hold together; were it so, the first is the stricter.
    let write = settings.fs_write.as_ref().filter(|_| !policy.read_only());

    if read.is_some() {
        ruleset.handled_fs |= fs::READ & supported;
    }
    if execute.is_some() {
        ruleset.handled_fs |= fs::EXECUTE & supported;
    }
    if policy.read_only() || write.is_some() {
        ruleset.handled_fs |= fs::WRITE & supported;
    }
    if ruleset.handled_fs == 0 {
        return;
    }
    let mut grant = |paths: &mut dyn Iterator<Item = &str>, access: u64| {
        let access = access & ruleset.handled_fs;
        if access != 0 {
            ruleset.paths.extend(paths.map(|path| rule(path, access)));
        }
    };
    if let Some(read) = read {
        grant(&mut each(read), fs::READ);
        grant(&mut SOURCES.into_iter().chain(TERMINAL), fs::READ);
    }
    if let Some(execute) = execute {
        // The kernel opens a program for reading, too.
        grant(&mut each(execute), fs::EXECUTE | fs::READ_FILE);
    }
    let termination_log = || facts.writable_volumes().filter(|m| is_termination_log(&m.destination, m.source));
    if policy.read_only() {
        grant(&mut facts.writable_volumes().map(|mount| mount.destination.as_str()), fs::WRITE);
    } else if let Some(write) = write {
        grant(&mut each(write), fs::WRITE);
        grant(&mut termination_log().map(|mount| mount.destination.as_str()), fs::WRITE);
    }
    if policy.read_only() || write.is_some() {
        grant(&mut SINKS.into_iter().chain(TERMINAL), fs::WRITE_FILE | fs::TRUNCATE | fs::IOCTL_DEV);
    } else if supported & fs::REFER != 0 {
        // A ruleset with file rights refuses REFER even if it does not handle it, and here nothing asks for that.
        ruleset.handled_fs |= fs::REFER;
        ruleset.paths.push(rule("/", fs::REFER));
    }
}

fn each(paths: &Paths) -> impl Iterator<Item = &str> {
    paths.0.iter().map(String::as_str)
}

/// The file in which a container leaves its last words: the kubelet binds it from
/// `…/pods/UID/containers/NAME/HASH`.
fn is_termination_log(destination: &str, source: &str) -> bool {
    let mut parts = source.rsplit('/').skip(2);
    destination == "/dev/termination-log" || (parts.next() == Some("containers") && parts.nth(1) == Some("pods"))
}
