//! What the kernel shows of a process, under /proc.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::Identity;

/// Device and inode of the file that the process runs.
pub(super) fn executable(pid: i32) -> io::Result<Identity> {
    fs::metadata(path(pid, "exe")).map(|file| Identity::from(&file))
}

/// The status file.
pub(super) fn status(pid: i32) -> io::Result<Status> {
    // A name may hold bytes that are no UTF-8.
    fs::read(path(pid, "status")).map(|text| Status(String::from_utf8_lossy(&text).into_owned()))
}

/// The process's name.
pub(super) fn name(pid: i32) -> io::Result<Vec<u8>> {
    fs::read(path(pid, "comm")).map(|name| name.trim_ascii_end().to_vec())
}

/// Whether the process has ended and waits to be reaped.
pub(super) fn is_dead(pid: i32) -> io::Result<bool> {
    status(pid).map(|status| status.field("State").is_none_or(|state| state.starts_with(['Z', 'X'])))
}

/// The process's cgroups, one `hierarchy:controllers:path` per line.
pub(super) fn cgroup(pid: i32) -> io::Result<String> {
    fs::read_to_string(path(pid, "cgroup"))
}

/// The core limit, soft and hard, in bytes; `None` is unlimited.
pub(super) fn core_limit(pid: i32) -> io::Result<[Option<u64>; 2]> {
    let text = fs::read_to_string(path(pid, "limits"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    let mut next = || match words.next() {
        Some("unlimited") => Ok(None),
        Some(number) => number.parse().map(Some).map_err(io::Error::other),
        None => Err(io::Error::other("no core limit")),
    };
    Ok([next()?, next()?])
}

/// Open descriptors in order, each with what it refers to.
pub(super) fn descriptors(pid: i32) -> io::Result<Vec<(i32, Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(pid, "fd"))? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let number = number.ok_or_else(|| io::Error::other("a descriptor without number"))?;
        found.push((number, fs::metadata(entry.path())?));
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found)
}

/// The inode of a namespace.
pub(super) fn namespace(pid: Option<i32>, kind: &str) -> io::Result<u64> {
    let path = pid.map_or_else(|| format!("/proc/self/ns/{kind}"), |pid| path(pid, &format!("ns/{kind}")));
    fs::metadata(path).map(|namespace| namespace.ino())
}

fn path(pid: i32, file: &str) -> String {
    format!("/proc/{}/{file}", pid)
}

/// A status file's text.
#[derive(Debug)]
pub(super) struct Status(String);

impl Status {
    /// The words behind `Field:`.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim())
    }

    /// A field in hexadecimal.
    pub(super) fn hexadecimal(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.field(name)?, 16).ok()
    }

    /// A field's first number.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.field(name)?.split_ascii_whitespace().next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = Status(
            "Name:\tx y\nSeccomp:\t2\nSeccomp_filters:\t3\nUid:\t7\t8\t9\t10\nCapEff:\t00000000a80425fb\n".into(),
        );
        assert_eq!(status.field("Name"), Some("x y"));
        assert_eq!((status.number("Seccomp"), status.number("Seccomp_filters")), (Some(2), Some(3)));
        assert_eq!((status.number("Uid"), status.number("Gid")), (Some(7), None));
        assert_eq!(status.hexadecimal("CapEff"), Some(0xa804_25fb));
        assert_eq!(status.hexadecimal("Name"), None);
    }

    #[test]
    fn this_process_is_readable() {
        let me = std::process::id().cast_signed();
        assert_eq!(status(me).unwrap().number("Pid"), Some(me.unsigned_abs()));
        assert!(!cgroup(me).unwrap().is_empty());
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert_eq!(core_limit(me).unwrap(), [limit.current, limit.maximum]);
        assert_eq!(executable(me).unwrap(), Identity::of(&std::env::current_exe().unwrap()).unwrap());
        assert_eq!(namespace(None, "pid").unwrap(), namespace(Some(me), "pid").unwrap());
    }

    #[test]
    fn descriptors_come_in_order() {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};

        // A child: in this process other tests open and close. It has settled once it answers.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let open = descriptors(child.id().cast_signed()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(open.len() >= 3 && open.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
